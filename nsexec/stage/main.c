// SPDX-License-Identifier: Apache-2.0
/*
 * The stage: what runs between the runtime and a container's process. Called as
 *
 *	stage sync FD RUNTIME-PID	stage-0, frames on FD
 *	stage clean PROGRAM [ARG...]	executes PROGRAM with clean signals (hooks)
 */
#include "failpoint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/prctl.h>

static int number(const char *s)
{
	char *end;
	long v = strtol(s, &end, 10);

	return *s && !*end && v >= 0 && v <= INT32_MAX ? (int)v : -1;
}

/* Static: a few tens of kilobytes. */
static struct stage stage = {
	.side = "stage-0", .listener = -1, .root_fd = -1, .proc_fd = -1, .host_proc_fd = -1
};

int main(int argc, char **argv, char **env)
{
	/* First of all, so that nobody in a namespace about to be entered can trace us
	 * (CVE-2016-9962), read our memory or take our descriptors. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		_exit(STEP_CODE_start);
	failpoint_init(env);
	if (argc >= 3 && streq(argv[1], "clean"))
		clean_main(&stage, argv + 2, env);
	if (argc != 4 || !streq(argv[1], "sync"))
		_exit(STEP_CODE_start);
	stage.sync.fd = number(argv[2]);
	stage.trace_rows = (struct text){ .buf = stage.trace_buf, .size = sizeof(stage.trace_buf) };
	if (fcntl(stage.sync.fd, F_SETFD, FD_CLOEXEC) < 0)
		_exit(STEP_CODE_start);
	stage0_main(&stage, number(argv[3]));
}
