// SPDX-License-Identifier: Apache-2.0
#include "attr.h"

#include "kernel.h"

#include <sys/statfs.h>
#include <sys/statvfs.h>

#define PROPAGATION_ANY ((uint64_t)(MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE))
#define ATTR_ANY                                                                                   \
	((uint64_t)(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | \
		    MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW))

/* What the kernel locks when a mount enters a less privileged user namespace (MNT_LOCK_*). The
 * atime mode is locked as a whole, so it is handled apart. */
#define ATTR_LOCKABLE                                                                              \
	((uint64_t)(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | \
		    MOUNT_ATTR_NODIRATIME))

static const struct {
	uint64_t attr;
	unsigned long st; /* of statfs(2) */
	const char *name;
} names[] = {
	{ MOUNT_ATTR_RDONLY, ST_RDONLY, "ro" },
	{ MOUNT_ATTR_NOSUID, ST_NOSUID, "nosuid" },
	{ MOUNT_ATTR_NODEV, ST_NODEV, "nodev" },
	{ MOUNT_ATTR_NOEXEC, ST_NOEXEC, "noexec" },
	{ MOUNT_ATTR_NODIRATIME, ST_NODIRATIME, "nodiratime" },
	{ MOUNT_ATTR_NOSYMFOLLOW, KERNEL_ST_NOSYMFOLLOW, "nosymfollow" },
};

static void name_flags(struct text *t, uint64_t attr)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(attr & names[i].attr))
			continue;
		if (t->len)
			text_str(t, ",");
		text_str(t, names[i].name);
	}
}

int attr_get(int fd, uint64_t *ret)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return -errno;
	unsigned long flags = (unsigned long)st.f_flags;
	*ret = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].st)
			*ret |= names[i].attr;
	/* A mode, not bits: the kernel shows none of the two for strictatime. */
	if (flags & ST_NOATIME)
		*ret |= MOUNT_ATTR_NOATIME;
	else if (!(flags & ST_RELATIME))
		*ret |= MOUNT_ATTR_STRICTATIME;
	return 0;
}

int attr_change(int fd, unsigned int at, uint64_t set, uint64_t clear)
{
	struct kernel_mount_attr a = { .attr_set = set, .attr_clr = clear };

	if (!(set | clear))
		return 0;
	if ((set | clear) & MOUNT_ATTR__ATIME)
		a.attr_clr |= MOUNT_ATTR__ATIME;
	return sys_mount_setattr(fd, at, &a);
}

/*
 * The second try, with the locked flags kept. The kernel does not say which flags are locked, so
 * all that are there now count as such. The atime mode must not change at all then: asked for as it
 * is, it is left out.
 */
static int change_rest(struct stage *s, int fd, const char *object, uint64_t set, uint64_t clear,
		       uint64_t must)
{
	char buf[128] = "";
	struct text t = { .buf = buf, .size = sizeof(buf) };
	uint64_t have = 0;
	int e = attr_get(fd, &have);

	if (e)
		return stage_fail(s, e, object, "statfs");
	uint64_t stuck = have & must & ~set & ATTR_LOCKABLE;
	if (stuck) {
		name_flags(&t, stuck);
		return stage_fail(s, EPERM, object, "cannot clear locked flags %s", buf);
	}
	if ((set | clear) & MOUNT_ATTR__ATIME) {
		if ((set & MOUNT_ATTR__ATIME) != (have & MOUNT_ATTR__ATIME))
			return stage_fail(s, EPERM, object, "cannot change the locked atime mode");
		set &= ~(uint64_t)MOUNT_ATTR__ATIME;
		clear &= ~(uint64_t)MOUNT_ATTR__ATIME;
	}
	e = attr_change(fd, 0, set, clear & ~(have & ATTR_LOCKABLE));
	return e ? stage_fail(s, e, object, "mount flags, locked ones kept") : 0;
}

int attr_change_unlocked(struct stage *s, int fd, const char *object, uint64_t set, uint64_t clear,
			 uint64_t must)
{
	int e = attr_change(fd, 0, set, clear);

	if (e == -EPERM && clear)
		return change_rest(s, fd, object, set, clear, must);
	if (e == -EBUSY)
		return stage_fail(s, e, object, "a file of the mount is open for writing");
	return e ? stage_fail(s, e, object, "mount flags") : 0;
}

int attr_propagation_one(int fd, uint64_t flags)
{
	struct kernel_mount_attr a = { .propagation = flags & PROPAGATION_ANY };

	return sys_mount_setattr(fd, flags & MS_REC ? AT_RECURSIVE : 0, &a);
}

int attr_propagation(struct stage *s, int fd, const char *object, const struct ints *flags)
{
	for (size_t i = 0; i < flags->n; i++) {
		int e = attr_propagation_one(fd, (uint64_t)flags->v[i]);
		if (e)
			return stage_fail(s, e, object, "propagation 0x%llx",
					  (unsigned long long)flags->v[i]);
	}
	return 0;
}

int attr_check(struct stage *s, const char *field, uint64_t attr)
{
	if (attr & ~ATTR_ANY)
		return stage_fail(s, EBADMSG, field, "unknown mount flags 0x%llx",
				  (unsigned long long)(attr & ~ATTR_ANY));
	return 0;
}

int attr_check_propagation(struct stage *s, const char *field, uint64_t flags)
{
	uint64_t kind = flags & PROPAGATION_ANY;

	/* mount_setattr(2) takes exactly one. */
	if (!kind || (kind & (kind - 1)) || (flags & ~(PROPAGATION_ANY | MS_REC | MS_SILENT)))
		return stage_fail(s, EBADMSG, field, "not one propagation type: 0x%llx",
				  (unsigned long long)flags);
	return 0;
}

int attr_check_propagations(struct stage *s, const char *field, const struct ints *flags)
{
	int e = 0;

	for (size_t i = 0; !e && i < flags->n; i++)
		e = attr_check_propagation(s, field, (uint64_t)flags->v[i]);
	return e;
}
