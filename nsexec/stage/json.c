// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct reader {
	struct json_doc *doc;
	char *buf;
	size_t len;
	size_t at;
};

static int refuse(struct reader *r, const char *why)
{
	r->doc->why = why;
	r->doc->where = r->at;
	return -EBADMSG;
}

static int peek(const struct reader *r)
{
	return r->at < r->len ? (unsigned char)r->buf[r->at] : -1;
}

static void skip_space(struct reader *r)
{
	int c;

	while ((c = peek(r)) == ' ' || c == '\t' || c == '\n' || c == '\r')
		r->at++;
}

static struct json_node *add_node(struct reader *r, enum json_type type)
{
	if (r->doc->n == r->doc->max)
		return NULL;
	struct json_node *n = &r->doc->nodes[r->doc->n++];
	*n = (struct json_node){ .type = type };
	return n;
}

static int out_of_nodes(struct reader *r)
{
	(void)refuse(r, "too many values");
	return -E2BIG;
}

static int read_hex4(struct reader *r, uint32_t *ret)
{
	uint32_t v = 0;

	if (r->len - r->at < 4)
		return refuse(r, "short \\u escape");
	for (int i = 0; i < 4; i++, r->at++) {
		char c = r->buf[r->at];
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			v = v << 4 | (uint32_t)((c | 32) - 'a' + 10);
		else
			return refuse(r, "bad \\u escape");
	}
	*ret = v;
	return 0;
}

/* One code point from \uXXXX or a surrogate pair; r->at is behind the first \u. */
static int read_code_point(struct reader *r, uint32_t *ret)
{
	uint32_t hi, lo;
	int e = read_hex4(r, &hi);

	if (e)
		return e;
	if (hi == 0)
		return refuse(r, "NUL in a string");
	if (hi < 0xd800 || hi > 0xdfff) {
		*ret = hi;
		return 0;
	}
	if (hi > 0xdbff || r->len - r->at < 2 || r->buf[r->at] != '\\' || r->buf[r->at + 1] != 'u')
		return refuse(r, "lone surrogate");
	r->at += 2;
	e = read_hex4(r, &lo);
	if (e)
		return e;
	if (lo < 0xdc00 || lo > 0xdfff)
		return refuse(r, "lone surrogate");
	*ret = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
	return 0;
}

/* Never longer than the escape it comes from, so that unescaping in place works. */
static char *put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*out++ = (char)(0xe0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		*out++ = (char)(0xf0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* Copies one multi-byte UTF-8 sequence after checking it: no overlong forms, no surrogates. */
static int copy_utf8(struct reader *r, char **out)
{
	const unsigned char *s = (const unsigned char *)r->buf + r->at;
	size_t left = r->len - r->at, n;

	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return refuse(r, "invalid UTF-8");
	if (left < n)
		return refuse(r, "invalid UTF-8");
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return refuse(r, "invalid UTF-8");
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return refuse(r, "invalid UTF-8");
	memmove(*out, s, n);
	*out += n;
	r->at += n;
	return 0;
}

static int read_escape(struct reader *r, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = peek(r);
	uint32_t code;

	if (c < 0)
		return refuse(r, "unterminated string");
	r->at++;
	if (c == 'u') {
		int e = read_code_point(r, &code);
		if (e)
			return e;
		*out = put_utf8(*out, code);
		return 0;
	}
	const char *p = c ? strchr(from, c) : NULL;
	if (!p)
		return refuse(r, "unknown escape");
	*(*out)++ = to[p - from];
	return 0;
}

static int read_string(struct reader *r)
{
	struct json_node *n = add_node(r, JSON_STRING);
	if (!n)
		return out_of_nodes(r);
	r->at++;
	n->str = r->buf + r->at;
	char *out = n->str;

	for (;;) {
		int c = peek(r), e = 0;
		if (c < 0)
			return refuse(r, "unterminated string");
		if (c == '"')
			break;
		if (c < 0x20)
			return refuse(r, c ? "control character in a string" : "NUL in a string");
		if (c == '\\') {
			r->at++;
			e = read_escape(r, &out);
		} else if (c < 0x80) {
			*out++ = (char)c;
			r->at++;
		} else {
			e = copy_utf8(r, &out);
		}
		if (e)
			return e;
	}
	r->at++;
	/* At the latest this overwrites the closing quote. */
	*out = '\0';
	n->len = (uint32_t)(out - n->str);
	n->next = (uint32_t)r->doc->n;
	return 0;
}

static bool skip_digits(struct reader *r)
{
	size_t start = r->at;

	while (peek(r) >= '0' && peek(r) <= '9')
		r->at++;
	return r->at > start;
}

static int read_number(struct reader *r)
{
	struct json_node *n = add_node(r, JSON_NUMBER);
	if (!n)
		return out_of_nodes(r);
	n->str = r->buf + r->at;

	if (peek(r) == '-')
		r->at++;
	if (peek(r) == '0')
		r->at++;
	else if (!skip_digits(r))
		return refuse(r, "unexpected character");
	if (peek(r) == '.') {
		r->at++;
		if (!skip_digits(r))
			return refuse(r, "bad number");
	}
	if (peek(r) == 'e' || peek(r) == 'E') {
		r->at++;
		if (peek(r) == '+' || peek(r) == '-')
			r->at++;
		if (!skip_digits(r))
			return refuse(r, "bad number");
	}
	n->len = (uint32_t)(r->buf + r->at - n->str);
	n->next = (uint32_t)r->doc->n;
	return 0;
}

static int read_word(struct reader *r, const char *word, enum json_type type)
{
	size_t n = strlen(word);
	struct json_node *node;

	if (r->len - r->at < n || memcmp(r->buf + r->at, word, n) != 0)
		return refuse(r, "unexpected character");
	node = add_node(r, type);
	if (!node)
		return out_of_nodes(r);
	r->at += n;
	node->next = (uint32_t)r->doc->n;
	return 0;
}

static int read_value(struct reader *r, int depth);

static int read_member(struct reader *r, int depth)
{
	int e;

	if (peek(r) != '"')
		return refuse(r, "expected a key");
	e = read_string(r);
	if (e)
		return e;
	skip_space(r);
	if (peek(r) != ':')
		return refuse(r, "expected ':'");
	r->at++;
	return read_value(r, depth);
}

/* The elements between the brackets; r->at is on the opening one. */
static int read_container(struct reader *r, enum json_type type, int depth)
{
	const char close = type == JSON_OBJECT ? '}' : ']';
	const size_t self = r->doc->n;
	uint32_t count = 0;
	int e;

	if (depth == JSON_MAX_DEPTH)
		return refuse(r, "nested too deeply");
	if (!add_node(r, type))
		return out_of_nodes(r);
	r->at++;
	skip_space(r);
	while (peek(r) != close) {
		if (count > 0) {
			if (peek(r) != ',')
				return refuse(r, "expected ',' or the end");
			r->at++;
			skip_space(r);
		}
		e = type == JSON_OBJECT ? read_member(r, depth + 1) : read_value(r, depth + 1);
		if (e)
			return e;
		count++;
		skip_space(r);
	}
	r->at++;
	r->doc->nodes[self].len = count;
	r->doc->nodes[self].next = (uint32_t)r->doc->n;
	return 0;
}

static int read_value(struct reader *r, int depth)
{
	skip_space(r);
	switch (peek(r)) {
	case '{':
		return read_container(r, JSON_OBJECT, depth);
	case '[':
		return read_container(r, JSON_ARRAY, depth);
	case '"':
		return read_string(r);
	case 't':
		return read_word(r, "true", JSON_TRUE);
	case 'f':
		return read_word(r, "false", JSON_FALSE);
	case 'n':
		return read_word(r, "null", JSON_NULL);
	case -1:
		return refuse(r, "unexpected end");
	default:
		return read_number(r);
	}
}

int json_parse(struct json_doc *doc, char *buf, size_t len)
{
	struct reader r = { .doc = doc, .buf = buf, .len = len };
	int e;

	doc->n = 0;
	doc->why = NULL;
	e = read_value(&r, 0);
	if (e)
		return e;
	skip_space(&r);
	if (r.at != len)
		return refuse(&r, "more than one value");
	return 0;
}

static int digits_u64(const char *s, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EBADMSG;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int json_u64(const struct json_node *n, uint64_t *ret)
{
	if (n->type != JSON_NUMBER)
		return -EBADMSG;
	if (n->str[0] == '-')
		return -ERANGE;
	return digits_u64(n->str, n->len, ret);
}

int json_i64(const struct json_node *n, int64_t *ret)
{
	uint64_t v;
	bool negative;
	int e;

	if (n->type != JSON_NUMBER)
		return -EBADMSG;
	negative = n->str[0] == '-';
	e = digits_u64(n->str + negative, n->len - negative, &v);
	if (e)
		return e;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}
