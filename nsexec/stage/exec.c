// SPDX-License-Identifier: Apache-2.0
/* The last steps: descriptors, the program's name, and execve. */
#include "stage.h"

#include "failpoint.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct close_fds_args {
	uint32_t keep;
	bool limit;
	uint64_t soft, hard;
};

static const struct field close_fds_fields[] = {
	FIELD(struct close_fds_args, F_U32, keep, "keep", FIELD_REQUIRED),
	FIELD(struct close_fds_args, F_BOOL, limit, "limit", FIELD_OPTIONAL),
	FIELD(struct close_fds_args, F_U64, soft, "soft", FIELD_OPTIONAL),
	FIELD(struct close_fds_args, F_U64, hard, "hard", FIELD_OPTIONAL),
};

static long close_between(unsigned int first, unsigned int last)
{
	return first > last ? 0 : syscall(SYS_close_range, first, last, 0);
}

static long close_all_but(unsigned int first, const int *kept, size_t n)
{
	for (;;) {
		unsigned int next = UINT_MAX;
		for (size_t i = 0; i < n; i++)
			if (kept[i] >= (int)first && (unsigned int)kept[i] < next)
				next = (unsigned int)kept[i];
		if (next == UINT_MAX)
			return close_between(first, UINT_MAX);
		if (close_between(first, next - 1) < 0)
			return -1;
		first = next + 1;
	}
}

/*
 * Closes all but the program's and the sync socket, for good: execve(2) looks up the program, its
 * interpreter and its loader before it closes what is close-on-exec, so that a directory of the host's
 * that were still open then would be a way out by /proc/self/fd/N/.. (CVE-2024-21626).
 */
static int close_fds_run(struct stage *s, const void *args)
{
	const struct close_fds_args *a = args;
	const int kept[] = { s->sync.fd, failpoint_seen(), failpoint_executioner() };

	if (close_all_but(a->keep, kept, ARRAY_SIZE(kept)) < 0)
		return stage_fail(s, errno, "close_range", NULL);
	s->root_fd = s->proc_fd = s->host_proc_fd = -1;
	s->plan.n_fds = 0;
	if (a->limit && setrlimit(RLIMIT_NOFILE, &(struct rlimit){ a->soft, a->hard }) < 0)
		return stage_fail(s, errno, "RLIMIT_NOFILE", NULL);
	return 0;
}

STEP_IMPL(close_fds, close_fds_fields, NULL, close_fds_run);

struct lookup_args {
	const char *name;
	const char *path;
};

static const struct field lookup_fields[] = {
	FIELD(struct lookup_args, F_STRING, name, "name", FIELD_REQUIRED),
	FIELD(struct lookup_args, F_STRING, path, "path", FIELD_OPTIONAL),
};

/* The rules of Go's os/exec, which runc's users see: a regular path first, then the execute bit for
 * the real user, so that capabilities which the program will not have do not count. */
static int program_error(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (faccessat(AT_FDCWD, path, X_OK, 0) < 0)
		return -errno;
	return st.st_mode & 0111 ? 0 : -EACCES;
}

/* dir/name into the stage's buffer; an empty element of PATH is the working directory. */
static bool join_path(struct stage *s, const char *dir, size_t dir_len, const char *name)
{
	struct text t = { .buf = s->program_buf, .size = sizeof(s->program_buf) };

	if (dir_len)
		text_add(&t, dir, dir_len);
	else
		text_str(&t, ".");
	text_str(&t, "/");
	text_str(&t, name);
	return !t.cut;
}

static bool search_path(struct stage *s, const char *path, const char *name)
{
	for (;;) {
		size_t n = strcspn(path, ":");
		if (join_path(s, path, n, name) && program_error(s->program_buf) == 0)
			return true;
		if (!path[n])
			return false;
		path += n + 1;
	}
}

static int lookup_run(struct stage *s, const void *args)
{
	const struct lookup_args *a = args;

	if (strchr(a->name, '/')) {
		int e = program_error(a->name);
		s->program = a->name;
		return e ? stage_fail(s, e, a->name, NULL) : 0;
	}
	if (!a->path || !*a->name || !search_path(s, a->path, a->name))
		return stage_fail(s, ENOENT, a->name, NULL);
	s->program = s->program_buf;
	return 0;
}

STEP_IMPL(lookup, lookup_fields, NULL, lookup_run);

struct exec_args {
	struct strings args;
	struct strings env;
	bool listen_pid;
};

static const struct field exec_fields[] = {
	FIELD(struct exec_args, F_STRINGS, args, "args", FIELD_REQUIRED),
	FIELD(struct exec_args, F_STRINGS, env, "env", FIELD_REQUIRED),
	FIELD(struct exec_args, F_BOOL, listen_pid, "listenPid", FIELD_OPTIONAL),
};

static int exec_check(struct stage *s, const void *args)
{
	const struct exec_args *a = args;

	return a->args.n ? 0 : stage_fail(s, EBADMSG, "args", "empty");
}

/* The environment with HOME and LISTEN_PID, which only the stage knows. */
static char **environment(struct stage *s, const struct exec_args *a, char *listen_pid, size_t size)
{
	struct text t = { .buf = listen_pid, .size = size };
	char **env = arena_take(&s->plan.arena, (a->env.n + 3) * sizeof(char *));
	size_t n = a->env.n;

	if (!env)
		return NULL;
	memcpy(env, a->env.v, n * sizeof(char *));
	if (s->home)
		env[n++] = s->home_buf;
	if (a->listen_pid) {
		text_str(&t, "LISTEN_PID=");
		text_i64(&t, getpid());
		env[n++] = listen_pid;
	}
	env[n] = NULL;
	return env;
}

static int exec_run(struct stage *s, const void *args)
{
	const struct exec_args *a = args;
	char listen_pid[32];
	char **env = environment(s, a, listen_pid, sizeof(listen_pid));

	if (!env)
		return stage_fail(s, E2BIG, a->args.v[0], NULL);
	if (!s->program)
		return stage_fail(s, EPROTO, a->args.v[0], "no lookup before exec");
	execve(s->program, a->args.v, env);
	return stage_fail(s, errno, s->program, NULL);
}

STEP_IMPL(exec, exec_fields, exec_check, exec_run);
