// SPDX-License-Identifier: Apache-2.0
#include "util.h"

static void text_char(struct text *t, char c)
{
	if (t->len + 1 >= t->size) {
		t->cut = true;
		return;
	}
	t->buf[t->len++] = c;
	t->buf[t->len] = '\0';
}

void text_add(struct text *t, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_char(t, s[i]);
}

void text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	text_add(t, digits + n, sizeof(digits) - n);
}

void text_i64(struct text *t, int64_t v)
{
	if (v < 0)
		text_char(t, '-');
	text_u64(t, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Bytes of the UTF-8 sequence at s, 0 where there is no valid one. s is terminated, so a short
 * sequence ends at the NUL, which is no continuation byte. */
static size_t utf8_len(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	if ((s[1] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xe0)
		return 2;
	if ((s[2] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xf0) {
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
			return 0;
		return 3;
	}
	if ((s[3] & 0xc0) != 0x80 || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return 4;
}

void text_json(struct text *t, const char *s)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)s;

	text_char(t, '"');
	while (*p) {
		size_t n = utf8_len(p);
		if (*p == '"' || *p == '\\') {
			text_char(t, '\\');
			text_char(t, (char)*p);
		} else if (*p < 0x20) {
			text_str(t, "\\u00");
			text_char(t, hex[*p >> 4]);
			text_char(t, hex[*p & 15]);
		} else if (n == 0) {
			text_char(t, '?');
		} else {
			text_add(t, (const char *)p, n);
		}
		p += n ? n : 1;
	}
	text_char(t, '"');
}

void copy_str(char *dst, size_t size, const char *src)
{
	size_t n = strnlen(src, size - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
}
