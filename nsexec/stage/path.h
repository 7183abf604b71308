/* SPDX-License-Identifier: Apache-2.0 */
/* Names inside the container's root, for the steps that build it; stage.h has the common part. */
#ifndef RUNACK_PATH_H
#define RUNACK_PATH_H

#include "stage.h"

/* Makes fd (taken over) the root of all later names. */
void path_set_root(struct stage *s, int fd);

/* The root's descriptor, or -EPROTO before step root: what changes mounts and nodes must never
 * take the host's root for the container's. */
int path_built_root(struct stage *s);

/* As path_make_dir and path_make_file, and whether the last component was made. A wrong kind of
 * file that exists already is -ENOTDIR for a directory and no error for a file. */
int path_make_dir_new(struct stage *s, const char *path, mode_t mode, bool *ret_made);

/* A directory reached through no symbolic link at all, made where it is missing; -ENOTDIR for
 * a link on the way. */
int path_make_plain_dir(struct stage *s, const char *path, mode_t mode);

/* Opens dir/name (O_PATH) or makes an empty file of that name. -ELOOP for a link. */
int path_file_at(int dir, const char *name, mode_t mode);

/* Opens what an O_PATH descriptor stands for, through the private procfs. */
int path_reopen(struct stage *s, int fd, int flags);

/* Takes a descriptor of the plan away from it, so that it is closed when its step is done and holds
 * no mount while the container waits for start. */
int path_take_fd(struct stage *s, int fd);

/* 1 when both are the same file on the same mount, 0 when not, or a negative errno. */
int path_same(int a, int b);

#endif
