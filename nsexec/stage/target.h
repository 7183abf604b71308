/* SPDX-License-Identifier: Apache-2.0 */
/* Where mounts go. */
#ifndef RUNACK_TARGET_H
#define RUNACK_TARGET_H

#include "stage.h"

/* What a target must be. */
enum target_kind {
	TARGET_DIR,
	TARGET_FILE,
	TARGET_PLAIN_DIR, /* reached through no symbolic link: for proc and sysfs */
};

/* Opens path inside the root (O_PATH), or makes it and what is missing above it; *ret_made tells
 * which. Describes its failures. */
int target_open(struct stage *s, const char *path, enum target_kind kind, bool *ret_made);

/* Refuses targets that would undo the container's own view of itself. is_proc: what goes there is
 * a procfs. Describes its failures. */
int target_check(struct stage *s, int target, const char *path, bool is_proc);

/* Attaches a detached tree at target. Describes its failures. */
int target_attach(struct stage *s, int tree, int target, const char *path);

/* Whether fd is on a procfs. Negative errno on failure. */
int target_on_proc(int fd);

#endif
