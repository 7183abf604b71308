// SPDX-License-Identifier: Apache-2.0
/* What depends on the user the program runs as: HOME, the standard descriptors, the directory. */
#include "stage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct uid_args {
	int64_t uid;
};

static const struct field uid_fields[] = {
	FIELD(struct uid_args, F_ID, uid, "uid", FIELD_REQUIRED),
};

#define home_args uid_args
#define stdio_args uid_args

/* One line of passwd(5): name:password:uid:gid:gecos:home:shell. */
static bool home_of_line(struct stage *s, char *line, uint64_t uid)
{
	char *field[7];
	uint64_t v = 0;

	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = line;
		line += strcspn(line, ":");
		if (*line)
			*line++ = '\0';
	}
	if (!*field[2] || strlen(field[2]) > 10)
		return false;
	for (const char *d = field[2]; *d; d++) {
		if (*d < '0' || *d > '9')
			return false;
		v = v * 10 + (uint64_t)(*d - '0');
	}
	if (v != uid || !*field[5])
		return false;
	struct text t = { .buf = s->home_buf, .size = sizeof(s->home_buf) };
	text_str(&t, "HOME=");
	text_str(&t, field[5]);
	return !t.cut;
}

/* Reads the container's passwd in pieces; a line longer than the buffer is nobody's. */
static bool home_of_file(struct stage *s, int fd, uint64_t uid)
{
	char buf[4096];
	size_t have = 0;
	bool skip = false;

	for (;;) {
		ssize_t n = read(fd, buf + have, sizeof(buf) - 1 - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 && have == 0)
			return false;
		have += n > 0 ? (size_t)n : 0;
		char *end = memchr(buf, '\n', have);
		if (!end && n > 0 && have < sizeof(buf) - 1)
			continue;
		char *stop = end ? end : buf + have;
		*stop = '\0';
		if (!skip && home_of_line(s, buf, uid))
			return true;
		skip = !end;
		size_t used = end ? (size_t)(end + 1 - buf) : have;
		have -= used;
		memmove(buf, buf + used, have);
		if (n <= 0 && have == 0)
			return false;
	}
}

/* A missing or strange passwd is no error: the home is then "/", as with runc. */
static int home_run(struct stage *s, const void *args)
{
	const struct uid_args *a = args;
	close_fd int fd = path_open(s, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !home_of_file(s, fd, (uint64_t)a->uid))
		copy_str(s->home_buf, sizeof(s->home_buf), "HOME=/");
	s->home = s->home_buf;
	return 0;
}

STEP_IMPL(home, uid_fields, NULL, home_run);

/*
 * Gives stdio to the user, so that /dev/stderr can be opened by path. /dev/null is left alone;
 * what cannot change hands (read-only, not mapped, not ours) stays as it is.
 */
static int stdio_run(struct stage *s, const void *args)
{
	const struct uid_args *a = args;
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st) < 0) {
			if (errno == EBADF)
				continue;
			return stage_fail(s, errno, "fstat", "descriptor %d", fd);
		}
		if ((int64_t)st.st_uid == a->uid ||
		    (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)))
			continue;
		if (fchown(fd, (uid_t)a->uid, (gid_t)-1) < 0 && errno != EINVAL && errno != EPERM &&
		    errno != EROFS)
			return stage_fail(s, errno, "fchown", "descriptor %d", fd);
	}
	return 0;
}

STEP_IMPL(stdio, uid_fields, NULL, stdio_run);

struct cwd_args {
	const char *path;
	bool make;
	bool retry;
};

static const struct field cwd_fields[] = {
	FIELD(struct cwd_args, F_STRING, path, "path", FIELD_REQUIRED),
	FIELD(struct cwd_args, F_BOOL, make, "make", FIELD_OPTIONAL),
	FIELD(struct cwd_args, F_BOOL, retry, "retry", FIELD_OPTIONAL),
};

/*
 * The kernel's getcwd starts with "(unreachable)" for a directory outside of the root, which a
 * leaked descriptor could give (CVE-2024-21626).
 */
static int check_inside(struct stage *s, const char *path)
{
	char buf[4096];

	if (syscall(SYS_getcwd, buf, sizeof(buf)) < 0)
		return stage_fail(s, errno, path, "getcwd");
	if (buf[0] != '/')
		return stage_fail(s, ENOENT, path,
				  "the directory is outside of the container's root");
	return 0;
}

int cwd_enter(struct stage *s, const char *path)
{
	if (chdir(path) < 0)
		return stage_fail(s, errno, path, "chdir");
	return check_inside(s, path);
}

static int cwd_run(struct stage *s, const void *args)
{
	const struct cwd_args *a = args;

	if (a->make) {
		close_fd int fd = path_make_dir(s, a->path, 0755);
		if (fd < 0 && fd != -EEXIST)
			return stage_fail(s, fd, a->path, "mkdir");
	}
	int e = cwd_enter(s, a->path);
	if (!a->retry || (e != -EACCES && e != -EPERM))
		return e;
	s->cwd_retry = a->path;
	return 0;
}

STEP_IMPL(cwd, cwd_fields, NULL, cwd_run);

struct umask_args {
	uint32_t mask;
};

static const struct field umask_fields[] = {
	FIELD(struct umask_args, F_U32, mask, "mask", FIELD_REQUIRED),
};

static int umask_run(struct stage *s, const void *args)
{
	const struct umask_args *a = args;

	(void)s;
	(void)umask(a->mask);
	return 0;
}

STEP_IMPL(umask, umask_fields, NULL, umask_run);
