// SPDX-License-Identifier: Apache-2.0
/* The points at which stage-1 tells the runtime how far it is, and waits for it. */
#include "stage.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* One row of handshake.TraceBody. Rows that do not fit are dropped: a trace is a view, not a record. */
void trace_add(struct stage *s, uint32_t step, const char *op, int64_t start_ns,
	       int64_t duration_ns)
{
	char row[128];
	struct text t = { .buf = row, .size = sizeof(row) };

	text_str(&t, s->trace_rows.len ? ",{\"step\":" : "{\"step\":");
	text_u64(&t, step);
	text_str(&t, ",\"op\":");
	text_json(&t, op);
	text_str(&t, ",\"start\":");
	text_i64(&t, start_ns);
	text_str(&t, ",\"duration\":");
	text_i64(&t, duration_ns);
	text_str(&t, "}");
	if (s->trace_rows.len + t.len < sizeof(s->trace_buf) - 32)
		text_add(&s->trace_rows, row, t.len);
}

/* Sends a report, with the times collected since the last one where the plan asked for them. */
int sync_report(struct stage *s, const char *type)
{
	static char body[sizeof(s->trace_buf) + 32];
	struct text t = { .buf = body, .size = sizeof(body) };

	if (s->trace && s->trace_rows.len) {
		text_str(&t, "{\"steps\":[");
		text_add(&t, s->trace_rows.buf, s->trace_rows.len);
		text_str(&t, "]}");
	}
	s->trace_rows = (struct text){ .buf = s->trace_buf, .size = sizeof(s->trace_buf) };
	return frame_send(s, type, body, t.len, NULL, 0);
}

struct state_body {
	const char *state;
};

static const struct field state_fields[] = {
	FIELD(struct state_body, F_STRING, state, "state", FIELD_REQUIRED),
};

/* Reads proceed or start. Its frame stays mapped, since s->state points into it. */
static int read_state(struct stage *s, const char *type)
{
	static struct frame f;
	struct state_body body = { 0 };
	int e = frame_expect(s, &f, type);

	if (e)
		return e;
	if (!f.body)
		return stage_fail(s, EBADMSG, type, "body missing");
	e = fields_read(s, &f, f.body, FIELDS(state_fields), &body);
	if (!e)
		s->state = body.state;
	return e;
}

static int mounted_run(struct stage *s, const void *args)
{
	(void)args;
	int e = sync_report(s, "mounted");
	return e ? e : read_state(s, "proceed");
}

STEP_IMPL_BARE(mounted, mounted_run);

struct created_args {
	int fd;
};

static const struct field created_fields[] = {
	FIELD(struct created_args, F_FD, fd, "fd", FIELD_REQUIRED),
};

static void die_of(int sig)
{
	_exit(128 + sig);
}

/*
 * A PID namespace's init is immune to signals that it has no handler for, so a created container
 * would survive `kill ID TERM`. runc's init, a Go program, dies of these; so do we. And whatever
 * the runtime was started with, a process that waits can be ended.
 */
int die_of_signals(struct stage *s)
{
	static const int signals[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGABRT,
				       SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGSTKFLT };
	struct sigaction die = { .sa_handler = die_of };
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigaction(signals[i], &die, NULL) < 0)
			return stage_fail(s, errno, "signal handler", NULL);
	(void)sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
		return stage_fail(s, errno, "signal mask", NULL);
	return 0;
}

static int accept_client(struct stage *s)
{
	int fd;

	do {
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0)
		return stage_fail(s, errno, "start socket", NULL);
	s->sync = (struct sync){ .fd = fd };
	return 0;
}

/* How long a client may hold others up: far more than one needs between connect and start. */
enum { CLIENT_SECONDS = 5 };

/* How long a read may wait; 0: for ever. */
static void client_limit(struct stage *s, int seconds)
{
	struct timeval limit = { .tv_sec = seconds };

	(void)setsockopt(s->sync.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/*
 * Waits for a client's first byte. A client that is alone may take all the time it wants (it may be
 * stopped, or frozen); once the next one knocks, it may not. What it has begun to say it has to
 * finish in any case.
 */
static int client_speaks(struct stage *s)
{
	struct pollfd fds[] = { { .fd = s->sync.fd, .events = POLLIN },
				{ .fd = s->listener, .events = POLLIN } };
	int n;

	client_limit(s, CLIENT_SECONDS);
	do {
		n = poll(fds, ARRAY_SIZE(fds), -1);
		if (n > 0 && !fds[0].revents)
			n = poll(fds, 1, CLIENT_SECONDS * 1000);
	} while (n < 0 && errno == EINTR);
	return n ? 0 :
		   stage_fail(s, ETIMEDOUT, "start socket",
			      "a silent client makes way for the next");
}

/*
 * Waits until a client has said start. A client that dies, talks nonsense or holds others up before
 * that is answered where it still listens, and the next one is waited for: the container stays
 * created.
 */
static int wait_for_start(struct stage *s)
{
	for (;;) {
		int e = accept_client(s);
		if (e)
			return e;
		e = client_speaks(s);
		if (!e)
			e = read_state(s, "start");
		if (!e) {
			client_limit(s,
				     0); /* the container is under way: no delay ends it any more */
			return 0;
		}
		stage_tell(s, STEP_CODE_created);
		(void)close(s->sync.fd);
	}
}

static int created_run(struct stage *s, const void *args)
{
	const struct created_args *a = args;
	int e = die_of_signals(s);

	if (e)
		return e;
	/* From here on the container outlives the runtime that made it, and its hooks run beside us. */
	(void)prctl(PR_SET_PDEATHSIG, 0);
	proc_close(s);
	s->listener = a->fd;
	e = sync_report(s, "created");
	if (e)
		return e;
	(void)close(s->sync.fd);
	e = wait_for_start(s);
	(void)close(s->listener);
	s->listener = -1;
	return e;
}

STEP_IMPL(created, created_fields, NULL, created_run);

static int executing_run(struct stage *s, const void *args)
{
	(void)args;
	(void)prctl(PR_SET_PDEATHSIG, 0);
	return sync_report(s, "executing");
}

STEP_IMPL_BARE(executing, executing_run);
