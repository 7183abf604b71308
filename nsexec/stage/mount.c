// SPDX-License-Identifier: Apache-2.0
/* Steps mount and remount: new file systems in the container, and flags of those that are there. */
#include "stage.h"

#include "attr.h"
#include "copy.h"
#include "fs.h"
#include "kernel.h"
#include "path.h"
#include "target.h"

#include <stdio.h>
#include <sys/xattr.h>

struct mount_args {
	const char *target;
	const char *type;
	const char *source;
	uint64_t sb_flags;
	uint64_t set;
	struct strings options;
	struct ints propagation;
	uint64_t rec_set;
	uint64_t rec_clear;
	bool copy_up;
	const char *label;
	const char *refused;
	const char *instead;
};

static const struct field mount_fields[] = {
	FIELD(struct mount_args, F_STRING, target, "target", FIELD_REQUIRED),
	FIELD(struct mount_args, F_STRING, type, "type", FIELD_REQUIRED),
	FIELD(struct mount_args, F_STRING, source, "source", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_U64, sb_flags, "sbFlags", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_U64, set, "set", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_STRINGS, options, "options", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_INTS, propagation, "propagation", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_U64, rec_set, "recSet", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_U64, rec_clear, "recClear", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_BOOL, copy_up, "copyUp", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_STRING, label, "label", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_STRING, refused, "refused", FIELD_OPTIONAL),
	FIELD(struct mount_args, F_STRING, instead, "instead", FIELD_OPTIONAL),
};

#define SB_FLAGS                                                                          \
	((uint64_t)(MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME | \
		    MS_SILENT | MS_I_VERSION))

static int sb_flags_check(struct stage *s, uint64_t flags)
{
	if (flags & ~SB_FLAGS)
		return stage_fail(s, EBADMSG, "sbFlags", "unknown flags 0x%llx",
				  (unsigned long long)(flags & ~SB_FLAGS));
	return 0;
}

static int mount_check(struct stage *s, const void *args)
{
	const struct mount_args *a = args;
	int e = sb_flags_check(s, a->sb_flags);

	if (!e)
		e = attr_check(s, "set", a->set);
	if (!e)
		e = attr_check(s, "recSet", a->rec_set);
	if (!e)
		e = attr_check(s, "recClear", a->rec_clear);
	if (!e)
		e = attr_check_propagations(s, "propagation", &a->propagation);
	if (e)
		return e;
	if (a->refused && (!streq(a->refused, "bind") || !a->instead))
		return stage_fail(s, EBADMSG, "refused",
				  "neither bind nor absent, or instead missing");
	if (a->copy_up && !streq(a->type, "tmpfs"))
		return stage_fail(s, EBADMSG, "copyUp", "not a tmpfs");
	return 0;
}

static bool has_option(const struct strings *options, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < options->n; i++)
		if (strncmp(options->v[i], key, n) == 0 && options->v[i][n] == '=')
			return true;
	return false;
}

/* A tmpfs takes the mode of the directory it covers, unless an option says otherwise. A directory
 * made just now has no mode worth taking. */
static const char *mode_option(const struct mount_args *a, int target, bool made, char *buf,
			       size_t size)
{
	struct stat st;

	if (!streq(a->type, "tmpfs") || made || has_option(&a->options, "mode") ||
	    fstat(target, &st) < 0)
		return NULL;
	(void)snprintf(buf, size, "mode=%04o", (unsigned int)(st.st_mode & 07777));
	return buf;
}

/* An mqueue takes no context option; its root directory has the label, if SELinux is there at all. */
static int label_root(struct stage *s, const struct mount_args *a, int tree)
{
	if (!a->label || !streq(a->type, "mqueue"))
		return 0;
	close_fd int dir = (int)sys_result(openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (dir < 0)
		return stage_fail(s, dir, a->target, "label");
	if (fsetxattr(dir, "security.selinux", a->label, strlen(a->label) + 1, 0) < 0 &&
	    errno != EOPNOTSUPP)
		return stage_fail(s, errno, a->target, "label %s", a->label);
	return 0;
}

/* The new file system, complete but not attached. */
static int make_fs(struct stage *s, const struct mount_args *a, int target, bool made)
{
	char mode[16];
	/* Filled first and made read-only afterwards, on the mount alone. */
	uint64_t late = a->copy_up ? MOUNT_ATTR_RDONLY : 0;
	struct fs_request r = {
		.object = a->target,
		.type = a->type,
		.source = a->source,
		.sb_flags = a->sb_flags & ~(a->copy_up ? (uint64_t)MS_RDONLY : 0),
		.attr = a->set & ~late,
		.first = mode_option(a, target, made, mode, sizeof(mode)),
		.options = &a->options,
		.context = streq(a->type, "mqueue") ? NULL : a->label,
	};
	close_fd int tree = fs_new(s, &r);

	if (tree < 0)
		return tree;
	int e = label_root(s, a, tree);
	if (!e && a->copy_up)
		e = copy_tree(s, target, tree, a->target);
	if (e)
		return e;
	late &= a->set | (a->sb_flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0);
	e = attr_change(tree, 0, late, 0);
	return e ? stage_fail(s, e, a->target, "mount flags") : steal_fd(&tree);
}

/*
 * In a user namespace the kernel refuses file systems that would show what belongs to a more
 * privileged one: sysfs of a network namespace that is not ours, cgroup2 without a cgroup namespace.
 * Then the host's instance serves, with the flags on everything below it too. A rootless runtime
 * outside of any cgroup of its own has nothing to show: the place stays empty and read-only.
 */
static int bind_instead(struct stage *s, const struct mount_args *a)
{
	close_fd int tree = sys_open_tree(AT_FDCWD, a->instead,
					  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (tree == -ENOENT && streq(a->type, "cgroup2"))
		return fs_new_empty(s, a->target, a->label);
	if (tree < 0)
		return stage_fail(s, tree, a->instead, "instead of a new %s", a->type);
	int e = attr_change(tree, AT_RECURSIVE, a->set & ~(uint64_t)MOUNT_ATTR__ATIME, 0);
	return e ? stage_fail(s, e, a->instead, "mount flags") : steal_fd(&tree);
}

static bool is_kernel_view(const char *type)
{
	return streq(type, "proc") || streq(type, "sysfs");
}

static int mount_run(struct stage *s, const void *args)
{
	const struct mount_args *a = args;
	bool made;
	close_fd int target = target_open(
		s, a->target, is_kernel_view(a->type) ? TARGET_PLAIN_DIR : TARGET_DIR, &made);

	if (target < 0)
		return target;
	int e = target_check(s, target, a->target, streq(a->type, "proc"));
	if (e)
		return e;
	close_fd int tree = make_fs(s, a, target, made);
	if ((tree == -EPERM || tree == -EBUSY) && a->refused)
		tree = bind_instead(s, a);
	if (tree < 0)
		return tree;
	e = attr_change(tree, AT_RECURSIVE, a->rec_set, a->rec_clear);
	if (e)
		return stage_fail(s, e, a->target, "recursive mount flags");
	e = target_attach(s, tree, target, a->target);
	/* After attaching: below a shared mount a new one becomes shared. */
	return e ? e : attr_propagation(s, tree, a->target, &a->propagation);
}

STEP_IMPL(mount, mount_fields, mount_check, mount_run);

struct remount_args {
	const char *target;
	bool bind;
	uint64_t sb_flags;
	struct strings options;
	uint64_t set;
	uint64_t clear;
};

static const struct field remount_fields[] = {
	FIELD(struct remount_args, F_STRING, target, "target", FIELD_REQUIRED),
	FIELD(struct remount_args, F_BOOL, bind, "bind", FIELD_OPTIONAL),
	FIELD(struct remount_args, F_U64, sb_flags, "sbFlags", FIELD_OPTIONAL),
	FIELD(struct remount_args, F_STRINGS, options, "options", FIELD_OPTIONAL),
	FIELD(struct remount_args, F_U64, set, "set", FIELD_OPTIONAL),
	FIELD(struct remount_args, F_U64, clear, "clear", FIELD_OPTIONAL),
};

static int remount_check(struct stage *s, const void *args)
{
	const struct remount_args *a = args;
	int e = sb_flags_check(s, a->sb_flags);

	if (!e)
		e = attr_check(s, "set", a->set);
	return e ? e : attr_check(s, "clear", a->clear);
}

static int remount_run(struct stage *s, const void *args)
{
	const struct remount_args *a = args;
	struct fs_request r = {
		.object = a->target,
		.sb_flags = a->sb_flags,
		.options = &a->options,
	};

	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, a->target, "before step root");
	close_fd int fd = path_open(s, a->target, O_PATH);
	if (fd < 0)
		return stage_fail(s, fd, a->target, NULL);
	int e = a->bind ? 0 : fs_reconfigure(s, fd, &r);
	return e ? e : attr_change_unlocked(s, fd, a->target, a->set, a->clear, 0);
}

STEP_IMPL(remount, remount_fields, remount_check, remount_run);
