// SPDX-License-Identifier: Apache-2.0
/*
 * Answers questions about bytes, so that a Go test can ask both languages the same. A question is
 * one letter, a 32-bit big-endian length and that many bytes; the answer a length and text:
 *
 *	j  JSON text     the value written anew, or "error WHY"
 *	i  a JSON number  "I64 U64", each a number or the name of an errno
 *	f  a stream       what a stage-0 that waits for spawn makes of it: outcomes, comma-separated
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../stage.h"
#include "play.h"

static bool read_full(void *buf, size_t n)
{
	return fread(buf, 1, n, stdin) == n;
}

static void answer(const char *text, size_t n)
{
	unsigned char h[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16),
			       (unsigned char)(n >> 8), (unsigned char)n };

	if (fwrite(h, 1, 4, stdout) != 4 || fwrite(text, 1, n, stdout) != n || fflush(stdout))
		err(1, "answer");
}

static uint32_t write_value(struct text *t, const struct json_doc *doc, uint32_t at);

/* The elements of an array or object; returns the node behind it. */
static uint32_t write_elements(struct text *t, const struct json_doc *doc, uint32_t at)
{
	const struct json_node *n = &doc->nodes[at];
	bool object = n->type == JSON_OBJECT;
	uint32_t next = at + 1;

	text_str(t, object ? "{" : "[");
	for (uint32_t i = 0; i < n->len; i++) {
		if (i)
			text_str(t, ",");
		next = write_value(t, doc, next);
		if (object) {
			text_str(t, ":");
			next = write_value(t, doc, next);
		}
	}
	text_str(t, object ? "}" : "]");
	return next;
}

static uint32_t write_value(struct text *t, const struct json_doc *doc, uint32_t at)
{
	const struct json_node *n = &doc->nodes[at];
	uint32_t next = at + 1;

	switch (n->type) {
	case JSON_NULL:
		text_str(t, "null");
		break;
	case JSON_FALSE:
		text_str(t, "false");
		break;
	case JSON_TRUE:
		text_str(t, "true");
		break;
	case JSON_NUMBER:
		text_add(t, n->str, n->len);
		break;
	case JSON_STRING:
		if (strlen(n->str) != n->len)
			errx(1, "string of length %u ends after %zu", n->len, strlen(n->str));
		text_json(t, n->str);
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		next = write_elements(t, doc, at);
		break;
	default:
		errx(1, "node of type %d", n->type);
	}
	if (next != n->next)
		errx(1, "node %u: next is %u, should be %u", at, n->next, next);
	return next;
}

/* Exactly sized allocations, so that the address sanitizer sees the first byte too far. */
static struct json_doc new_doc(size_t len)
{
	struct json_doc doc = { .max = len / 2 + 2 };

	doc.nodes = calloc(doc.max, sizeof(*doc.nodes));
	if (!doc.nodes)
		err(1, "calloc");
	return doc;
}

/* buf has one byte of room behind len, as json_parse wants it. */
static void answer_json(char *buf, size_t len)
{
	struct json_doc doc = new_doc(len);
	size_t size = 6 * len + 64;
	char *out = malloc(size);
	struct text t = { .buf = out, .size = size };

	if (!out)
		err(1, "malloc");
	if (json_parse(&doc, buf, len)) {
		if (doc.where > len)
			errx(1, "complaint about byte %zu of %zu", doc.where, len);
		text_str(&t, "error ");
		text_str(&t, doc.why);
	} else if (write_value(&t, &doc, 0) != doc.n) {
		errx(1, "%zu nodes, but the root ends elsewhere", doc.n);
	}
	if (t.cut)
		errx(1, "answer cut");
	answer(out, t.len);
	free(out);
	free(doc.nodes);
}

static void text_result(struct text *t, int e, bool negative, uint64_t v)
{
	if (e)
		text_str(t, e == -ERANGE ? "ERANGE" : "EBADMSG");
	else if (negative)
		text_i64(t, (int64_t)v);
	else
		text_u64(t, v);
}

static void answer_number(char *buf, size_t len)
{
	struct json_doc doc = new_doc(len);
	char out[64];
	struct text t = { .buf = out, .size = sizeof(out) };
	int64_t i = 0;
	uint64_t u = 0;

	if (json_parse(&doc, buf, len)) {
		text_str(&t, "error");
	} else {
		int e = json_i64(doc.nodes, &i);
		text_result(&t, e, true, (uint64_t)i);
		text_str(&t, " ");
		e = json_u64(doc.nodes, &u);
		text_result(&t, e, false, u);
	}
	answer(out, t.len);
	free(doc.nodes);
}

static void answer_frames(char *buf, size_t len)
{
	const struct packet p = { .data = buf, .len = len };
	const struct reader_setup setup = { "stage-0", "spawn", 0 };
	struct outcomes got;
	char out[PLAY_MAX_OUTCOMES * (PLAY_OUTCOME_MAX + 1)];
	struct text t = { .buf = out, .size = sizeof(out) };

	play(&p, 1, &setup, &got);
	for (size_t i = 0; i < got.n; i++) {
		text_str(&t, i ? "," : "");
		text_str(&t, got.text[i]);
	}
	answer(out, t.len);
}

int main(void)
{
	unsigned char h[5];

	while (read_full(h, sizeof(h))) {
		size_t len = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];
		char *buf = malloc(len + 1);
		if (!buf || !read_full(buf, len))
			err(1, "question");
		if (h[0] == 'j')
			answer_json(buf, len);
		else if (h[0] == 'i')
			answer_number(buf, len);
		else if (h[0] == 'f')
			answer_frames(buf, len);
		else
			errx(1, "question %c", h[0]);
		free(buf);
	}
	return 0;
}
