/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict, bounded JSON reader (RFC 8259). It turns a buffer into a flat array of nodes without
 * allocating; strings are unescaped in place and terminated, so the buffer must be writable and is
 * no longer JSON afterwards. Stricter than the RFC where C needs it: no NUL in strings, no lone
 * surrogates, valid UTF-8 only, bounded depth.
 */
#ifndef RUNACK_JSON_H
#define RUNACK_JSON_H

#include <stddef.h>
#include <stdint.h>

enum json_type {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

enum { JSON_MAX_DEPTH = 16 };

/* A node's children follow it; `next` is the first node that is not part of it. In an object, keys
 * (strings) and values alternate. */
struct json_node {
	enum json_type type;
	uint32_t next;
	uint32_t len; /* strings and numbers: bytes; arrays and objects: elements */
	char *str; /* strings: unescaped and terminated; numbers: the digits, not terminated */
};

struct json_doc {
	struct json_node *nodes;
	size_t max;
	size_t n;
	const char *why; /* after a failure */
	size_t where; /* offset of the failure */
};

/* Parses exactly one value that fills buf[0..len), white space around it allowed. buf[len] must be
 * writable. Returns 0, -EBADMSG with why and where, or -E2BIG when nodes run out. */
int json_parse(struct json_doc *doc, char *buf, size_t len);

/* Integers without fraction or exponent. -ERANGE where they do not fit, -EBADMSG where not one. */
int json_i64(const struct json_node *n, int64_t *ret);
int json_u64(const struct json_node *n, uint64_t *ret);

#endif
