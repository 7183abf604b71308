/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: a static program for the containers of the tests, for facts that busybox cannot show and
 * acts that it cannot do. Every verb writes plain lines.
 *
 *	probe signals [FILE]   blocked and ignored signals, by raw system calls, without /proc; into
 *	                       FILE, since the shell in front of a redirection has signals of its own
 *	probe fds              open descriptors, without /proc
 *	probe args [ARG...]    every argument on its own line, in brackets
 *	probe env              the environment in its order, in brackets
 *	probe limits           all 16 resource limits, "number soft hard"
 *	probe exit N           leave with N
 *	probe die N            die of signal N (not as pid 1 of a PID namespace, which the kernel spares)
 *	probe crash            die of a memory fault, which kills pid 1 too
 *	probe wait             write "ready", then the number of every signal that comes; TERM ends it
 *	probe deaf CMD...      block and ignore every signal there is, then execute CMD
 *	probe notify TEXT...   send each as a message to $NOTIFY_SOCKET
 *	probe umask            the umask
 *	probe caps             the effective capabilities by capget, without /proc
 *	probe call NR [ARG...] one raw system call, and its result or its negative errno
 *	probe call32 NR [ARG]  the same by the gate of 32-bit programs (x86-64)
 *	probe keyring          what keyctl(2) says of the session keyring: "keyring;uid;gid;perm;name"
 *	probe hunt             until TERM comes: try to get hold of every other process but pid 1, as
 *	                       long as it is the runtime's (its executable is no file of the container).
 *	                       Writes "ready", "caught ..." for each success, and at the end
 *	                       "hunted N", the number of processes of the runtime that were met
 *	probe euid             the effective user
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIGNALS = 64, LIMITS = 16 };

/* The kernel's struct sigaction. libc's wrapper hides the signals 32 to 34. */
struct kernel_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void die(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(125);
}

static int show_signals(void)
{
	uint64_t blocked = 0;
	uint64_t ignored = 0;
	uint64_t caught = 0;

	if (syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, sizeof(blocked)) < 0)
		die("rt_sigprocmask");
	for (int n = 1; n <= SIGNALS; n++) {
		struct kernel_sigaction old;

		memset(&old, 0, sizeof(old));
		if (syscall(SYS_rt_sigaction, n, NULL, &old, sizeof(old.mask)) < 0)
			die("rt_sigaction");
		if (old.handler == SIG_IGN)
			ignored |= UINT64_C(1) << (n - 1);
		else if (old.handler != SIG_DFL)
			caught |= UINT64_C(1) << (n - 1);
	}
	printf("SigBlk %016llx\nSigIgn %016llx\nSigCgt %016llx\n", (unsigned long long)blocked,
	       (unsigned long long)ignored, (unsigned long long)caught);
	return 0;
}

static int show_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit");
	if (limit.rlim_cur > 65536)
		limit.rlim_cur = 65536;
	for (int fd = 0; fd < (int)limit.rlim_cur; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d\n", fd);
	return 0;
}

static int show_strings(char **strings)
{
	for (; *strings; strings++)
		printf("[%s]\n", *strings);
	return 0;
}

static int show_limits(void)
{
	for (int n = 0; n < LIMITS; n++) {
		struct rlimit limit;

		if (getrlimit(n, &limit) < 0)
			die("getrlimit");
		printf("%d %llu %llu\n", n, (unsigned long long)limit.rlim_cur,
		       (unsigned long long)limit.rlim_max);
	}
	return 0;
}

static int show_umask(void)
{
	printf("%04o\n", (unsigned int)umask(0));
	return 0;
}

static int show_caps(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3,
						   .pid = 0 };
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	if (syscall(SYS_capget, &header, data) < 0)
		die("capget");
	printf("%08x%08x\n", data[1].effective, data[0].effective);
	return 0;
}

static int show_keyring(void)
{
	char text[512] = "";

	if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof(text) - 1) <
	    0)
		die("keyctl");
	printf("%s\n", text);
	return 0;
}

static bool is_runtimes(const char *name)
{
	return strstr(name, "memfd:") || strstr(name, "runack") || strstr(name, "runc");
}

/* The name of a process, which everybody may read. */
static bool has_runtimes_name(const char *pid)
{
	char path[300], name[32] = "";

	(void)snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);
	if (fd >= 0)
		(void)close(fd);
	return n > 0 && is_runtimes(name);
}

/* What a tracer may see: the executable, the descriptors. */
static void hunt_links(const char *pid)
{
	static const char *const links[] = { "exe", "root", "cwd", "fd/3", "fd/4", "fd/5" };
	char path[300], target[512];

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		(void)snprintf(path, sizeof(path), "/proc/%s/%s", pid, links[i]);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (is_runtimes(target))
			printf("caught %s: %s\n", path, target);
	}
}

static void hunt_trace(const char *pid)
{
	char path[300], target[512];
	pid_t p = (pid_t)strtol(pid, NULL, 10);

	if (ptrace(PTRACE_SEIZE, p, NULL, NULL) < 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		if (is_runtimes(target))
			printf("caught tracing %s: %s\n", pid, target);
	}
	if (ptrace(PTRACE_INTERRUPT, p, NULL, NULL) == 0 && waitpid(p, NULL, __WALL) == p)
		(void)ptrace(PTRACE_DETACH, p, NULL, NULL);
}

static volatile sig_atomic_t over;

static void on_term(int n)
{
	over = n;
}

static int hunt(void)
{
	unsigned int met = 0;
	char last[16] = "";

	(void)signal(SIGTERM, on_term);
	printf("ready\n");
	while (!over) {
		DIR *proc = opendir("/proc");
		const struct dirent *d;

		while (proc && (d = readdir(proc))) {
			if (d->d_name[0] < '1' || d->d_name[0] > '9' ||
			    strcmp(d->d_name, "1") == 0 || strtol(d->d_name, NULL, 10) == getpid())
				continue;
			if (has_runtimes_name(d->d_name) && strcmp(last, d->d_name) != 0) {
				met++;
				(void)snprintf(last, sizeof(last), "%.15s", d->d_name);
			}
			hunt_links(d->d_name);
			hunt_trace(d->d_name);
		}
		if (proc)
			(void)closedir(proc);
	}
	printf("hunted %u\n", met);
	return 0;
}

static int die_of(int n)
{
	struct kernel_sigaction dfl;
	uint64_t none = 0;

	memset(&dfl, 0, sizeof(dfl));
	(void)syscall(SYS_rt_sigaction, n, &dfl, NULL, sizeof(dfl.mask)); /* KILL and STOP refuse */
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)) < 0)
		die("rt_sigprocmask");
	if (syscall(SYS_kill, getpid(), n) < 0)
		die("kill");
	return 0;
}

static int crash(void)
{
	/* Not a null pointer, which compilers know better than to follow. */
	const volatile int *closed =
		mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return closed == MAP_FAILED ? 125 : *closed;
}

static int wait_for_signals(void)
{
	uint64_t every = ~UINT64_C(0); /* libc's set lacks 32 to 34 */

	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &every, NULL, sizeof(every)) < 0)
		die("rt_sigprocmask");
	printf("ready\n");
	for (;;) {
		siginfo_t info;
		long n = syscall(SYS_rt_sigtimedwait, &every, &info, NULL, sizeof(every));

		if (n < 0 && errno != EINTR)
			die("rt_sigtimedwait");
		if (n > 0)
			printf("signal %ld\n", n);
		if (n == SIGTERM)
			return 0;
	}
}

static int deaf(char **command)
{
	uint64_t every = ~UINT64_C(0);
	struct kernel_sigaction ignore;

	memset(&ignore, 0, sizeof(ignore));
	ignore.handler = SIG_IGN;
	for (int n = 1; n <= SIGNALS; n++)
		if (n != SIGKILL && n != SIGSTOP &&
		    syscall(SYS_rt_sigaction, n, &ignore, NULL, sizeof(ignore.mask)) < 0)
			die("rt_sigaction");
	if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &every, NULL, sizeof(every)) < 0)
		die("rt_sigprocmask");
	if (!command[0])
		return show_signals();
	(void)execvp(command[0], command);
	die(command[0]);
	return 125;
}

static int call(int n, char **words)
{
	unsigned long a[7] = { 0 };

	for (int i = 0; i < n && i < 7; i++)
		a[i] = strtoul(words[i], NULL, 0);
	long r = syscall((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	printf("%ld\n", r < 0 ? -(long)errno : r);
	return 0;
}

static int call32(int n, char **words)
{
#ifdef __x86_64__
	long r = strtol(words[0], NULL, 0);

	/* The kernel takes this for a call of i386, whatever the program is. */
	__asm__ volatile("int $0x80"
			 : "+a"(r)
			 : "b"(n > 1 ? strtol(words[1], NULL, 0) : 0)
			 : "memory", "r8", "r9", "r10", "r11");
	printf("%d\n", (int)r);
	return 0;
#else
	(void)n;
	(void)words;
	fprintf(stderr, "probe: no such gate on this machine\n");
	return 125;
#endif
}

static int notify(char **texts)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const void *to = &addr;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (fd < 0 || !path || strlen(path) >= sizeof(addr.sun_path))
		die("NOTIFY_SOCKET");
	memcpy(addr.sun_path, path, strlen(path));
	for (; *texts; texts++)
		if (sendto(fd, *texts, strlen(*texts), 0, to, sizeof(addr)) < 0)
			die(path);
	return 0;
}

int main(int argc, char **argv, char **envp)
{
	const char *verb = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(verb, "signals") == 0) {
		if (argc > 2 && !freopen(argv[2], "w", stdout))
			die(argv[2]);
		return show_signals();
	}
	if (strcmp(verb, "fds") == 0)
		return show_fds();
	if (strcmp(verb, "args") == 0)
		return show_strings(argv + 2);
	if (strcmp(verb, "env") == 0)
		return show_strings(envp);
	if (strcmp(verb, "limits") == 0)
		return show_limits();
	if (strcmp(verb, "umask") == 0)
		return show_umask();
	if (strcmp(verb, "caps") == 0)
		return show_caps();
	if (strcmp(verb, "keyring") == 0)
		return show_keyring();
	if (strcmp(verb, "hunt") == 0)
		return hunt();
	if (strcmp(verb, "euid") == 0)
		return printf("%u\n", (unsigned int)geteuid()) < 0;
	if (strcmp(verb, "crash") == 0)
		return crash();
	if (strcmp(verb, "wait") == 0)
		return wait_for_signals();
	if (strcmp(verb, "notify") == 0)
		return notify(argv + 2);
	if (strcmp(verb, "deaf") == 0)
		return deaf(argv + 2);
	if (strcmp(verb, "call") == 0 && argc > 2)
		return call(argc - 2, argv + 2);
	if (strcmp(verb, "call32") == 0 && argc > 2)
		return call32(argc - 2, argv + 2);
	if (strcmp(verb, "exit") == 0 && argc == 3)
		return (int)strtol(argv[2], NULL, 10);
	if (strcmp(verb, "die") == 0 && argc == 3)
		return die_of((int)strtol(argv[2], NULL, 10));
	fprintf(stderr, "probe: unknown verb %s\n", verb);
	return 125;
}
