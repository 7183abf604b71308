// SPDX-License-Identifier: Apache-2.0
/*
 * A clean slate for the program: nothing blocked, nothing ignored. Both survive execve, and a
 * child that inherits a blocked SIGCHLD hangs. Raw system calls, since libc hides signals 32 to 34
 * and keeps them from sigprocmask.
 */
#include "stage.h"

#include <signal.h>

/* The kernel's struct sigaction on x86_64, arm64 and riscv differs by sa_restorer alone; all zero
 * means the default action, an empty mask and no flags everywhere. */
struct kernel_sigaction {
	uint64_t zero[4];
};

enum { KERNEL_SIGSET = 8, KERNEL_NSIG = 64 };

int signals_reset(void)
{
	static const struct kernel_sigaction dfl;
	uint64_t none = 0;

	for (int sig = 1; sig <= KERNEL_NSIG; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		if (syscall(SYS_rt_sigaction, sig, &dfl, NULL, KERNEL_SIGSET) < 0)
			return -errno;
	}
	/* Last: a pending signal now meets its default action. */
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGSET) < 0)
		return -errno;
	return 0;
}

static int signals_run(struct stage *s, const void *args)
{
	(void)args;
	int e = signals_reset();
	return e ? stage_fail(s, e, "", NULL) : 0;
}

STEP_IMPL_BARE(signals, signals_run);
