/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers: cleanup attributes, an arena, bounded text. */
#ifndef RUNACK_UTIL_H
#define RUNACK_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Closes at the end of the scope and keeps errno:
 *	close_fd int fd = open(...);
 *	return steal_fd(&fd);   hands it over
 */
#define close_fd __attribute__((cleanup(fd_cleanup)))

static inline void fd_cleanup(const int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		(void)close(*fd);
		errno = saved;
	}
}

static inline int steal_fd(int *fd)
{
	int f = *fd;
	*fd = -1;
	return f;
}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* The result of a raw system call as a negative errno or the value. */
static inline long sys_result(long r)
{
	return r < 0 ? -errno : r;
}

/* Memory taken from the front of one mapping and given back with it. */
struct arena {
	char *at;
	char *end;
};

static inline void *arena_take(struct arena *a, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (size > (size_t)(a->end - a->at))
		return NULL;
	void *p = a->at;
	a->at += size;
	return p;
}

/* Bounded text; what does not fit is left out and remembered. */
struct text {
	char *buf;
	size_t size; /* with the final NUL */
	size_t len;
	bool cut;
};

void text_add(struct text *t, const char *s, size_t n);
void text_str(struct text *t, const char *s);
void text_u64(struct text *t, uint64_t v);
void text_i64(struct text *t, int64_t v);
void text_json(struct text *t, const char *s); /* a quoted JSON string; invalid UTF-8 becomes '?' */

/* Copies with truncation, always terminated. */
void copy_str(char *dst, size_t size, const char *src);

#endif
