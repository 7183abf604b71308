// SPDX-License-Identifier: Apache-2.0
/* Steps readonly and mask: what the container may see but not change, and what it must not see. */
#include "stage.h"

#include "attr.h"
#include "fs.h"
#include "kernel.h"
#include "path.h"
#include "target.h"

#include <sys/sysmacros.h>

struct readonly_args {
	const char *path;
};

static const struct field readonly_fields[] = {
	FIELD(struct readonly_args, F_STRING, path, "path", FIELD_REQUIRED),
};

/* The lists name what some kernel has; this one may not. 1: nothing to do. */
static int open_existing(struct stage *s, const char *path, int *ret_fd)
{
	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, path, "before step root");
	*ret_fd = path_open(s, path, O_PATH);
	if (*ret_fd == -ENOENT || *ret_fd == -ENOTDIR)
		return 1;
	return *ret_fd < 0 ? stage_fail(s, *ret_fd, path, NULL) : 0;
}

/* A clone with one flag more: those of the mount it is cloned from stay (nosuid of /proc). */
static int readonly_run(struct stage *s, const void *args)
{
	const struct readonly_args *a = args;
	close_fd int fd = -1;
	int e = open_existing(s, a->path, &fd);

	if (e)
		return e < 0 ? e : 0;
	if (path_same(fd, s->root_fd) > 0) /* a mount over the root would never be seen */
		return attr_change_unlocked(s, fd, a->path, MOUNT_ATTR_RDONLY, 0, 0);
	close_fd int tree = sys_open_tree(
		fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (tree < 0)
		return stage_fail(s, tree, a->path, "open_tree");
	e = attr_change(tree, 0, MOUNT_ATTR_RDONLY, 0);
	if (e)
		return stage_fail(s, e, a->path, "mount flags");
	return target_attach(s, tree, fd, a->path);
}

STEP_IMPL(readonly, readonly_fields, NULL, readonly_run);

struct mask_args {
	const char *path;
	const char *label;
};

static const struct field mask_fields[] = {
	FIELD(struct mask_args, F_STRING, path, "path", FIELD_REQUIRED),
	FIELD(struct mask_args, F_STRING, label, "label", FIELD_OPTIONAL),
};

/* What all masks of a plan share: the null device, and one empty read-only tmpfs (a superblock for
 * each mask would cost memory and time). */
static int null_fd = -1;
static int empty_fd = -1;
static dev_t empty_dev;

/* Verified by descriptor: an image may have anything under the name /dev/null, and a mask made of
 * it would show or swallow what the container likes (CVE-2025-31133). */
static int open_null(struct stage *s)
{
	close_fd int fd = path_open(s, "/dev/null", O_PATH);
	struct stat st;

	if (null_fd >= 0)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return stage_fail(s, fd < 0 ? fd : errno, "/dev/null", "needed for masks");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return stage_fail(s, ENODEV, "/dev/null", "the container's is not the null device");
	null_fd = steal_fd(&fd);
	return 0;
}

static int clone_at(struct stage *s, const char *path, int from, int target)
{
	close_fd int tree =
		sys_open_tree(from, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	if (tree < 0)
		return stage_fail(s, tree, path, "open_tree");
	return target_attach(s, tree, target, path);
}

static int mask_file(struct stage *s, const char *path, int fd)
{
	int e = open_null(s);

	return e ? e : clone_at(s, path, null_fd, fd);
}

/* The first mask is the tmpfs itself and the others are clones of it: kernels before 6.15 clone
 * attached mounts only. */
static int mask_dir(struct stage *s, const struct mask_args *a, int fd)
{
	struct stat st;

	if (empty_fd >= 0)
		return clone_at(s, a->path, empty_fd, fd);
	close_fd int tree = fs_new_empty(s, a->path, a->label);
	if (tree < 0)
		return tree;
	int e = fstat(tree, &st) < 0 ? stage_fail(s, errno, a->path, "fstat") :
				       target_attach(s, tree, fd, a->path);
	if (e)
		return e;
	empty_dev = st.st_dev;
	empty_fd = steal_fd(&tree);
	return 0;
}

static int mask_run(struct stage *s, const void *args)
{
	const struct mask_args *a = args;
	struct stat st;
	close_fd int fd = -1;
	int e = open_existing(s, a->path, &fd);

	if (e)
		return e < 0 ? e : 0;
	if (path_same(fd, s->root_fd) > 0)
		return stage_fail(s, EINVAL, a->path, "the root cannot be masked");
	if (fstat(fd, &st) < 0)
		return stage_fail(s, errno, a->path, "fstat");
	if (!S_ISDIR(st.st_mode))
		return mask_file(s, a->path, fd);
	if (empty_fd >= 0 && st.st_dev == empty_dev) /* listed twice */
		return 0;
	return mask_dir(s, a, fd);
}

STEP_IMPL(mask, mask_fields, NULL, mask_run);
