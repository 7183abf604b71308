// SPDX-License-Identifier: Apache-2.0
#include "failpoint.h"

#ifdef FAILPOINTS

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static struct point {
	char name[128];
	int passes; /* how often it is passed before it acts */
	char action[16];
	int number; /* an errno or a signal */
} points[8];

static size_t n_points;
static int seen = -1; /* file that gets the name of every point that is passed */
static int executioner = -1; /* socket of the process that kills us */

int failpoint_seen(void)
{
	return seen;
}

int failpoint_executioner(void)
{
	return executioner;
}

static const char *lookup_env(char **env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* A wrong list is a test's mistake, which must not pass for a run without failpoints. */
static _Noreturn void wrong(const char *item)
{
	(void)dprintf(STDERR_FILENO, "stage: failpoint not understood: %s\n", item);
	abort();
}

static void parse_point(const char *item)
{
	struct point *p = &points[n_points++];

	if (n_points > ARRAY_SIZE(points) || sscanf(item, "%127[^#]#%d=%15[a-z](%d)", p->name,
						    &p->passes, p->action, &p->number) < 3)
		wrong(item);
	p->passes--;
}

/*
 * A PID namespace's init cannot be killed by a signal of its own, so a process outside does it. It
 * gets the number of the signal, and from the kernel whose it is to be (SCM_CREDENTIALS, translated
 * to its own PID namespace). It leaves with the last one who could ask.
 */
static _Noreturn void executioner_main(void)
{
	unsigned char sig;
	union {
		char buf[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &sig, 1 };

	(void)prctl(PR_SET_NAME, "runack:[exec.er]");
	(void)syscall(SYS_close_range, 1, UINT_MAX, 0);
	for (;;) {
		struct msghdr m = { .msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = control.buf,
				    .msg_controllen = sizeof(control.buf) };
		ssize_t n = recvmsg(0, &m, 0);
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
		struct ucred who;
		if (n <= 0 && errno != EINTR)
			_exit(0);
		if (!c || c->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&who, CMSG_DATA(c), sizeof(who));
		(void)kill(who.pid, sig);
	}
}

static void executioner_start(void)
{
	int sv[2], on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0 ||
	    setsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		abort();
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		if (dup2(sv[0], 0) < 0)
			_exit(1);
		executioner_main();
	}
	(void)close(sv[0]);
	executioner = sv[1];
}

void failpoint_init(char **env)
{
	static char list[1024];
	const char *path = lookup_env(env, "RUNACK_FAILPOINTS_SEEN");
	const char *value = lookup_env(env, "RUNACK_FAILPOINTS");
	char *save = NULL;

	if (path)
		seen = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (!value)
		return;
	if (strlen(value) >= sizeof(list))
		wrong(value);
	copy_str(list, sizeof(list), value);
	for (char *item = strtok_r(list, ";", &save); item; item = strtok_r(NULL, ";", &save))
		parse_point(item);
	for (size_t i = 0; i < n_points; i++)
		if (streq(points[i].action, "kill") && executioner < 0)
			executioner_start();
}

static _Noreturn void hang(void)
{
	for (;;)
		(void)pause();
}

static _Noreturn void die_of_signal(int sig)
{
	static int *volatile nowhere;
	unsigned char b = (unsigned char)sig;

	if (sig == SIGSEGV) /* a real one: init ignores what is sent to it */
		*nowhere = 0;
	(void)write(executioner, &b, 1);
	hang();
}

static int act(struct stage *s, const struct point *p, int code, const char *object)
{
	static const char garbage[] = "no frame, no frame";

	if (streq(p->action, "fail"))
		return stage_fail(s, p->number, object ? object : "failpoint", NULL);
	if (streq(p->action, "kill"))
		die_of_signal(p->number);
	if (streq(p->action, "exit"))
		_exit(code);
	if (streq(p->action, "close"))
		(void)close(s->sync.fd);
	if (streq(p->action, "close") || streq(p->action, "hang"))
		hang();
	if (streq(p->action, "garbage")) {
		(void)send(s->sync.fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
		return 0;
	}
	wrong(p->action);
}

int failpoint(struct stage *s, int code, const char *object)
{
	char name[128];

	(void)snprintf(name, sizeof(name), "%s: %s%s%s", s->side, step_verb(code),
		       object ? " " : "", object ? object : "");
	if (seen >= 0)
		(void)dprintf(seen, "%s\n", name);
	for (size_t i = 0; i < n_points; i++)
		if (streq(points[i].name, name) && points[i].passes-- == 0)
			return act(s, &points[i], code, object);
	return 0;
}

#endif
