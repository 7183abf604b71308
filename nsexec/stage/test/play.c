// SPDX-License-Identifier: Apache-2.0
#include "play.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../stage.h"

static const struct row {
	const char *protocol;
	const char *state;
	const char *side;
	const char *type;
} order[] = {
#define PROTOCOL_ROW(protocol, state, side, message, next) { #protocol, #state, #side, #message },
#include "../../../handshake/order.def"
};

static const char *const messages[] = {
#define PROTOCOL_MESSAGE(symbol, minimum, maximum) #symbol,
#include "../../../handshake/order.def"
};

const char *play_expected(const char *protocol, const char *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (streq(order[i].protocol, protocol) && streq(order[i].state, state) &&
		    streq(order[i].side, "runtime"))
			return order[i].type;
	return NULL;
}

static int agree(const char *what, long ours, long theirs)
{
	if (ours == theirs)
		return 1;
	printf("FAIL %s: stage %ld, order.def %ld\n", what, ours, theirs);
	return 0;
}

int play_limits_agree(void)
{
	enum {
#define PROTOCOL_LIMIT(name, value) LIMIT_##name = value,
#include "../../../handshake/order.def"
	};
	int header = agree("header size", FRAME_HEADER, LIMIT_header_size);
	int payload = agree("longest payload", FRAME_MAX_PAYLOAD, LIMIT_max_payload);
	int fds = agree("most descriptors", FRAME_MAX_FDS, LIMIT_max_descriptors);
	int depth = agree("deepest nesting", JSON_MAX_DEPTH, LIMIT_max_depth);

	return header && payload && fds && depth;
}

int play_lowest_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		err(1, "F_DUPFD_CLOEXEC");
	(void)close(fd);
	return fd;
}

static bool is_message(const char *type, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (strlen(messages[i]) == len && memcmp(messages[i], type, len) == 0)
			return true;
	return false;
}

/*
 * The stage tells failures in words, for people. Here they become the kinds of order.def, so that
 * both languages can be held to the same vectors.
 */
static const struct wording {
	const char *object; /* NULL: any */
	const char *detail; /* its beginning */
	const char *kind;
} wordings[] = {
	{ "header", "the runtime closed the socket", "eof" },
	{ "header", "wrong magic", "magic" },
	{ "header", "protocol version ", "version" },
	{ "header", "length 0,", "empty" },
	{ "header", "length ", "oversize" },
	{ "payload", "short frame", "short_payload" },
	{ "payload", "nested too deeply", "depth" },
	{ "payload", "NUL in a string", "nul" },
	{ "payload", "invalid UTF-8", "utf8" },
	{ "payload", "lone surrogate", "utf8" },
	{ "payload", "more than one value", "not_object" },
	/* Also "too many values", which only text that is no JSON gets to. */
	{ "payload", "", "syntax" },
	{ "", "not an object", "not_object" },
	{ NULL, "unknown field", "unknown_key" },
	{ NULL, "given twice", "duplicate_key" },
	{ NULL, "missing", "missing_key" },
	{ NULL, "not a", "mistyped" },
	{ NULL, "body is no object", "mistyped" },
	{ NULL, "from ", "sender" },
};

static const char *kind_of_count(const char *detail)
{
	unsigned long long announced, came;

	if (sscanf(detail, "%llu descriptors announced, %llu came", &announced, &came) == 2)
		return came < announced ? "missing_descriptors" : "surplus_descriptors";
	if (strstr(detail, " descriptors came with it"))
		return "surplus_descriptors";
	return NULL;
}

static const char *kind_of_number(const char *detail)
{
	unsigned long long got, expected;

	if (sscanf(detail, "sequence number %llu, expected %llu", &got, &expected) == 2)
		return got < expected ? "duplicate" : "skipped";
	return NULL;
}

static const char *kind_of_turn(const char *detail)
{
	const char *end = strstr(detail, " came instead");

	if (!end || end[strlen(" came instead")])
		return NULL;
	return is_message(detail, (size_t)(end - detail)) ? "order" : "type";
}

static const char *kind_of(const struct failure *f)
{
	const char *kind;

	if (f->err == EMFILE)
		return "lost_descriptors";
	if (f->err == E2BIG && strncmp(f->detail, "too many values", 15) != 0)
		return "surplus_descriptors";
	if (f->err == EPIPE && streq(f->object, "header") && !*f->detail)
		return "short_header";
	if ((kind = kind_of_count(f->detail)) || (kind = kind_of_number(f->detail)) ||
	    (kind = kind_of_turn(f->detail)))
		return kind;
	for (size_t i = 0; i < ARRAY_SIZE(wordings); i++) {
		const struct wording *w = &wordings[i];
		if ((!w->object || streq(w->object, f->object)) &&
		    strncmp(f->detail, w->detail, strlen(w->detail)) == 0)
			return w->kind;
	}
	fprintf(stderr, "no kind for object \"%s\", detail \"%s\", errno %d\n", f->object, f->detail,
		f->err);
	return "unknown";
}

/* Sends one packet; its descriptors are standard input, as good as any. */
static int send_packet(int fd, const struct packet *p)
{
	static union {
		char buf[CMSG_SPACE(FRAME_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { p->data, p->len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (p->n_fds > FRAME_MAX_FDS)
		errx(1, "too many descriptors for one message");
	if (p->n_fds) {
		memset(&control, 0, sizeof(control)); /* descriptor 0, n times */
		m.msg_control = control.buf;
		m.msg_controllen = CMSG_SPACE(p->n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(p->n_fds * sizeof(int));
	}
	while (iov.iov_len > 0) {
		ssize_t r = sendmsg(fd, &m, MSG_NOSIGNAL);
		if (r < 0)
			return -errno;
		iov.iov_base = (char *)iov.iov_base + r;
		iov.iov_len -= (size_t)r;
		m.msg_control = NULL;
		m.msg_controllen = 0;
	}
	return 0;
}

static void send_packets(int fd, const struct packet *packets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int e = send_packet(fd, &packets[i]);
		if (e == -EPIPE)
			return; /* the reader has seen enough */
		if (e)
			errx(1, "sendmsg: %s", strerror(-e));
	}
}

/* Writes from here what fits in a socket's buffer, and from a child what does not. */
static pid_t start_writer(int fd, const struct packet *packets, size_t n)
{
	size_t total = 0;
	pid_t pid;

	for (size_t i = 0; i < n; i++)
		total += packets[i].len;
	if (total < 16384) {
		send_packets(fd, packets, n);
		return 0;
	}
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		send_packets(fd, packets, n);
		_exit(0);
	}
	return pid;
}

/* One call of the reader. Returns whether another may follow. */
static bool read_one(struct stage *s, const char *type, char *ret)
{
	struct frame f;

	if (frame_expect(s, &f, type)) {
		snprintf(ret, PLAY_OUTCOME_MAX, "%s", kind_of(&s->fail));
		return false;
	}
	snprintf(ret, PLAY_OUTCOME_MAX, "ok %s", f.type);
	frame_free(&f);
	return true;
}

void play(const struct packet *packets, size_t n, const struct reader_setup *setup,
	  struct outcomes *ret)
{
	static struct stage s;
	int fds[2];
	bool more = true;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		err(1, "socketpair");
	memset(&s, 0, sizeof(s));
	s.side = setup->side;
	s.sync = (struct sync){ .fd = fds[0], .seq_in = setup->seq };
	pid_t writer = start_writer(fds[1], packets, n);
	(void)close(fds[1]);
	for (ret->n = 0; more && ret->n < PLAY_MAX_OUTCOMES; ret->n++)
		more = read_one(&s, ret->n ? "nothing" : setup->type, ret->text[ret->n]);
	(void)close(fds[0]);
	if (writer && waitpid(writer, NULL, 0) != writer)
		err(1, "waitpid");
}
