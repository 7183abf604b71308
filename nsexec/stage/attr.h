/* SPDX-License-Identifier: Apache-2.0 */
/* Flags and propagation of mounts, always by descriptor (mount_setattr(2)). */
#ifndef RUNACK_ATTR_H
#define RUNACK_ATTR_H

#include "stage.h"

/* MOUNT_ATTR_* bits; where set or clear has a bit of the atime mode, the whole mode is replaced.
 * at is 0 or AT_RECURSIVE. Returns a negative errno; so does attr_propagation_one. */
int attr_change(int fd, unsigned int at, uint64_t set, uint64_t clear);

/* As attr_change on the one mount, but flags that a more privileged user namespace has locked stay
 * set, unless must (a part of clear) has one of them: then it fails. Describes its failures. */
int attr_change_unlocked(struct stage *s, int fd, const char *object, uint64_t set, uint64_t clear,
			 uint64_t must);

/* The flags of a mount, and those that its superblock adds. */
int attr_get(int fd, uint64_t *ret);

/* MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, each with MS_REC or without. */
int attr_propagation_one(int fd, uint64_t flags);
int attr_propagation(struct stage *s, int fd, const char *object, const struct ints *flags);

/* For the check functions of steps. */
int attr_check(struct stage *s, const char *field, uint64_t attr);
int attr_check_propagation(struct stage *s, const char *field, uint64_t flags);
int attr_check_propagations(struct stage *s, const char *field, const struct ints *flags);

#endif
