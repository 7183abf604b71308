// SPDX-License-Identifier: Apache-2.0
/*
 * Carries a plan out without the runtime and without stage-0, for tests of single steps:
 *
 *	stepper [-u] [-p] [-n] [-i] [-c] [-0] [-f tree:PATH | -f rtree:PATH]... < STEPS
 *
 * STEPS is the JSON array that a plan frame has. The steps run in a new mount namespace, with -u in
 * a new user namespace (ids mapped to themselves), -p PID, -n network, -i IPC, -c cgroup namespace.
 * -0 makes the host's /dev/null the program's standard input. -f gives the plan a descriptor: a detached clone of PATH. Every frame of the stage is printed, one
 * a line; a terminal's output follows the line "tty".
 */
#include "../stage.h"

#include "../kernel.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct stage stage = { .side = "stage-1", .listener = -1, .root_fd = -1, .proc_fd = -1, .host_proc_fd = -1 };
static int given[16];
static size_t n_given;
static int master = -1;
static bool no_input;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(2);
}

static void give(const char *spec)
{
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	const char *path = strchr(spec, ':');

	if (!path || n_given == ARRAY_SIZE(given))
		die("-f");
	if (strncmp(spec, "rtree:", 6) == 0)
		flags |= AT_RECURSIVE;
	given[n_given] = sys_open_tree(AT_FDCWD, path + 1, flags);
	if (given[n_given++] < 0)
		die(path);
}

/* {"body":{"steps":STEPS}}, so that the body is node 2. */
static void read_plan(void)
{
	enum { SIZE = 4 << 20 };
	struct frame *f = &stage.plan;
	char *text = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (text == MAP_FAILED)
		die("mmap");
	size_t len = (size_t)sprintf(text, "{\"body\":{\"steps\":");
	len += fread(text + len, 1, SIZE / 2, stdin);
	len += (size_t)sprintf(text + len, "}}");
	f->doc.nodes = (void *)(text + SIZE);
	f->doc.max = SIZE / sizeof(struct json_node);
	f->arena.at = text + 2 * SIZE;
	f->arena.end = text + 4 * SIZE;
	if (json_parse(&f->doc, text, len)) {
		fprintf(stderr, "steps: %s at %zu\n", f->doc.why, f->doc.where);
		exit(2);
	}
	f->body = 2;
	f->n_fds = n_given;
	memcpy(f->fds, given, sizeof(given));
}

static void read_full(int fd, char *buf, size_t n)
{
	while (n > 0) {
		union {
			char bytes[CMSG_SPACE(4 * sizeof(int))];
			struct cmsghdr align;
		} control;
		struct iovec iov = { buf, n };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				    .msg_controllen = sizeof(control) };
		ssize_t r = recvmsg(fd, &m, 0);
		if (r <= 0)
			die("frame");
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		if (c)
			memcpy(&master, CMSG_DATA(c), sizeof(int));
		buf += r;
		n -= (size_t)r;
	}
}

static void answer_mounted(int fd)
{
	static const char body[] = "{\"type\":\"proceed\",\"from\":\"runtime\",\"seq\":0,\"body\":{\"state\":\"{}\"}}";
	char frame[8 + sizeof(body)] = { 'R', 'A', 'K', 1, 0, 0, 0, sizeof(body) - 1 };

	memcpy(frame + 8, body, sizeof(body));
	if (write(fd, frame, 8 + sizeof(body) - 1) != 8 + sizeof(body) - 1)
		die("proceed");
}

/* Prints frames until the stage's end is closed, by execve or by death. */
static void print_frames(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	static char payload[1 << 16];
	unsigned char h[8];

	while (poll(&p, 1, -1) > 0) {
		if (recv(fd, h, 1, MSG_PEEK) <= 0)
			return;
		read_full(fd, (char *)h, 8);
		size_t n = (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];
		if (n >= sizeof(payload))
			die("payload");
		read_full(fd, payload, n);
		payload[n] = '\0';
		fprintf(stderr, "%s\n", payload);
		if (strstr(payload, "\"mounted\""))
			answer_mounted(fd);
	}
}

static void print_terminal(void)
{
	char buf[4096];
	ssize_t n;

	if (master < 0)
		return;
	while ((n = read(master, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	fflush(stdout);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path);
	close(fd);
}

static void write_maps(pid_t pid)
{
	char path[64];

	sprintf(path, "/proc/%d/uid_map", (int)pid);
	write_file(path, "0 0 65536\n");
	sprintf(path, "/proc/%d/gid_map", (int)pid);
	write_file(path, "0 0 65536\n");
}

static int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static _Noreturn void child(int flags, int go)
{
	char c;

	if (unshare(flags) < 0)
		die("unshare");
	if (write(go, "u", 1) != 1 || read(go, &c, 1) != 1)
		die("maps");
	close(go);
	if (flags & CLONE_NEWUSER && (setgid(0) < 0 || setuid(0) < 0))
		die("setuid");
	if (flags & CLONE_NEWPID) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork");
		if (pid > 0) {
			close(stage.sync.fd);
			_exit(wait_for(pid));
		}
	}
	if (no_input && (close(0) < 0 || open("/dev/null", O_RDWR) != 0))
		die("/dev/null");
	stage.host_proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (plan_check(&stage))
		stage_die(&stage, STEP_CODE_check_plan);
	plan_run(&stage);
}

int main(int argc, char **argv)
{
	int flags = CLONE_NEWNS, opt, sync[2], go[2];
	char c;

	while ((opt = getopt(argc, argv, "upnic0f:")) != -1) {
		switch (opt) {
		case 'u': flags |= CLONE_NEWUSER; break;
		case 'p': flags |= CLONE_NEWPID; break;
		case 'n': flags |= CLONE_NEWNET; break;
		case 'i': flags |= CLONE_NEWIPC; break;
		case 'c': flags |= CLONE_NEWCGROUP; break;
		case '0': no_input = true; break;
		case 'f': give(optarg); break;
		default: return 2;
		}
	}
	read_plan();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
		die("socketpair");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		close(sync[0]);
		close(go[0]);
		stage.sync.fd = sync[1];
		stage.trace_rows = (struct text){ .buf = stage.trace_buf, .size = sizeof(stage.trace_buf) };
		child(flags, go[1]);
	}
	close(sync[1]);
	close(go[1]);
	for (size_t i = 0; i < n_given; i++)
		close(given[i]);
	if (read(go[0], &c, 1) != 1)
		die("child");
	if (flags & CLONE_NEWUSER)
		write_maps(pid);
	if (write(go[0], "g", 1) != 1)
		die("child");
	print_frames(sync[0]);
	print_terminal();
	return wait_for(pid);
}
