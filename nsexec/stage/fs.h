/* SPDX-License-Identifier: Apache-2.0 */
/* New file systems as detached mounts, and changes of those that are mounted. */
#ifndef RUNACK_FS_H
#define RUNACK_FS_H

#include "stage.h"

struct fs_request {
	const char *object; /* for failures */
	const char *type;
	const char *source; /* NULL for none */
	uint64_t
		sb_flags; /* MS_RDONLY, MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK, MS_LAZYTIME, ... */
	uint64_t attr; /* MOUNT_ATTR_* */
	const char *first; /* an option that those below may override; NULL for none */
	const struct strings *options; /* "key" or "key=value"; NULL for none */
	const char *context; /* SELinux label of all files; NULL for none */
};

/* A new mount that is attached nowhere yet. Describes its failures, with the kernel's own words. */
int fs_new(struct stage *s, const struct fs_request *r);

/* Changes the superblock of the mount at fd: options, and exactly those of mount(2)'s flags for a
 * remount that sb_flags has. type, source, attr and context are not looked at. */
int fs_reconfigure(struct stage *s, int fd, const struct fs_request *r);

/* An empty tmpfs that cannot grow and cannot be written to. */
int fs_new_empty(struct stage *s, const char *object, const char *context);

#endif
