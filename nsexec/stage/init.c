// SPDX-License-Identifier: Apache-2.0
/*
 * The built-in init: the stage stays as pid 1 and the program becomes its child. A subreaper
 * outside cannot reap inside a PID namespace, since orphans go to the namespace's init
 * (pid_namespaces(7)).
 *
 * For one exec'd tree (subreaper) two processes stay. stage-1 is the one that the runtime and its
 * callers know and wait for: it stands in for the program and leaves with its status, at once. Its
 * sibling, the reaper, is the program's parent, adopts what the program leaves behind, and leaves
 * when nothing is left. It is no child of stage-1's but of stage-1's parent, outside of the PID
 * namespace: left to the namespace's init it could become the very zombie that it is to prevent.
 */
#include "stage.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

struct init_args {
	bool subreaper;
};

static const struct field init_fields[] = {
	FIELD(struct init_args, F_BOOL, subreaper, "subreaper", FIELD_OPTIONAL),
};

/* A process that stays. */
struct keeper {
	pid_t target; /* who gets our signals; 0 once it is gone */
	int signals; /* signalfd of everything */
	int status; /* the reaper's end of a pipe to stage-1, or stage-1's end; -1 for pid 1 */
	bool alone; /* stage-1 is gone, or has been told the program's status */
};

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The program's end is the end of pid 1, and with it of the whole namespace. The reaper of an
 * exec'd tree tells it to stage-1 and stays. */
static void program_ended(struct keeper *k, int code)
{
	if (k->status < 0)
		_exit(code);
	(void)write(k->status, &code, sizeof(code)); /* stage-1 may be gone */
	k->alone = true;
	k->target = 0;
}

/* The exit signal of a child that has not executed the program: execve makes it SIGCHLD. wait(2) tells
 * the two kinds apart by __WCLONE (clone(2)), so that nothing needs to be asked of /proc. */
enum { UNEXECUTED = SIGURG };

/* Says by our name that the program was never executed. It comes before the zombie goes: one of the
 * two is there to read at any time. */
static void note_unexecuted(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WCLONE) == 0 &&
	    info.si_pid == pid)
		(void)prctl(PR_SET_NAME, "runack:[died]");
}

static void reap(struct keeper *k)
{
	for (;;) {
		siginfo_t info = { .si_pid = 0 };
		int status;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
			break;
		if (info.si_pid == 0)
			return;
		if (info.si_pid == k->target)
			note_unexecuted(k->target);
		if (waitpid(info.si_pid, &status, __WALL) == k->target)
			program_ended(k, exit_code(status));
	}
	if (errno == ECHILD && !k->target)
		_exit(0);
}

/* A child's end. Like any signal it may be lost in one that is pending, so whoever takes a signal
 * reaps as well. */
static bool of_child(const struct signalfd_siginfo *info)
{
	return info->ssi_signo == SIGCHLD ||
	       (info->ssi_signo == UNEXECUTED && info->ssi_code >= CLD_EXITED &&
		info->ssi_code <= CLD_DUMPED);
}

static void take_signal(struct keeper *k)
{
	struct signalfd_siginfo info;

	if (read(k->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (k->target && !of_child(&info))
		(void)kill(k->target, (int)info.ssi_signo);
	reap(k);
}

/* pid 1, and the reaper. Whoever kills stage-1 means the program: its end of the pipe is gone then. */
static _Noreturn void keep_reaping(struct keeper *k)
{
	for (;;) {
		struct pollfd fds[] = { { .fd = k->signals, .events = POLLIN },
					{ .fd = k->alone ? -1 : k->status } };
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[0].revents)
			take_signal(k);
		if (fds[1].revents && !k->alone) {
			k->alone = true;
			(void)kill(k->target, SIGKILL);
		}
	}
}

/* stage-1, in the program's place. */
static _Noreturn void keep_standing_in(struct keeper *k)
{
	int code = 128 + SIGKILL; /* of a reaper that was killed */

	for (;;) {
		struct pollfd fds[] = { { .fd = k->signals, .events = POLLIN },
					{ .fd = k->status, .events = POLLIN } };
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents) {
			(void)read(k->status, &code, sizeof(code));
			_exit(code);
		}
		take_signal(k);
	}
}

/* Lets go of everything but the rights to signal and one descriptor, which becomes the first. The
 * sync socket must not stay open here: its end tells that the program was executed. */
static void let_go(struct stage *s, struct keeper *k)
{
	sigset_t all;

	(void)prctl(PR_SET_PDEATHSIG, 0);
	(void)caps_keep(s, 1ULL << CAP_KILL);
	(void)chdir("/");
	if (k->status >= 0)
		k->status = dup2(k->status, 0);
	(void)syscall(SYS_close_range, k->status >= 0 ? 1 : 0, UINT_MAX, 0);
	frame_free(&s->plan);
	(void)sigfillset(&all);
	k->signals = signalfd(-1, &all, 0);
	if (k->signals < 0 || confine() < 0)
		_exit(STEP_CODE_init);
}

/* A process group of the program's own, as a shell would give it: what a terminal sends to the
 * group in front must reach the program once, not a second time by way of us. */
static void own_group(void)
{
	(void)setpgid(0, 0);
	(void)tcsetpgrp(0, getpid()); /* ENOTTY without a terminal */
}

/* A fork by clone's flags. Raw, since libc has none that takes them. */
static pid_t fork_with(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
}

/* Forks the program; the parent comes back with its keeper set. It takes its name before: by that
 * the runtime knows that the program is below. */
static int fork_program(struct stage *s, struct keeper *k, const char *name)
{
	(void)prctl(PR_SET_NAME, name);
	k->target = fork_with(UNEXECUTED);
	if (k->target < 0)
		return stage_fail(s, errno, "clone", NULL);
	if (k->target == 0) {
		(void)prctl(PR_SET_NAME, "runack:[stage1]");
		own_group();
	}
	return 0;
}

/* The reaper: comes back as the program, or with an error, which is reported as the stage's. */
static int become_reaper(struct stage *s, int status)
{
	struct keeper k = { .status = status };

	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return stage_fail(s, errno, "PR_SET_CHILD_SUBREAPER", NULL);
	int e = fork_program(s, &k, "runack:[reaper]");
	if (e || k.target == 0)
		return e;
	let_go(s, &k);
	keep_reaping(&k);
}

static int stand_in(struct stage *s)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return stage_fail(s, errno, "pipe", NULL);
	(void)prctl(PR_SET_NAME, "runack:[exec]");
	struct keeper k = { .status = ends[0], .target = fork_with(CLONE_PARENT) };
	if (k.target < 0)
		return stage_fail(s, errno, "clone", NULL);
	if (k.target == 0) {
		(void)close(ends[0]);
		return become_reaper(s, ends[1]);
	}
	let_go(s, &k);
	keep_standing_in(&k);
}

/* Everything is blocked before the fork, so that no exit and no signal is missed; the program's
 * own mask is emptied by the step signals, which comes later in the plan. */
static int init_run(struct stage *s, const void *args)
{
	const struct init_args *a = args;
	struct keeper k = { .status = -1 };
	sigset_t all;

	(void)sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return stage_fail(s, errno, "sigprocmask", NULL);
	if (a->subreaper)
		return stand_in(s);
	int e = fork_program(s, &k, "runack:[init]");
	if (e || k.target == 0)
		return e;
	let_go(s, &k);
	keep_reaping(&k);
}

STEP_IMPL(init, init_fields, NULL, init_run);
