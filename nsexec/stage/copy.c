// SPDX-License-Identifier: Apache-2.0
/*
 * What tmpcopyup takes over from the directory that a tmpfs is going to cover. Everything by
 * descriptor and without following a link: the tree may change under our hands.
 */
#include "copy.h"

#include "kernel.h"

#include <dirent.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

enum {
	DEPTH_MAX = 64, /* two descriptors each, below the usual limit of 1024 */
	XATTR_NAMES_MAX = 4096,
	XATTR_VALUE_MAX = 4096,
};

/* As getdents64(2) writes it. */
struct entry {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static int copy_dir(struct stage *s, int from, int to, const char *path, int depth);

/* A tmpfs keeps fewer kinds of attributes than other file systems, and some need privileges: what
 * it does not take stays behind, as with cp --preserve. */
static void copy_xattrs(int from, int to)
{
	char names[XATTR_NAMES_MAX], value[XATTR_VALUE_MAX];
	ssize_t n = flistxattr(from, names, sizeof(names));

	for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t len = fgetxattr(from, p, value, sizeof(value));
		if (len >= 0)
			(void)fsetxattr(to, p, value, (size_t)len, 0);
	}
}

/* Owner before mode: chown(2) clears the set-id bits. Times last. */
static int copy_meta(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	copy_xattrs(from, to);
	return futimens(to, times) < 0 ? -errno : 0;
}

static int copy_bytes(int from, int to)
{
	ssize_t n;

	do {
		n = sendfile(to, from, NULL, 1 << 30);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

static int copy_file(int from_dir, int to_dir, const char *name)
{
	/* O_NONBLOCK: should a fifo have taken the file's place, opening it must not wait. */
	close_fd int from = (int)sys_result(
		openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
	struct stat st;

	if (from < 0)
		return from;
	if (fstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ESTALE;
	close_fd int to = (int)sys_result(
		openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	if (to < 0)
		return to;
	int e = copy_bytes(from, to);
	return e ? e : copy_meta(from, to, &st);
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (symlinkat(target, to_dir, name) < 0 ||
	    fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* Devices, fifos and sockets. The caller's umask is 0. */
static int copy_node(int to_dir, const char *name, const struct stat *st)
{
	if (mknodat(to_dir, name, st->st_mode, st->st_rdev) < 0 ||
	    fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* Describes its own failures. */
static int copy_subdir(struct stage *s, int from_dir, int to_dir, const char *name,
		       const char *path, int depth)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	close_fd int from = (int)sys_result(openat(from_dir, name, flags));
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0)
		return stage_fail(s, from < 0 ? from : errno, path, "copy up directory %s", name);
	if (mkdirat(to_dir, name, 0700) < 0)
		return stage_fail(s, errno, path, "copy up directory %s", name);
	close_fd int to = (int)sys_result(openat(to_dir, name, flags));
	if (to < 0)
		return stage_fail(s, to, path, "copy up directory %s", name);
	int e = copy_dir(s, from, to, path, depth + 1);
	if (e)
		return e;
	e = copy_meta(from, to, &st);
	return e ? stage_fail(s, e, path, "copy up directory %s", name) : 0;
}

static int copy_entry(struct stage *s, int from, int to, const char *name, const char *path,
		      int depth)
{
	struct stat st;
	int e;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		e = -errno;
	else if (S_ISDIR(st.st_mode))
		return copy_subdir(s, from, to, name, path, depth);
	else if (S_ISREG(st.st_mode))
		e = copy_file(from, to, name);
	else if (S_ISLNK(st.st_mode))
		e = copy_link(from, to, name, &st);
	else
		e = copy_node(to, name, &st);
	if (e == -ENOENT) /* removed since it was listed */
		return 0;
	return e ? stage_fail(s, e, path, "copy up %s", name) : 0;
}

static int copy_dir(struct stage *s, int from, int to, const char *path, int depth)
{
	union {
		struct entry align;
		char bytes[2048];
	} buf;
	long n;

	if (depth > DEPTH_MAX)
		return stage_fail(s, ELOOP, path, "copy up: more than %d directories deep",
				  DEPTH_MAX);
	while ((n = syscall(SYS_getdents64, from, buf.bytes, sizeof(buf.bytes))) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *d = (const void *)(buf.bytes + at);
			at += d->len;
			if (streq(d->name, ".") || streq(d->name, ".."))
				continue;
			int e = copy_entry(s, from, to, d->name, path, depth);
			if (e)
				return e;
		}
	}
	return n < 0 ? stage_fail(s, errno, path, "copy up: getdents64") : 0;
}

int copy_tree(struct stage *s, int from, int to, const char *path)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	close_fd int src = (int)sys_result(openat(from, ".", flags));
	close_fd int dst = (int)sys_result(openat(to, ".", flags));
	mode_t mask = umask(0);
	int e;

	if (src < 0 || dst < 0)
		e = stage_fail(s, src < 0 ? src : dst, path, "copy up");
	else
		e = copy_dir(s, src, dst, path, 0);
	(void)umask(mask);
	return e;
}
