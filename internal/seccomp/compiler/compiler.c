// SPDX-License-Identifier: Apache-2.0
/*
 * Compiles a seccomp profile with libseccomp: a request on standard input, the program on standard
 * output (the forms of both: ../request.go, ../answer.go). A process of its own, so that the runtime
 * needs no cgo, and so that libseccomp meets a profile that a stranger wrote where it can do least.
 *
 *	compiler		compiles
 *	compiler arch NAME...	tells libseccomp's version and which of the architectures it knows
 *
 * Exit status: 0, or 1 with one line on standard output that says what is wrong where.
 */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_REQUEST (1024 * 1024)
#define MAX_ARCHS 32
#define MAX_ARGS 6
/* Of a rule. With `any` an argument may come more than once. */
#define MAX_CONDITIONS 256
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* One more than the request may have, so that a longer one is noticed, and a NUL. */
static char request[MAX_REQUEST + 2];

static scmp_filter_ctx filter;
static uint32_t default_action;

/* The architectures of the filter, and the largest number that the profile names for each. */
static struct arch {
	uint32_t token;
	int last;
} archs[MAX_ARCHS];
static size_t n_archs;

__attribute__((noreturn, format(printf, 3, 4))) static void
refuse(const char *where, uint32_t index, const char *fmt, ...)
{
	va_list ap;

	printf("error %s %" PRIu32 " ", where, index);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
	(void)fflush(stdout);
	_exit(1);
}

__attribute__((noreturn)) static void malformed(const char *what)
{
	refuse("request", 0, "malformed: %s", what);
}

static void read_request(void)
{
	size_t len = 0;
	ssize_t r;

	while (len <= MAX_REQUEST) {
		r = read(STDIN_FILENO, request + len, sizeof(request) - 1 - len);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			refuse("request", 0, "read: %s", strerror(errno));
		if (r == 0)
			break;
		len += (size_t)r;
	}
	if (len > MAX_REQUEST)
		malformed("too long");
	if (strlen(request) != len)
		malformed("a NUL");
	if (len == 0 || request[len - 1] != '\n')
		malformed("cut short");
}

/* Cuts the next line off; NULL at the end. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line;
}

/* Cuts the next word off a line; NULL at its end. Words are separated by exactly one space. */
static char *next_word(char **at)
{
	char *word = *at;

	if (!word)
		return NULL;
	*at = strchr(word, ' ');
	if (*at)
		*(*at)++ = '\0';
	if (!*word)
		malformed("an empty word");
	return word;
}

static char *need_word(char **at)
{
	char *word = next_word(at);

	if (!word)
		malformed("a word is missing");
	return word;
}

static uint64_t need_number(char **at, uint64_t max)
{
	const char *word = need_word(at);
	char *end = NULL;

	if (*word < '0' || *word > '9')
		malformed("not a number");
	errno = 0;
	uint64_t n = strtoull(word, &end, 10);
	if (errno || *end || n > max)
		malformed("not a number that fits");
	return n;
}

static uint32_t need_action(char **at)
{
	const char *word = need_word(at);
	uint32_t data = (uint32_t)need_number(at, UINT16_MAX);
	const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{ "ALLOW", SCMP_ACT_ALLOW },
		{ "ERRNO", SCMP_ACT_ERRNO(data) },
		{ "KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
		{ "KILL_THREAD", SCMP_ACT_KILL_THREAD },
		{ "LOG", SCMP_ACT_LOG },
		{ "NOTIFY", SCMP_ACT_NOTIFY },
		{ "TRACE", SCMP_ACT_TRACE(data) },
		{ "TRAP", SCMP_ACT_TRAP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(actions[i].name, word) == 0)
			return actions[i].action;
	malformed("unknown action");
}

static enum scmp_compare need_operator(char **at)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} operators[] = {
		{ "EQ", SCMP_CMP_EQ }, { "GE", SCMP_CMP_GE }, { "GT", SCMP_CMP_GT },
		{ "LE", SCMP_CMP_LE }, { "LT", SCMP_CMP_LT }, { "MASKED_EQ", SCMP_CMP_MASKED_EQ },
		{ "NE", SCMP_CMP_NE },
	};
	const char *word = need_word(at);

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
		if (strcmp(operators[i].name, word) == 0)
			return operators[i].op;
	malformed("unknown operator");
}

static void note_arch(uint32_t token)
{
	for (size_t i = 0; i < n_archs; i++)
		if (archs[i].token == token)
			return;
	if (n_archs == MAX_ARCHS)
		malformed("too many architectures");
	archs[n_archs++].token = token;
}

static void add_arch(uint32_t index, char *line)
{
	const char *name = need_word(&line);
	uint32_t token = seccomp_arch_resolve_name(name);

	if (line)
		malformed("more than one word after arch");
	if (token == 0)
		refuse("arch", index, "libseccomp %u.%u.%u does not know this architecture",
		       seccomp_version()->major, seccomp_version()->minor,
		       seccomp_version()->micro);
	int e = seccomp_arch_add(filter, token);
	if (e && e != -EEXIST)
		refuse("arch", index, "libseccomp: add architecture: %s", strerror(-e));
	note_arch(token);
}

/* For the ENOSYS rule: a name counts whatever becomes of its rule. */
static void note_last(const char *name)
{
	for (size_t i = 0; i < n_archs; i++) {
		int nr = seccomp_syscall_resolve_name_arch(archs[i].token, name);
		if (nr != __NR_SCMP_ERROR && nr > archs[i].last)
			archs[i].last = nr;
	}
}

struct rule {
	uint32_t index;
	uint32_t action;
	bool any; /* one condition is enough */
	unsigned int n_args;
	struct scmp_arg_cmp args[MAX_CONDITIONS];
};

static void read_rule(struct rule *r, char **line)
{
	r->index = (uint32_t)need_number(line, UINT32_MAX);
	r->action = need_action(line);
	const char *mode = need_word(line);
	r->any = strcmp(mode, "any") == 0;
	if (!r->any && strcmp(mode, "all") != 0)
		malformed("neither all nor any");
	r->n_args = (unsigned int)need_number(line, MAX_CONDITIONS);
	for (unsigned int i = 0; i < r->n_args; i++) {
		struct scmp_arg_cmp *a = &r->args[i];
		a->arg = (unsigned int)need_number(line, MAX_ARGS - 1);
		a->op = need_operator(line);
		a->datum_a = need_number(line, UINT64_MAX);
		a->datum_b = need_number(line, UINT64_MAX);
	}
}

static void add_name(const struct rule *r, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name), e = 0;

	note_last(name);
	/* As runc does: what this libseccomp has not heard of cannot be filtered by name, and a rule
	 * for the default action says nothing (libseccomp refuses it). */
	if (nr == __NR_SCMP_ERROR || r->action == default_action)
		return;
	if (!r->any)
		e = seccomp_rule_add_array(filter, r->action, nr, r->n_args, r->args);
	for (unsigned int i = 0; r->any && !e && i < r->n_args; i++)
		e = seccomp_rule_add_array(filter, r->action, nr, 1, &r->args[i]);
	if (e)
		refuse("rule", r->index, "libseccomp: add rule for %s: %s", name, strerror(-e));
}

static void add_rule(char *line)
{
	static struct rule r;
	const char *name;

	read_rule(&r, &line);
	while ((name = next_word(&line)))
		add_name(&r, name);
}

static void read_default(char *line)
{
	if (!line || strcmp(need_word(&line), "default") != 0)
		malformed("no default action");
	default_action = need_action(&line);
	if (line)
		malformed("more after the default action");
	filter = seccomp_init(default_action);
	if (!filter)
		refuse("request", 0, "libseccomp: seccomp_init");
	note_arch(seccomp_arch_native());
}

/* Architectures come before rules: libseccomp adds a rule to those that are there. */
static void compile(void)
{
	char *at = request, *line = next_line(&at);
	uint32_t n_arch = 0;

	if (!line || strcmp(line, "seccomp 1") != 0)
		malformed("not of this version");
	read_default(next_line(&at));
	while ((line = next_line(&at))) {
		const char *word = need_word(&line);
		if (strcmp(word, "end") == 0 && !line && !*at)
			return;
		if (strcmp(word, "arch") == 0)
			add_arch(n_arch++, line);
		else if (strcmp(word, "rule") == 0)
			add_rule(line);
		else
			malformed("unknown line");
	}
	malformed("no end");
}

static void tell_version(void)
{
	const struct scmp_version *v = seccomp_version();

	printf("libseccomp %u.%u.%u\n", v->major, v->minor, v->micro);
}

static void answer(void)
{
	tell_version();
	for (size_t i = 0; i < n_archs; i++)
		printf("last %" PRIu32 " %d\n", archs[i].token, archs[i].last);
	printf("program\n");
	if (fflush(stdout))
		_exit(2);
	int e = seccomp_export_bpf(filter, STDOUT_FILENO);
	if (e)
		_exit(2);
}

static int list_archs(char **names)
{
	tell_version();
	for (; *names; names++)
		if (seccomp_arch_resolve_name(*names))
			(void)puts(*names);
	return fflush(stdout) ? 2 : 0;
}

/*
 * Leaves this process nothing but memory, its standard output and its end: a fault of libseccomp or
 * of what is above gets a stranger no further. Where a filter cannot be loaded it goes without.
 */
static void lock_up(void)
{
	static const int allowed[] = { SCMP_SYS(write),  SCMP_SYS(brk),     SCMP_SYS(munmap),
				       SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(exit_group) };
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (!f)
		return;
	int e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; !e && i < ARRAY_SIZE(allowed); i++)
		e = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!e)
		(void)seccomp_load(f);
	seccomp_release(f);
}

int main(int argc, char **argv)
{
	/* Its own buffer, since the C library would ask what kind of file standard output is. */
	static char buffer[4096];
	/* No profile that fits into a request needs more; some could ask for more. */
	const struct rlimit memory = { 1 << 30, 1 << 30 };

	(void)setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	(void)setrlimit(RLIMIT_AS, &memory);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (argc > 1 && strcmp(argv[1], "arch") == 0)
		return list_archs(argv + 2);
	read_request();
	/* Before the API level is set: libseccomp 2.5 could load nothing after it. */
	lock_up();
	/* All that API level 6 stands for is in every kernel that the stage needs. Said so, libseccomp
	 * does not ask the kernel, and what it makes depends on the request alone. */
	if (seccomp_api_set(6))
		refuse("request", 0, "libseccomp %u.%u.%u is too old: 2.5.0 is the least",
		       seccomp_version()->major, seccomp_version()->minor,
		       seccomp_version()->micro);
	compile();
	answer();
	return 0;
}
