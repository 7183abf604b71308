// SPDX-License-Identifier: Apache-2.0
/* Steps mkdir, symlink, device: single entries of the container's tree. */
#include "stage.h"

#include "kernel.h"
#include "path.h"
#include "target.h"

#include <limits.h>
#include <sys/sysmacros.h>

/* Where a new entry goes: its directory, made where it is missing, and its name. */
static int open_place(struct stage *s, const char *path, char *ret_name, size_t name_size)
{
	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, path, "before step root");
	int dir = path_open_parent(s, path, true, ret_name, name_size);
	return dir < 0 ? stage_fail(s, dir, path, NULL) : dir;
}

struct mkdir_args {
	const char *path;
	uint32_t mode;
	int64_t uid;
	int64_t gid;
};

static const struct field mkdir_fields[] = {
	FIELD(struct mkdir_args, F_STRING, path, "path", FIELD_REQUIRED),
	FIELD(struct mkdir_args, F_U32, mode, "mode", FIELD_REQUIRED),
	FIELD(struct mkdir_args, F_ID, uid, "uid", FIELD_OPTIONAL),
	FIELD(struct mkdir_args, F_ID, gid, "gid", FIELD_OPTIONAL),
};

static int mkdir_check(struct stage *s, const void *args)
{
	const struct mkdir_args *a = args;

	return a->mode & ~07777U ? stage_fail(s, EBADMSG, "mode", "more than permission bits") : 0;
}

static int mkdir_run(struct stage *s, const void *args)
{
	const struct mkdir_args *a = args;
	bool made;

	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, a->path, "before step root");
	close_fd int fd = path_make_dir_new(s, a->path, a->mode, &made);
	if (fd < 0)
		return stage_fail(s, fd, a->path, NULL);
	if (made && (a->uid >= 0 || a->gid >= 0) &&
	    fchownat(fd, "", (uid_t)a->uid, (gid_t)a->gid, AT_EMPTY_PATH) < 0)
		return stage_fail(s, errno, a->path, "owner");
	return 0;
}

STEP_IMPL(mkdir, mkdir_fields, mkdir_check, mkdir_run);

struct symlink_args {
	const char *path;
	const char *target;
	bool keep;
	bool replace;
};

static const struct field symlink_fields[] = {
	FIELD(struct symlink_args, F_STRING, path, "path", FIELD_REQUIRED),
	FIELD(struct symlink_args, F_STRING, target, "target", FIELD_REQUIRED),
	FIELD(struct symlink_args, F_BOOL, keep, "keep", FIELD_OPTIONAL),
	FIELD(struct symlink_args, F_BOOL, replace, "replace", FIELD_OPTIONAL),
};

static bool points_to(int dir, const char *name, const char *target)
{
	char buf[PATH_MAX];
	ssize_t n = readlinkat(dir, name, buf, sizeof(buf));

	return n >= 0 && (size_t)n == strlen(target) && memcmp(buf, target, (size_t)n) == 0;
}

/* The name is taken. */
static int symlink_other(struct stage *s, const struct symlink_args *a, int dir, const char *name)
{
	if (a->keep || points_to(dir, name, a->target))
		return 0;
	if (!a->replace)
		return stage_fail(s, EEXIST, a->path, "something else is there");
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return stage_fail(s, errno, a->path, "unlink");
	if (symlinkat(a->target, dir, name) < 0)
		return stage_fail(s, errno, a->path, NULL);
	return 0;
}

static int symlink_run(struct stage *s, const void *args)
{
	const struct symlink_args *a = args;
	char name[NAME_MAX + 1];
	close_fd int dir = open_place(s, a->path, name, sizeof(name));

	if (dir < 0)
		return dir;
	if (symlinkat(a->target, dir, name) == 0)
		return 0;
	if (errno != EEXIST)
		return stage_fail(s, errno, a->path, NULL);
	return symlink_other(s, a, dir, name);
}

STEP_IMPL(symlink, symlink_fields, NULL, symlink_run);

struct device_args {
	const char *path;
	const char *type;
	int64_t major;
	int64_t minor;
	uint32_t mode;
	int64_t uid;
	int64_t gid;
	bool bind;
};

static const struct field device_fields[] = {
	FIELD(struct device_args, F_STRING, path, "path", FIELD_REQUIRED),
	FIELD(struct device_args, F_STRING, type, "type", FIELD_REQUIRED),
	FIELD(struct device_args, F_I64, major, "major", FIELD_REQUIRED),
	FIELD(struct device_args, F_I64, minor, "minor", FIELD_REQUIRED),
	FIELD(struct device_args, F_U32, mode, "mode", FIELD_REQUIRED),
	FIELD(struct device_args, F_ID, uid, "uid", FIELD_REQUIRED),
	FIELD(struct device_args, F_ID, gid, "gid", FIELD_REQUIRED),
	FIELD(struct device_args, F_BOOL, bind, "bind", FIELD_OPTIONAL),
};

static mode_t device_kind(const struct device_args *a)
{
	switch (a->type[0]) {
	case 'c':
		return S_IFCHR;
	case 'b':
		return S_IFBLK;
	case 'p':
		return S_IFIFO;
	default:
		return 0;
	}
}

/* The kernel has 12 bits for a major and 20 for a minor number. */
static int device_check(struct stage *s, const void *args)
{
	const struct device_args *a = args;

	if (strlen(a->type) != 1 || !device_kind(a))
		return stage_fail(s, EBADMSG, "type", "neither c, b nor p");
	if (a->major < 0 || a->major >= 1 << 12)
		return stage_fail(s, EBADMSG, "major", "not from 0 to 4095");
	if (a->minor < 0 || a->minor >= 1 << 20)
		return stage_fail(s, EBADMSG, "minor", "not from 0 to 1048575");
	if (a->mode & ~07777U)
		return stage_fail(s, EBADMSG, "mode", "more than permission bits");
	return 0;
}

static dev_t device_number(const struct device_args *a)
{
	return makedev((unsigned int)a->major, (unsigned int)a->minor);
}

static bool is_device(const struct device_args *a, const struct stat *st)
{
	mode_t kind = device_kind(a);

	return (st->st_mode & S_IFMT) == kind &&
	       (kind == S_IFIFO || st->st_rdev == device_number(a));
}

/* Whether what dir/name is now, is the device: 1, 0, or a negative errno. */
static int device_there(const struct device_args *a, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return is_device(a, &st);
}

static int device_wrong(struct stage *s, const struct device_args *a, const char *what)
{
	return stage_fail(s, EEXIST, a->path, "%s is not the device %s %d:%d", what, a->type,
			  (int)a->major, (int)a->minor);
}

/*
 * Where mknod(2) is refused (user namespaces), the host's node of the same path is bound. It must
 * be the device that was asked for: the host's name may stand for another one.
 */
static int device_bind(struct stage *s, const struct device_args *a, int dir, const char *name)
{
	struct stat st;

	int there = device_there(a, dir, name);
	if (there > 0)
		return 0;
	close_fd int tree = sys_open_tree(AT_FDCWD, a->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || fstat(tree, &st) < 0)
		return stage_fail(s, tree < 0 ? tree : errno, a->path,
				  "the host's node, to be bound");
	if (!is_device(a, &st))
		return device_wrong(s, a, "the host's node");
	close_fd int target = path_file_at(dir, name, 0);
	if (target == -ELOOP)
		return device_wrong(s, a, "a symbolic link, which");
	if (target < 0)
		return stage_fail(s, target, a->path, NULL);
	return target_attach(s, tree, target, a->path);
}

static int make_node(const struct device_args *a, int dir, const char *name)
{
	mode_t mask = umask(0); /* the mode is exact */
	int r = mknodat(dir, name, device_kind(a) | a->mode, device_number(a)) < 0 ? -errno : 0;

	(void)umask(mask);
	return r;
}

/* Gives the node just made to its owner, if it still is that node. */
static int device_own(struct stage *s, const struct device_args *a, int dir, const char *name)
{
	close_fd int fd = (int)sys_result(openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return stage_fail(s, fd < 0 ? fd : errno, a->path, NULL);
	if (!is_device(a, &st))
		return device_wrong(s, a, "the node was exchanged and");
	if (st.st_uid == (uid_t)a->uid && st.st_gid == (gid_t)a->gid)
		return 0;
	if (fchownat(fd, "", (uid_t)a->uid, (gid_t)a->gid, AT_EMPTY_PATH) < 0)
		return stage_fail(s, errno, a->path, "owner");
	return 0;
}

static int device_make(struct stage *s, const struct device_args *a, int dir, const char *name)
{
	int e = make_node(a, dir, name);

	if (e == -EPERM && device_kind(a) != S_IFIFO)
		return device_bind(s, a, dir, name);
	if (e == -EEXIST) {
		/* Engines list devices that a mount has brought already. */
		int there = device_there(a, dir, name);
		return there > 0 ? 0 : device_wrong(s, a, "what is there");
	}
	return e ? stage_fail(s, e, a->path, NULL) : device_own(s, a, dir, name);
}

static int device_run(struct stage *s, const void *args)
{
	const struct device_args *a = args;
	char name[NAME_MAX + 1];
	close_fd int dir = open_place(s, a->path, name, sizeof(name));

	if (dir < 0)
		return dir;
	/* A fifo needs no privilege, and the host's would connect the container to the host. */
	if (a->bind && device_kind(a) != S_IFIFO)
		return device_bind(s, a, dir, name);
	return device_make(s, a, dir, name);
}

STEP_IMPL(device, device_fields, device_check, device_run);
