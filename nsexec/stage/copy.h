/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNACK_COPY_H
#define RUNACK_COPY_H

#include "stage.h"

/* Copies what the directory `from` (O_PATH will do) holds into `to`: modes, owners, times, links,
 * devices, extended attributes where the target takes them. path is for failures. */
int copy_tree(struct stage *s, int from, int to, const char *path);

#endif
