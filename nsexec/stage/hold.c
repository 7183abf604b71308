// SPDX-License-Identifier: Apache-2.0
/*
 * Step hold: an exec waits until a supervisor has opened a fifo, so that it can have the process
 * registered before the program runs, however short that is. The descriptor names the fifo and
 * nothing else (O_PATH), and is opened through the private procfs: no path of the container's leads
 * there.
 */
#include "stage.h"

#include "util.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

struct hold_args {
	int fd;
	bool detach;
};

static const struct field hold_fields[] = {
	FIELD(struct hold_args, F_FD, fd, "fd", FIELD_REQUIRED),
	FIELD(struct hold_args, F_BOOL, detach, "detach", FIELD_OPTIONAL),
};

static int open_fifo(struct stage *s, int fd)
{
	char path[32];
	struct text t = { .buf = path, .size = sizeof(path) };
	int proc = proc_open(s);
	int fifo;

	if (proc < 0)
		return proc;
	text_str(&t, "self/fd/");
	text_i64(&t, fd);
	do {
		fifo = openat(proc, path, O_WRONLY | O_CLOEXEC);
	} while (fifo < 0 && errno == EINTR);
	return fifo < 0 ? stage_fail(s, errno, "fifo", NULL) : fifo;
}

/* The byte is runc's: its `start` reads one from the fifo of a created container. A supervisor that
 * has closed the fifo already has said what it had to say. */
static int hold_run(struct stage *s, const void *args)
{
	const struct hold_args *a = args;
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int e = die_of_signals(s);

	if (e)
		return e;
	if (a->detach)
		(void)prctl(PR_SET_PDEATHSIG, 0); /* the runtime leaves once it has the report */
	e = sync_report(s, "holding");
	if (e)
		return e;
	if (a->detach) {
		/* What fails from here on is told by the exit code alone. */
		(void)close(s->sync.fd);
		s->sync.fd = -1;
	}
	close_fd int fifo = open_fifo(s, a->fd);
	if (fifo < 0)
		return fifo;
	(void)sigaction(SIGPIPE, &ignore, NULL); /* until step signals */
	(void)write(fifo, "0", 1);
	return 0;
}

STEP_IMPL(hold, hold_fields, NULL, hold_run);
