// SPDX-License-Identifier: Apache-2.0
/* Executes a program of the runtime's side, a hook, with clean signals. */
#include "stage.h"

#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>

/* argv is the program's path, its argv[0], and its arguments. The last words go to stderr, which
 * the runtime keeps. */
void clean_main(struct stage *s, char **argv, char **env)
{
	int err;

	s->side = "hook";
	if (stage_at(s, STEP_CODE_clean))
		_exit(STEP_CODE_clean);
	/* Go's own descriptors are close-on-exec; what the runtime inherited (LISTEN_FDS,
	 * --preserve-fds) is not. */
	if (signals_reset() < 0 ||
	    syscall(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(STEP_CODE_clean);
	execve(argv[0], argv[1] ? argv + 1 : argv, env);
	err = errno;
	(void)dprintf(STDERR_FILENO, "execve %s: errno %d\n", argv[0], err);
	_exit(err == ENOENT ? 127 : 126);
}
