// SPDX-License-Identifier: Apache-2.0
/* Frames as handshake/PROTOCOL.md has them, from the stage's end. */
#include "failpoint.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

static const unsigned char magic[4] = { 'R', 'A', 'K', 1 };

/* How many descriptors a message carries at most. */
static const struct message {
	const char *type;
	size_t max_fds;
} messages[] = {
#define PROTOCOL_MESSAGE(symbol, minimum, maximum) { #symbol, maximum },
#include "../../handshake/order.def"
};

struct envelope {
	const char *type;
	const char *from;
	uint32_t seq;
	uint32_t fds;
	uint32_t body;
};

static const struct field envelope_fields[] = {
	FIELD(struct envelope, F_STRING, type, "type", FIELD_REQUIRED),
	FIELD(struct envelope, F_STRING, from, "from", FIELD_REQUIRED),
	FIELD(struct envelope, F_U32, seq, "seq", FIELD_REQUIRED),
	FIELD(struct envelope, F_U32, fds, "fds", FIELD_OPTIONAL),
	FIELD(struct envelope, F_NODE, body, "body", FIELD_OPTIONAL),
};

/* Keeps the descriptors of one message; those that exceed the frame's room are closed and counted. */
static int take_fds(struct frame *f, struct msghdr *m)
{
	int e = m->msg_flags & MSG_CTRUNC ? -EMFILE : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		const unsigned char *data = CMSG_DATA(c);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, data + i * sizeof(int), sizeof(int));
			if (f->n_fds < FRAME_MAX_FDS) {
				f->fds[f->n_fds++] = fd;
			} else {
				(void)close(fd);
				e = -E2BIG;
			}
		}
	}
	return e;
}

/* Reads exactly n bytes. 0 when the peer closed before the first one, -EPIPE when in between. */
static ssize_t read_full(struct stage *s, struct frame *f, void *buf, size_t n)
{
	union {
		char buf[CMSG_SPACE(FRAME_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	size_t got = 0;

	while (got < n) {
		struct iovec iov = { (char *)buf + got, n - got };
		struct msghdr m = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.buf,
			.msg_controllen = sizeof(control.buf),
		};
		ssize_t r = s->filtered ? read(s->sync.fd, iov.iov_base, iov.iov_len) :
					  recvmsg(s->sync.fd, &m, MSG_CMSG_CLOEXEC);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return got ? -EPIPE : 0;
		int e = s->filtered ? 0 : take_fds(f, &m);
		if (e)
			return e;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

static int read_header(struct stage *s, struct frame *f, size_t *ret_len)
{
	unsigned char h[FRAME_HEADER];
	ssize_t r = read_full(s, f, h, sizeof(h));

	if (r == 0)
		return stage_fail(s, EPIPE, "header", "the runtime closed the socket");
	if (r < 0)
		return stage_fail(s, (int)-r, "header", NULL);
	if (memcmp(h, magic, 3) != 0)
		return stage_fail(s, EBADMSG, "header", "wrong magic");
	if (h[3] != magic[3])
		return stage_fail(s, EBADMSG, "header", "protocol version %d, expected %d", h[3],
				  magic[3]);
	*ret_len = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];
	if (*ret_len == 0 || *ret_len > FRAME_MAX_PAYLOAD)
		return stage_fail(s, EBADMSG, "header", "length %zu, allowed 1 to %d", *ret_len,
				  FRAME_MAX_PAYLOAD);
	return 0;
}

/*
 * One mapping for the payload, its nodes and what is decoded from them. A value takes at least two
 * bytes of JSON ("1,"), so the number of nodes is bounded by the length. Untouched pages cost
 * nothing.
 */
static int map_frame(struct stage *s, struct frame *f, size_t len)
{
	size_t text = (len + 1 + 15) & ~(size_t)15;
	size_t nodes = len / 2 + 2;
	size_t lists = 16 * nodes + 65536;

	/* A frame that comes when mmap(2) may be forbidden is small. */
	static char small[16 * 1024] __attribute__((aligned(16)));
	if (s->filtered)
		lists = 0;
	f->map_len = text + nodes * sizeof(struct json_node) + lists;
	if (s->filtered && f->map_len > sizeof(small))
		return -E2BIG;
	f->in_place = s->filtered;
	f->map = f->in_place ? small :
			       mmap(NULL, f->map_len, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->map == MAP_FAILED) {
		f->map = NULL;
		return -errno;
	}
	f->doc.nodes = (struct json_node *)((char *)f->map + text);
	f->doc.max = nodes;
	f->arena.at = (char *)(f->doc.nodes + nodes);
	f->arena.end = (char *)f->map + f->map_len;
	return 0;
}

static int read_envelope(struct stage *s, struct frame *f)
{
	struct envelope e = { 0 };
	int r = fields_read(s, f, 0, envelope_fields, ARRAY_SIZE(envelope_fields), &e);

	if (r)
		return r;
	if (e.fds != f->n_fds)
		return stage_fail(s, EBADMSG, e.type, "%u descriptors announced, %zu came", e.fds,
				  f->n_fds);
	if (!streq(e.from, "runtime"))
		return stage_fail(s, EBADMSG, e.type, "from %s, expected runtime", e.from);
	if (e.seq != s->sync.seq_in)
		return stage_fail(s, EBADMSG, e.type, "sequence number %u, expected %u", e.seq,
				  s->sync.seq_in);
	if (e.body && f->doc.nodes[e.body].type != JSON_OBJECT)
		return stage_fail(s, EBADMSG, e.type, "body is no object");
	s->sync.seq_in++;
	f->type = e.type;
	f->from = e.from;
	f->seq = e.seq;
	f->body = e.body;
	return 0;
}

static int read_payload(struct stage *s, struct frame *f, size_t len)
{
	int e = map_frame(s, f, len);

	if (e)
		return stage_fail(s, e, "payload", NULL);
	ssize_t r = read_full(s, f, f->map, len);
	if (r <= 0)
		return stage_fail(s, r == 0 ? EPIPE : (int)-r, "payload", "short frame");
	e = json_parse(&f->doc, f->map, len);
	if (e)
		return stage_fail(s, e, "payload", "%s at byte %zu", f->doc.why, f->doc.where);
	return read_envelope(s, f);
}

/* Reads one frame. On failure nothing is kept of it. */
int frame_read(struct stage *s, struct frame *f)
{
	size_t len = 0;
	int e;

	memset(f, 0, offsetof(struct frame, fds));
	f->n_fds = 0;
	e = read_header(s, f, &len);
	if (!e)
		e = read_payload(s, f, len);
	if (e)
		frame_free(f);
	return e;
}

static size_t most_fds(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		if (streq(messages[i].type, type))
			return messages[i].max_fds;
	return 0;
}

int frame_expect(struct stage *s, struct frame *f, const char *type)
{
	int e = frame_read(s, f);

	if (e)
		return e;
	if (!streq(f->type, type))
		e = stage_fail(s, EBADMSG, type, "%s came instead", f->type);
	else if (f->n_fds > most_fds(type))
		e = stage_fail(s, EBADMSG, type, "%zu descriptors came with it, expected %zu",
			       f->n_fds, most_fds(type));
	else
		e = failpoint(s, STEP_CODE_read_frame, type);
	if (e)
		frame_free(f);
	return e;
}

/* Closes what descriptors are left (those set to -1 were taken) and unmaps the payload. */
void frame_free(struct frame *f)
{
	for (size_t i = 0; i < f->n_fds; i++)
		if (f->fds[i] >= 0)
			(void)close(f->fds[i]);
	f->n_fds = 0;
	if (f->map && !f->in_place)
		(void)munmap(f->map, f->map_len);
	f->map = NULL;
}

static size_t write_envelope(struct stage *s, struct text *t, const char *type, const char *body,
			     size_t body_len, size_t n_fds)
{
	static const char hole[FRAME_HEADER];

	text_add(t, hole, sizeof(hole));
	text_str(t, "{\"type\":");
	text_json(t, type);
	text_str(t, ",\"from\":");
	text_json(t, s->side);
	text_str(t, ",\"seq\":");
	text_u64(t, s->sync.seq_out);
	if (n_fds) {
		text_str(t, ",\"fds\":");
		text_u64(t, n_fds);
	}
	if (body_len) {
		text_str(t, ",\"body\":");
		text_add(t, body, body_len);
	}
	text_str(t, "}");
	return t->len;
}

/* A runtime that is gone costs a SIGPIPE here, which is as good an end as any. */
static int write_full(int fd, const char *buf, size_t left)
{
	while (left > 0) {
		ssize_t r = write(fd, buf, left);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		buf += r;
		left -= (size_t)r;
	}
	return 0;
}

static int send_full(int fd, struct msghdr *m, size_t left)
{
	while (left > 0) {
		ssize_t r = sendmsg(fd, m, MSG_NOSIGNAL);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		left -= (size_t)r;
		m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + r;
		m->msg_iov->iov_len = left;
		m->msg_control = NULL;
		m->msg_controllen = 0;
	}
	return 0;
}

/* Sends one frame with one write. body is a JSON object, or empty. The descriptors stay ours. */
int frame_send(struct stage *s, const char *type, const char *body, size_t body_len, const int *fds,
	       size_t n_fds)
{
	/* Static: the largest body, a trace, would be a surprise on the stack. */
	static char buf[64 * 1024];
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct text t = { .buf = buf, .size = sizeof(buf) };
	if (s->sync.fd < 0)
		return 0; /* nobody listens any more: a detached exec that waited for its fifo */
	size_t len = write_envelope(s, &t, type, body, body_len, n_fds);
	int e = failpoint(s, STEP_CODE_write_frame, type);

	if (e)
		return e;
	if (t.cut || n_fds > 4)
		return stage_fail(s, E2BIG, type, NULL);
	uint32_t n = (uint32_t)(len - FRAME_HEADER);
	memcpy(buf, magic, sizeof(magic));
	for (int i = 0; i < 4; i++)
		buf[4 + i] = (char)(n >> (24 - 8 * i));

	struct iovec iov = { buf, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (n_fds) {
		memset(&control, 0, sizeof(control));
		m.msg_control = control.buf;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	e = s->filtered ? write_full(s->sync.fd, buf, len) : send_full(s->sync.fd, &m, len);
	if (e)
		return stage_fail(s, e, type, NULL);
	s->sync.seq_out++;
	return 0;
}
