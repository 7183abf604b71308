// SPDX-License-Identifier: Apache-2.0
#include "target.h"

#include "kernel.h"
#include "path.h"

#include <linux/magic.h>
#include <sys/statfs.h>

/* The root directory of every procfs has this inode number, and nothing else there has
 * (PROC_ROOT_INO). */
enum { PROC_ROOT = 1 };

int target_open(struct stage *s, const char *path, enum target_kind kind, bool *ret_made)
{
	int fd;

	*ret_made = false;
	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, path, "before step root");
	switch (kind) {
	case TARGET_FILE:
		fd = path_make_file(s, path, 0644);
		break;
	case TARGET_PLAIN_DIR:
		fd = path_make_plain_dir(s, path, 0755);
		break;
	case TARGET_DIR:
	default:
		fd = path_make_dir_new(s, path, 0755, ret_made);
		break;
	}
	if (fd >= 0)
		return fd;
	if (fd == -EROFS)
		return stage_fail(s, fd, path, "the target is missing on a read-only file system");
	if (fd == -ENOTDIR && kind == TARGET_PLAIN_DIR)
		return stage_fail(
			s, fd, path,
			"must be mounted on an ordinary directory, reached through no symbolic link");
	if (fd == -ENOTDIR)
		return stage_fail(s, fd, path,
				  "a directory is needed here, and a file is in the way");
	return stage_fail(s, fd, path, NULL);
}

int target_on_proc(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return -errno;
	return st.f_type == PROC_SUPER_MAGIC;
}

/* Whether the file at fd is the one that path names now. */
static bool is_path(struct stage *s, const struct stat *st, const char *path)
{
	close_fd int fd = path_open(s, path, O_PATH | O_NOFOLLOW);
	struct stat other;

	return fd >= 0 && fstat(fd, &other) == 0 && other.st_dev == st->st_dev &&
	       other.st_ino == st->st_ino;
}

/* Files of /proc that may be covered, as lxcfs does to show a container its own limits. */
static bool may_cover(struct stage *s, const struct stat *st)
{
	static const char *const allowed[] = {
		"/proc/cpuinfo",
		"/proc/diskstats",
		"/proc/meminfo",
		"/proc/stat",
		"/proc/swaps",
		"/proc/uptime",
		"/proc/loadavg",
		"/proc/slabinfo",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/crypto/fips_enabled",
	};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (is_path(s, st, allowed[i]))
			return true;
	return false;
}

/*
 * Nothing but a procfs goes onto the container's /proc, and nothing into it: what reads or writes
 * there would meet the image's files instead (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561). The
 * plan says so by name; here are the names that lead to /proc through links. A procfs at another
 * place, such as the host's bound as /host/proc, is a file system like others.
 */
static int check_proc(struct stage *s, int target, const char *path, bool is_proc)
{
	close_fd int proc = path_open(s, "/proc", O_PATH | O_DIRECTORY);
	struct stat st, root;

	if (fstat(target, &st) < 0)
		return stage_fail(s, errno, path, "fstat");
	if (proc < 0 || fstat(proc, &root) < 0 || root.st_dev != st.st_dev)
		return 0;
	if (st.st_ino == PROC_ROOT)
		return is_proc ?
			       0 :
			       stage_fail(s, EINVAL, path, "only a procfs may be mounted on /proc");
	return may_cover(s, &st) ? 0 : stage_fail(s, EINVAL, path, "the target lies inside /proc");
}

int target_check(struct stage *s, int target, const char *path, bool is_proc)
{
	int e = path_same(target, s->root_fd);

	if (e > 0)
		return stage_fail(s, EINVAL, path, "the target is the container's root");
	if (!e)
		e = target_on_proc(target);
	if (e < 0)
		return stage_fail(s, e, path, "statfs");
	return e ? check_proc(s, target, path, is_proc) : 0;
}

static const char *hint_of(int err)
{
	switch (err) {
	case -ENOSPC:
		return "the limit of mounts in a namespace (/proc/sys/fs/mount-max) is reached";
	case -ENOENT:
		return "the target was removed meanwhile";
	case -EINVAL:
		return "a file goes on a directory or the other way round, or an unbindable mount below a shared one";
	case -EPERM:
		return "the target's mount belongs to a more privileged namespace";
	case -ELOOP:
		return "the tree contains its own target";
	default:
		return "move_mount";
	}
}

int target_attach(struct stage *s, int tree, int target, const char *path)
{
	int e = sys_move_mount(tree, target);

	return e ? stage_fail(s, e, path, "%s", hint_of(e)) : 0;
}
