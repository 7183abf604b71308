// SPDX-License-Identifier: Apache-2.0
/*
 * Runs handshake/testdata/vectors through the stage's reader. For every vector of the stage's sides
 * it prints a line, "ok NAME" or "FAIL NAME: ...", and leaves with 1 after any failure.
 *
 *	vectors FILE...        as they are
 *	vectors --cut FILE...  cut at every byte
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"

enum { MAX_PACKETS = 8, LINE = 8192, CUT_MAX = 4096 };

struct vector {
	char name[128];
	char side[16];
	char protocol[16];
	char state[16];
	uint32_t seq;
	struct packet packets[MAX_PACKETS];
	size_t n_packets;
	struct outcomes expect;
};

static bool failed;

static void add_bytes(struct vector *v, const char *data, size_t n)
{
	if (!v->n_packets)
		v->n_packets = 1;
	struct packet *p = &v->packets[v->n_packets - 1];
	if (p->len + n > p->room) {
		p->room = 2 * (p->len + n);
		p->data = realloc(p->data, p->room);
		if (!p->data)
			err(1, "realloc");
	}
	memcpy(p->data + p->len, data, n);
	p->len += n;
}

static size_t from_hex(const char *s, char *out)
{
	size_t n = 0;
	unsigned int byte;
	int used;

	while (sscanf(s, " %2x%n", &byte, &used) == 1) {
		out[n++] = (char)byte;
		s += used;
	}
	return n;
}

static void add_repeated(struct vector *v, const char *rest)
{
	char bytes[LINE];
	char *digits;
	unsigned long n = strtoul(rest, &digits, 10);
	size_t len = from_hex(digits, bytes);

	while (n--)
		add_bytes(v, bytes, len);
}

static void add_packet(struct vector *v, const char *rest)
{
	if (v->n_packets == MAX_PACKETS)
		errx(1, "%s: too many packets", v->name);
	v->packets[v->n_packets++].n_fds = strtoul(rest, NULL, 10);
}

static void read_line(struct vector *v, const char *word, const char *rest)
{
	char bytes[LINE];

	if (!strcmp(word, "reader")) {
		snprintf(v->side, sizeof(v->side), "%s", rest);
	} else if (!strcmp(word, "state")) {
		if (sscanf(rest, "%15s %15s", v->protocol, v->state) != 2)
			errx(1, "%s: bad state", v->name);
	} else if (!strcmp(word, "seq")) {
		v->seq = (uint32_t)strtoul(rest, NULL, 10);
	} else if (!strcmp(word, "hex")) {
		add_bytes(v, bytes, from_hex(rest, bytes));
	} else if (!strcmp(word, "text")) {
		add_bytes(v, rest, strlen(rest));
	} else if (!strcmp(word, "repeat")) {
		add_repeated(v, rest);
	} else if (!strcmp(word, "fds")) {
		add_packet(v, rest);
	} else if (!strcmp(word, "expect")) {
		if (v->expect.n == PLAY_MAX_OUTCOMES)
			errx(1, "%s: too many expectations", v->name);
		snprintf(v->expect.text[v->expect.n++], PLAY_OUTCOME_MAX, "%s", rest);
	} else {
		errx(1, "%s: unknown word %s", v->name, word);
	}
}

static bool same(const struct outcomes *a, const struct outcomes *b)
{
	bool equal = a->n == b->n;

	for (size_t i = 0; equal && i < a->n; i++)
		equal = !strcmp(a->text[i], b->text[i]);
	return equal;
}

static void print_outcomes(const char *words, const struct outcomes *o)
{
	printf(" %s", words);
	for (size_t i = 0; i < o->n; i++)
		printf("%s %s", i ? "," : "", o->text[i]);
}

static void run_whole(const struct vector *v, const struct reader_setup *setup)
{
	struct outcomes got;
	int before = play_lowest_fd();

	play(v->packets, v->n_packets, setup, &got);
	int after = play_lowest_fd();
	if (same(&got, &v->expect) && before == after) {
		printf("ok %s\n", v->name);
		return;
	}
	failed = true;
	printf("FAIL %s:", v->name);
	print_outcomes("got", &got);
	print_outcomes("expected", &v->expect);
	printf(" lowest descriptor %d, then %d\n", before, after);
}

/* The first n bytes of v, in packets that share its memory. */
static size_t cut_packets(const struct vector *v, size_t n, struct packet *ret)
{
	size_t used = 0;

	for (size_t i = 0; i < v->n_packets && n > 0; i++) {
		ret[used] = v->packets[i];
		if (ret[used].len > n)
			ret[used].len = n;
		n -= ret[used++].len;
	}
	return used;
}

/* The stage's vectors have one frame each where they are good. */
static const char *cut_outcome(size_t n)
{
	return n == 0 ? "eof" : n < 8 ? "short_header" : "short_payload";
}

static void run_cut(const struct vector *v, const struct reader_setup *setup)
{
	struct packet packets[MAX_PACKETS];
	struct outcomes got;
	size_t total = 0;

	for (size_t i = 0; i < v->n_packets; i++)
		total += v->packets[i].len;
	if (total > CUT_MAX)
		return;
	for (size_t n = 0; n < total; n++) {
		int before = play_lowest_fd();
		play(packets, cut_packets(v, n, packets), setup, &got);
		if (got.n == 1 && !strcmp(got.text[0], cut_outcome(n)) && before == play_lowest_fd())
			continue;
		failed = true;
		printf("FAIL %s: cut at byte %zu:", v->name, n);
		print_outcomes("got", &got);
		printf(" expected %s\n", cut_outcome(n));
		return;
	}
	printf("ok %s\n", v->name);
}

static void finish(struct vector *v, bool cut)
{
	if (*v->name && strcmp(v->side, "runtime") != 0) {
		struct reader_setup setup = { v->side, play_expected(v->protocol, v->state), v->seq };
		if (!setup.type)
			errx(1, "%s: the stage hears nothing in state %s", v->name, v->state);
		if (cut)
			run_cut(v, &setup);
		else
			run_whole(v, &setup);
	}
	for (size_t i = 0; i < v->n_packets; i++)
		free(v->packets[i].data);
	memset(v, 0, sizeof(*v));
}

static void run_file(const char *path, bool cut)
{
	static struct vector v;
	char line[LINE];
	FILE *f = fopen(path, "r");

	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!*line || *line == '#')
			continue;
		char *rest = strchr(line, ' ');
		if (!rest)
			errx(1, "%s: line without a space: %s", path, line);
		*rest++ = '\0';
		if (strcmp(line, "vector") != 0) {
			read_line(&v, line, rest);
			continue;
		}
		finish(&v, cut);
		snprintf(v.name, sizeof(v.name), "%s", rest);
	}
	finish(&v, cut);
	(void)fclose(f);
}

int main(int argc, char **argv)
{
	bool cut = argc > 1 && !strcmp(argv[1], "--cut");

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (!play_limits_agree())
		failed = true;
	for (int i = 1 + cut; i < argc; i++)
		run_file(argv[i], cut);
	return failed;
}
