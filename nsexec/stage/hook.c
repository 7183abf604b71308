// SPDX-License-Identifier: Apache-2.0
/* Hooks of the container's namespaces: createContainer and startContainer. */
#include "stage.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

struct hook_args {
	const char *point;
	uint32_t index;
	const char *path;
	struct strings args;
	struct strings env;
	int64_t timeout; /* milliseconds, 0 for none */
};

static const struct field hook_fields[] = {
	FIELD(struct hook_args, F_STRING, point, "point", FIELD_REQUIRED),
	FIELD(struct hook_args, F_U32, index, "index", FIELD_REQUIRED),
	FIELD(struct hook_args, F_STRING, path, "path", FIELD_REQUIRED),
	FIELD(struct hook_args, F_STRINGS, args, "args", FIELD_REQUIRED),
	FIELD(struct hook_args, F_STRINGS, env, "env", FIELD_REQUIRED),
	FIELD(struct hook_args, F_I64, timeout, "timeout", FIELD_OPTIONAL),
};

/* Why the child has not executed the hook; in memory that it shares with its parent. */
struct unexecuted {
	int err; /* 0: it has */
	char step[256];
};

/* What the runtime's side keeps of a running hook. */
struct running {
	pid_t pid;
	int pidfd;
	int output;
	struct unexecuted *why;
	char text[1536];
	size_t len;
	size_t taken; /* with what did not fit */
};

/* The state on a file of its own: a hook that never reads it cannot block us, as with a pipe. */
static int state_file(struct stage *s)
{
	close_fd int fd = (int)sys_result(syscall(SYS_memfd_create, "oci-state", MFD_CLOEXEC));
	size_t len = strlen(s->state), done = 0;

	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, s->state + done, len - done);
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return steal_fd(&fd);
}

/*
 * A startContainer hook is a file of the container, so it runs with the rights of the container's
 * program and no more: a hostile image must not get a root that its user is not.
 */
static _Noreturn void hook_child(struct stage *s, const struct hook_args *a, int state, int output,
				 struct unexecuted *why)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(state, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
	    syscall(SYS_close_range, 3, UINT_MAX, 0) < 0 || signals_reset() < 0) {
		why->err = errno;
		copy_str(why->step, sizeof(why->step), "descriptors and signals");
		_exit(126);
	}
	/* Last, since the program's filter need not allow what is ours to do. */
	if (streq(a->point, "startContainer") && plan_take_rights(s)) {
		why->err = s->fail.err ? s->fail.err : EIO;
		copy_str(why->step, sizeof(why->step), s->fail.object);
		_exit(126);
	}
	execve(a->path, a->args.n ? a->args.v : (char *[]){ (char *)(uintptr_t)a->path, NULL },
	       a->env.v);
	why->err = errno;
	copy_str(why->step, sizeof(why->step), "execve");
	_exit(127);
}

static int hook_fork(struct stage *s, const struct hook_args *a, struct running *r, int state,
		     int output)
{
	struct clone_args clone = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&r->pidfd,
		.exit_signal = SIGCHLD,
	};

	r->pid = (pid_t)sys_result(syscall(SYS_clone3, &clone, sizeof(clone)));
	if (r->pid == 0)
		hook_child(s, a, state, output, r->why);
	return r->pid < 0 ? r->pid : 0;
}

/* Takes what is there; what exceeds the buffer is read and dropped, so that the hook never blocks. */
static bool take_output(struct running *r)
{
	char spill[1024];
	size_t room = sizeof(r->text) - 1 - r->len;
	ssize_t n = read(r->output, room ? r->text + r->len : spill, room ? room : sizeof(spill));

	if (n > 0)
		r->taken += (size_t)n;
	if (n > 0 && room)
		r->len += (size_t)n;
	return n > 0 || (n < 0 && errno == EINTR);
}

static int64_t now_ms(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for the hook's end, not for its output's: a grandchild may hold that open. */
static int hook_wait(struct running *r, int64_t timeout)
{
	int64_t deadline = timeout ? now_ms() + timeout : 0;
	struct pollfd p[2] = { { .fd = r->pidfd, .events = POLLIN },
			       { .fd = r->output, .events = POLLIN } };

	for (;;) {
		int64_t left = deadline ? deadline - now_ms() : -1;
		if (deadline && left <= 0)
			return -ETIMEDOUT;
		int n = poll(p, 2, left > INT_MAX ? INT_MAX : (int)left);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && p[1].revents && !take_output(r))
			p[1].fd = -1;
		if (n > 0 && p[0].revents)
			return 0;
	}
}

/* What the pipe holds once the hook has ended; a grandchild may go on writing. */
enum { REST_MAX = 1 << 20 };

static int hook_reap(struct running *r)
{
	int status = 0;
	size_t end = r->taken + REST_MAX;

	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
		;
	while (fcntl(r->output, F_SETFL, O_NONBLOCK) == 0 && r->taken < end && take_output(r))
		;
	while (r->len && (r->text[r->len - 1] == '\n' || r->text[r->len - 1] == ' '))
		r->len--;
	r->text[r->len] = '\0';
	return status;
}

static int hook_result(struct stage *s, const struct hook_args *a, const struct running *r,
		       int waited, int status)
{
	const char *sep = r->len ? ": " : "";
	char object[512];

	(void)snprintf(object, sizeof(object), "%s[%u] %s", a->point, a->index, a->path);
	if (waited == -ETIMEDOUT)
		return stage_fail(s, ETIMEDOUT, object, "killed after %lld ms%s%s",
				  (long long)a->timeout, sep, r->text);
	if (waited)
		return stage_fail(s, waited, object, NULL);
	if (r->why->err)
		return stage_fail(s, r->why->err, object, "%s", r->why->step);
	if (WIFSIGNALED(status))
		return stage_fail(s, 0, object, "signal %d%s%s", WTERMSIG(status), sep, r->text);
	if (WEXITSTATUS(status))
		return stage_fail(s, 0, object, "exit status %d%s%s", WEXITSTATUS(status), sep,
				  r->text);
	return 0;
}

static int hook_run_in(struct stage *s, const struct hook_args *a, struct running *r)
{
	close_fd int state = state_file(s);
	close_fd int output_end = -1;
	int pipe_fds[2];
	int e;

	if (state < 0)
		return stage_fail(s, state, a->path, "state file");
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return stage_fail(s, errno, a->path, "pipe");
	r->output = pipe_fds[0];
	output_end = pipe_fds[1];
	e = hook_fork(s, a, r, state, output_end);
	if (e)
		return stage_fail(s, e, a->path, "clone");
	(void)close(steal_fd(&output_end));
	int waited = hook_wait(r, a->timeout);
	if (waited)
		(void)kill(r->pid, SIGKILL);
	return hook_result(s, a, r, waited, hook_reap(r));
}

static int hook_run(struct stage *s, const void *args)
{
	const struct hook_args *a = args;
	struct running r = { .pidfd = -1, .output = -1 };
	int e;

	if (!s->state)
		return stage_fail(s, EPROTO, a->path, "a hook before proceed or start");
	r.why = mmap(NULL, sizeof(*r.why), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (r.why == MAP_FAILED)
		return stage_fail(s, errno, a->path, "mmap");
	e = hook_run_in(s, a, &r);
	(void)munmap(r.why, sizeof(*r.why));
	fd_cleanup(&r.pidfd);
	fd_cleanup(&r.output);
	return e;
}

STEP_IMPL(hook, hook_fields, NULL, hook_run);
