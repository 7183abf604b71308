// SPDX-License-Identifier: Apache-2.0
/*
 * For libFuzzer: guided by the coverage of the stage's own code, which a fuzzer on the other side of
 * a pipe is blind to. The first byte chooses between the JSON reader and a stream of frames.
 */
#include <stdlib.h>
#include <string.h>

#include "../stage.h"
#include "play.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Parses a copy with room for max nodes. */
static int parse_with(const uint8_t *data, size_t len, size_t max)
{
	struct json_doc doc = { .max = max };
	char *buf = malloc(len + 1);

	doc.nodes = calloc(doc.max, sizeof(*doc.nodes));
	if (!buf || !doc.nodes)
		abort();
	memcpy(buf, data, len);
	int e = json_parse(&doc, buf, len);
	if ((!e && doc.nodes[0].next != doc.n) || (e && doc.where > len))
		abort();
	free(doc.nodes);
	free(buf);
	return e;
}

/*
 * frame.c gives half as many nodes as bytes. Only text that is no JSON may run out of them, such as
 * one of opening brackets alone: with a node for every byte it must be refused too, for itself.
 */
static void parse(const uint8_t *data, size_t len)
{
	if (parse_with(data, len, len / 2 + 2) == -E2BIG && parse_with(data, len, len + 2) != -EBADMSG)
		abort();
}

static void frames(const uint8_t *data, size_t len)
{
	const struct reader_setup setup = { "stage-0", "spawn", 0 };
	struct outcomes got;
	char *buf = malloc(len + 1);
	int before = play_lowest_fd();

	if (!buf)
		abort();
	memcpy(buf, data, len);
	/* Half of the streams come with descriptors. */
	const struct packet p = { .n_fds = len & 1 ? len % 7 : 0, .data = buf, .len = len };
	play(&p, 1, &setup, &got);
	if (before != play_lowest_fd() || !strcmp(got.text[got.n - 1], "unknown"))
		abort();
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		parse(data + 1, size - 1);
	else
		frames(data + 1, size - 1);
	return 0;
}
