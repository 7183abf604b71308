/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failpoints: places at which a test interrupts the stage. The variable RUNACK_FAILPOINTS lists them
 * as package act (Go) writes it for the stage: "SIDE: STEP[ OBJECT]#N=ACTION(NUMBER)", separated by ";".
 * They exist in the second stage binary alone, that tests are built with (-DFAILPOINTS).
 */
#ifndef RUNACK_FAILPOINT_H
#define RUNACK_FAILPOINT_H

#include "stage.h"

#ifdef FAILPOINTS

/* Reads the variable; to be called before anything that could be interrupted. */
void failpoint_init(char **env);

/* At the beginning of a step, or at a frame, whose message is the object then. Returns 0, or a
 * negative errno described in s->fail, or never. */
int failpoint(struct stage *s, int code, const char *object);

/* The descriptors of failpoints, which a step that closes all others leaves; -1 for none. */
int failpoint_seen(void);
int failpoint_executioner(void);

#else

static inline int failpoint_seen(void)
{
	return -1;
}

static inline int failpoint_executioner(void)
{
	return -1;
}

static inline void failpoint_init(char **env)
{
	(void)env;
}

static inline int failpoint(struct stage *s, int code, const char *object)
{
	(void)s;
	(void)code;
	(void)object;
	return 0;
}

#endif
#endif
