// SPDX-License-Identifier: Apache-2.0
/*
 * Names inside the container's root. The image and its volumes are hostile: a name may lead through
 * symbolic links made to point out of the root, and another container that shares a volume may
 * exchange a component at any time. So a name is resolved once, by the kernel, with the root as the
 * end of the world (openat2(2), RESOLVE_IN_ROOT), and all that follows works on the descriptor
 * (CVE-2019-18837, CVE-2021-30465, CVE-2024-45310).
 */
#include "path.h"

#include "kernel.h"

#include <limits.h>
#include <stdio.h>

enum {
	/* RESOLVE_IN_ROOT answers EAGAIN when a rename or a mount anywhere on the host raced with
	 * "..". A busy host needs a few tries; an attacker must not get an endless loop. */
	AGAIN_MAX = 128,
	LINKS_MAX = 40, /* the kernel's own bound on links in one name */
	MAKE_MAX = 16, /* tries of "missing, so make it" against someone who removes it */
};

/* Set by step root; until then a name is one of the host. */
static bool built;

void path_set_root(struct stage *s, int fd)
{
	if (s->root_fd >= 0)
		(void)close(s->root_fd);
	s->root_fd = fd;
	built = true;
}

int path_built_root(struct stage *s)
{
	return built ? s->root_fd : -EPROTO;
}

/* An exec has no step root: after setns(2) "/" is the container's already. */
static int path_root(struct stage *s)
{
	if (s->root_fd < 0)
		s->root_fd = (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	return s->root_fd;
}

int path_open(struct stage *s, const char *path, int flags)
{
	int root = path_root(s), fd = -EAGAIN;

	if (root < 0)
		return root;
	for (int i = 0; i < AGAIN_MAX && fd == -EAGAIN; i++)
		fd = sys_openat2(root, path, (uint64_t)flags | O_CLOEXEC, 0,
				 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	return fd;
}

/*
 * The way to what is missing. openat2 cannot make directories, so the name is turned into one
 * without links first: `real` has no "..", no links and no leading slash; what does not exist is
 * taken as it stands. A dangling link is thereby followed (inside the root), as engines expect:
 * /etc/resolv.conf of a systemd image is one.
 */
struct walk {
	char real[PATH_MAX];
	char rest[PATH_MAX];
	size_t len; /* of real */
	unsigned int links;
	bool missing; /* real does not exist, so nothing below it can be a link */
};

static int walk_push(struct walk *w, const char *name, size_t n)
{
	if (w->len + 1 + n >= sizeof(w->real))
		return -ENAMETOOLONG;
	if (w->len)
		w->real[w->len++] = '/';
	memcpy(w->real + w->len, name, n);
	w->len += n;
	w->real[w->len] = '\0';
	return 0;
}

static void walk_pop(struct walk *w)
{
	while (w->len > 0 && w->real[--w->len] != '/')
		;
	w->real[w->len] = '\0';
	w->missing = false;
}

/* The target of the link at w->real: its length, 0 for what is no link, or a negative errno. */
static ssize_t walk_read_link(struct stage *s, const struct walk *w, char *buf, size_t size)
{
	close_fd int fd = path_open(s, w->real, O_PATH | O_NOFOLLOW);
	struct stat st;

	buf[0] = '\0';
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISLNK(st.st_mode))
		return 0;
	ssize_t n = readlinkat(fd, "", buf, size);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? -ENAMETOOLONG : n;
}

/* Puts a link's target in the place of the link. */
static int walk_follow(struct walk *w, const char *link, size_t n, size_t at)
{
	char rest[PATH_MAX];
	size_t left = strlen(w->rest + at);

	if (++w->links > LINKS_MAX)
		return -ELOOP;
	if (n + 1 + left >= sizeof(rest))
		return -ENAMETOOLONG;
	memcpy(rest, link, n);
	rest[n] = '/';
	memcpy(rest + n + 1, w->rest + at, left + 1);
	walk_pop(w);
	if (link[0] == '/') {
		w->len = 0;
		w->real[0] = '\0';
	}
	memcpy(w->rest, rest, n + 1 + left + 1);
	return 0;
}

/* Handles the component rest[start..end) and returns where the next one begins. */
static ssize_t walk_component(struct stage *s, struct walk *w, size_t start, size_t end)
{
	char link[PATH_MAX];
	const char *name = w->rest + start;
	size_t n = end - start;

	if (n == 0 || (n == 1 && name[0] == '.'))
		return (ssize_t)end;
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		walk_pop(w);
		return (ssize_t)end;
	}
	int e = walk_push(w, name, n);
	if (e || w->missing)
		return e ? e : (ssize_t)end;
	ssize_t r = walk_read_link(s, w, link, sizeof(link));
	if (r == -ENOENT) {
		w->missing = true;
		return (ssize_t)end;
	}
	if (r <= 0)
		return r ? r : (ssize_t)end;
	return walk_follow(w, link, (size_t)r, end);
}

static int walk_name(struct stage *s, struct walk *w, const char *path)
{
	size_t at = 0;

	if (strlen(path) >= sizeof(w->rest))
		return -ENAMETOOLONG;
	copy_str(w->rest, sizeof(w->rest), path);
	w->real[0] = '\0';
	w->len = 0;
	w->links = 0;
	w->missing = false;
	while (w->rest[at]) {
		if (w->rest[at] == '/') {
			at++;
			continue;
		}
		ssize_t next = walk_component(s, w, at, at + strcspn(w->rest + at, "/"));
		if (next < 0)
			return (int)next;
		at = (size_t)next;
	}
	return 0;
}

static int make_one_dir(int dir, const char *name, mode_t mode)
{
	mode_t mask = umask(0);
	int r = mkdirat(dir, name, mode) < 0 && errno != EEXIST ? -errno : 0;

	(void)umask(mask);
	return r;
}

/* Enters dir/name, making it where it is missing. A link in its place, put there since the name was
 * resolved, is -ENOTDIR. */
static int enter_dir(int dir, const char *name, mode_t mode, bool *ret_made)
{
	*ret_made = false;
	for (int i = 0; i < MAKE_MAX; i++) {
		int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 || errno != ENOENT)
			return (int)sys_result(fd);
		int e = make_one_dir(dir, name, mode);
		if (e)
			return e;
		*ret_made = true;
	}
	return -ENOENT;
}

/* Enters each directory of real in turn; mode is for the last one. real is used up. */
static int enter_real(struct stage *s, char *real, mode_t mode, bool *ret_made)
{
	int root = path_root(s);
	close_fd int dir =
		root < 0 ? root :
			   (int)sys_result(openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));

	*ret_made = false;
	while (dir >= 0 && *real) {
		size_t n = strcspn(real, "/");
		bool last = !real[n];
		real[n] = '\0';
		int next = enter_dir(dir, real, last ? mode : 0755, ret_made);
		(void)close(dir);
		dir = next;
		real += last ? n : n + 1;
	}
	return steal_fd(&dir);
}

/* Makes the last component of path where nothing else is missing, which is nearly always so: a third
 * of the system calls of the long way, which begins with every component. Anything else, such as
 * a dangling link in its place, is an error and left to the long way. */
static int make_last_dir(struct stage *s, const char *path, mode_t mode, bool *ret_made)
{
	char name[NAME_MAX + 1];
	close_fd int parent = path_open_parent(s, path, false, name, sizeof(name));

	return parent < 0 ? parent : enter_dir(parent, name, mode, ret_made);
}

int path_make_dir_new(struct stage *s, const char *path, mode_t mode, bool *ret_made)
{
	int fd = path_open(s, path, O_PATH | O_DIRECTORY);
	struct walk w;

	*ret_made = false;
	if (fd != -ENOENT)
		return fd;
	fd = make_last_dir(s, path, mode, ret_made);
	if (fd >= 0)
		return fd;
	int e = walk_name(s, &w, path);
	return e ? e : enter_real(s, w.real, mode, ret_made);
}

int path_make_dir(struct stage *s, const char *path, mode_t mode)
{
	bool made;

	return path_make_dir_new(s, path, mode, &made);
}

int path_make_plain_dir(struct stage *s, const char *path, mode_t mode)
{
	struct walk w = { .missing = true }; /* reads no link, so links are met by enter_dir */
	bool made;
	size_t n;

	for (; *path; path += n) {
		n = strcspn(path, "/");
		if (n == 2 && path[0] == '.' && path[1] == '.')
			return -EINVAL;
		int e = n == 0 || (n == 1 && path[0] == '.') ? 0 : walk_push(&w, path, n);
		if (e)
			return e;
		n += path[n] == '/';
	}
	return enter_real(s, w.real, mode, &made);
}

/* Splits off the last component. -EINVAL where it names no entry of its parent. */
static int split_last(char *path, char **ret_name)
{
	size_t n = strlen(path);

	while (n > 0 && path[n - 1] == '/')
		path[--n] = '\0';
	char *slash = strrchr(path, '/');
	char *name = slash ? slash + 1 : path;
	if (!*name || streq(name, ".") || streq(name, ".."))
		return -EINVAL;
	*ret_name = name;
	return slash ? (int)(slash - path) : 0;
}

/* The directory that holds path's last component, which is copied to ret_name and not looked at. */
int path_open_parent(struct stage *s, const char *path, bool make, char *ret_name, size_t name_size)
{
	char dir[PATH_MAX], *name = NULL;

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	copy_str(dir, sizeof(dir), path);
	int end = split_last(dir, &name);
	if (end < 0)
		return end;
	if (strlen(name) >= name_size)
		return -ENAMETOOLONG;
	copy_str(ret_name, name_size, name);
	if (end == 0) /* the parent is the root, whatever the leading slash */
		copy_str(dir, sizeof(dir), "/");
	else
		dir[end] = '\0';
	return make ? path_make_dir(s, dir, 0755) : path_open(s, dir, O_PATH | O_DIRECTORY);
}

static int make_one_file(int dir, const char *name, mode_t mode)
{
	mode_t mask = umask(0);
	int fd = (int)sys_result(
		openat(dir, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));

	(void)umask(mask);
	return fd;
}

/* The file is there: it serves, unless it is a link. */
static int open_other_file(int dir, const char *name)
{
	close_fd int fd = (int)sys_result(openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISLNK(st.st_mode) ? -ELOOP : steal_fd(&fd);
}

int path_file_at(int dir, const char *name, mode_t mode)
{
	int fd = make_one_file(dir, name, mode);

	return fd == -EEXIST ? open_other_file(dir, name) : fd;
}

/* Opens what is there (O_PATH), or makes an empty file and what is missing above it. */
int path_make_file(struct stage *s, const char *path, mode_t mode)
{
	int fd = path_open(s, path, O_PATH);
	char *name = NULL;
	struct walk w;
	bool made;

	if (fd != -ENOENT)
		return fd;
	int e = walk_name(s, &w, path);
	if (e)
		return e;
	e = split_last(w.real, &name);
	if (e < 0)
		return e;
	if (e > 0)
		w.real[e] = '\0';
	char none[1] = "";
	close_fd int dir = enter_real(s, e > 0 ? w.real : none, 0755, &made);
	if (dir < 0)
		return dir;
	return path_file_at(dir, name, mode);
}

int path_reopen(struct stage *s, int fd, int flags)
{
	char name[48];
	int proc = proc_open(s);

	if (proc < 0)
		return proc;
	(void)snprintf(name, sizeof(name), "self/fd/%d", fd);
	return (int)sys_result(openat(proc, name, flags | O_CLOEXEC));
}

int path_take_fd(struct stage *s, int fd)
{
	for (size_t i = 0; i < s->plan.n_fds; i++)
		if (s->plan.fds[i] == fd)
			s->plan.fds[i] = -1;
	return fd;
}

int path_same(int a, int b)
{
	struct kernel_statx x, y;
	int e = sys_statx(a, &x);

	if (!e)
		e = sys_statx(b, &y);
	if (e)
		return e;
	return x.ino == y.ino && x.dev_major == y.dev_major && x.dev_minor == y.dev_minor &&
	       x.mnt_id == y.mnt_id;
}
