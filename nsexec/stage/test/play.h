/* SPDX-License-Identifier: Apache-2.0 */
/* Plays bytes and descriptors to the stage's frame reader, for the tests beside this file. */
#ifndef RUNACK_TEST_PLAY_H
#define RUNACK_TEST_PLAY_H

#include <stddef.h>
#include <stdint.h>

/* One sendmsg(2): descriptors, then bytes. */
struct packet {
	size_t n_fds;
	char *data;
	size_t len;
	size_t room;
};

/* What a reader is told before the first byte. */
struct reader_setup {
	const char *side; /* "stage-0" or "stage-1" */
	const char *type; /* the message it waits for */
	uint32_t seq;
};

enum { PLAY_MAX_OUTCOMES = 8, PLAY_OUTCOME_MAX = 32 };

/* What the reader said, call by call, until the first that is not "ok TYPE": "eof" or a kind. */
struct outcomes {
	char text[PLAY_MAX_OUTCOMES][PLAY_OUTCOME_MAX];
	size_t n;
};

void play(const struct packet *packets, size_t n, const struct reader_setup *setup,
	  struct outcomes *ret);

/* The message that the runtime may send in a state, by order.def; NULL where it has none. */
const char *play_expected(const char *protocol, const char *state);

/* Whether every limit of order.def is the stage's own. Prints what differs. */
int play_limits_agree(void);

/* The number that the next descriptor would get: a cheap sign of a leak. */
int play_lowest_fd(void);

#endif
