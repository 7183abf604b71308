// SPDX-License-Identifier: Apache-2.0
/* Loads a compiled filter (seccomp(2)). */
#include "stage.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

struct seccomp_args {
	const char *program; /* base64 */
	uint64_t flags;
	bool listener;
};

static const struct field seccomp_fields[] = {
	FIELD(struct seccomp_args, F_STRING, program, "program", FIELD_REQUIRED),
	FIELD(struct seccomp_args, F_U64, flags, "flags", FIELD_OPTIONAL),
	FIELD(struct seccomp_args, F_BOOL, listener, "listener", FIELD_OPTIONAL),
};

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Standard alphabet with padding (RFC 4648). Returns the number of bytes, -EBADMSG on anything else. */
static ssize_t base64_decode(const char *in, unsigned char *out)
{
	size_t len = strlen(in), n = 0;
	uint32_t bits = 0;

	if (len == 0 || len % 4)
		return -EBADMSG;
	while (len && in[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++) {
		int v = base64_value(in[i]);
		if (v < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)v;
		if (i % 4)
			out[n++] = (unsigned char)(bits >> (6 - i % 4 * 2));
	}
	return (ssize_t)n;
}

static struct sock_filter code[BPF_MAXINSNS + 1];

static int seccomp_check(struct stage *s, const void *args)
{
	const struct seccomp_args *a = args;

	/* of the text, with its padding: what it decodes to is smaller */
	if (strlen(a->program) / 4 * 3 > sizeof(code))
		return stage_fail(s, EBADMSG, "program", "more than %d instructions", BPF_MAXINSNS);
	return 0;
}

/*
 * The runtime takes the descriptor by its number, since the filter that is loaded now need not let
 * sendmsg(2) through. As with runc, what it has to let through is write(2), and read(2) unless the
 * agent does. The descriptor is close-on-exec from birth: nothing is lost if it cannot be closed.
 */
static int hand_over(struct stage *s, int fd)
{
	static struct frame f;
	char body[32];
	struct text t = { .buf = body, .size = sizeof(body) };

	text_str(&t, "{\"fd\":");
	text_u64(&t, (uint64_t)fd);
	text_str(&t, "}");
	int e = frame_send(s, "listener", body, t.len, NULL, 0);
	if (!e)
		e = frame_expect(s, &f, "taken");
	if (!e)
		frame_free(&f);
	(void)close(fd);
	return e;
}

static int seccomp_run(struct stage *s, const void *args)
{
	const struct seccomp_args *a = args;
	ssize_t n = base64_decode(a->program, (unsigned char *)code);

	if (n <= 0 || (size_t)n % sizeof(code[0]))
		return stage_fail(s, EBADMSG, "program", "not base64 of whole instructions");
	struct sock_fprog prog = {
		.len = (unsigned short)((size_t)n / sizeof(code[0])),
		.filter = code,
	};
	/* A hook's notifications have no agent: the kernel answers them with ENOSYS. */
	bool listener = a->listener && !s->in_hook;
	unsigned int flags = (unsigned int)a->flags;
	if (listener)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else /* says how to wait for the listener, and is refused where there is none */
		flags &= ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	long r = sys_result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog));
	if (r < 0)
		return stage_fail(s, (int)r, "filter",
				  r == -EACCES ? "needs CAP_SYS_ADMIN or no_new_privs" : NULL);
	/* With SECCOMP_FILTER_FLAG_TSYNC a positive value would be a thread; there is only one. */
	s->filtered = true;
	return listener ? hand_over(s, (int)r) : 0;
}

STEP_IMPL(seccomp, seccomp_fields, seccomp_check, seccomp_run);
