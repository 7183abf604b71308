// SPDX-License-Identifier: Apache-2.0
/*
 * The built-in init: the stage stays as pid 1 and the program becomes its child. A subreaper
 * outside cannot reap inside a PID namespace, since orphans go to the namespace's init
 * (pid_namespaces(7)).
 */
#include "stage.h"

#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct init_args {
	bool subreaper;
};

static const struct field init_fields[] = {
	FIELD(struct init_args, F_BOOL, subreaper, "subreaper", FIELD_OPTIONAL),
};

/* Reaps all that is there. Leaves with the program's status once the program is gone: as pid 1 that
 * ends the whole namespace, as a subreaper the rest goes to whoever comes next. */
static void reap(pid_t program)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != program)
			continue;
		_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
}

static _Noreturn void init_loop(pid_t program, const sigset_t *all)
{
	for (;;) {
		int sig = sigwaitinfo(all, NULL);
		if (sig == SIGCHLD)
			reap(program);
		else if (sig > 0)
			(void)kill(program, sig);
	}
}

/* Everything is blocked before the fork, so that no exit and no signal is missed; the program's
 * own mask is emptied by the step signals, which comes later in the plan. */
static int init_run(struct stage *s, const void *args)
{
	const struct init_args *a = args;
	sigset_t all;

	if (a->subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return stage_fail(s, errno, "PR_SET_CHILD_SUBREAPER", NULL);
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGTTIN);
	(void)sigdelset(&all, SIGTTOU);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return stage_fail(s, errno, "sigprocmask", NULL);
	pid_t program = fork();
	if (program < 0)
		return stage_fail(s, errno, "fork", NULL);
	if (program == 0)
		return 0;
	(void)prctl(PR_SET_NAME, "runack:[init]");
	(void)caps_keep(s, 1ULL << CAP_KILL);
	/* The socket must not stay open here: its end tells that the program was executed. */
	(void)syscall(SYS_close_range, 0, UINT_MAX, 0);
	frame_free(&s->plan);
	init_loop(program, &all);
}

STEP_IMPL(init, init_fields, NULL, init_run);
