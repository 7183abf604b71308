// SPDX-License-Identifier: Apache-2.0
/* Failures: kept as fields, told as an error frame, and as an exit code of their own. */
#include "stage.h"

#include <stdio.h>
#include <sys/prctl.h>

#include "failpoint.h"

int stage_fail(struct stage *s, int err, const char *object, const char *fmt, ...)
{
	struct failure *f = &s->fail;
	va_list ap;

	f->err = err < 0 ? -err : err;
	copy_str(f->object, sizeof(f->object), object ? object : "");
	f->detail[0] = '\0';
	if (fmt) {
		va_start(ap, fmt);
		(void)vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
		va_end(ap);
	}
	return f->err ? -f->err : -EIO;
}

static void text_member(struct text *t, const char *key, const char *value)
{
	if (!*value)
		return;
	text_str(t, ",\"");
	text_str(t, key);
	text_str(t, "\":");
	text_json(t, value);
}

void stage_tell(struct stage *s, int code)
{
	/* One byte of text takes up to six in JSON ("\u0001"). */
	static char body[6 * (sizeof(s->fail.object) + sizeof(s->fail.detail)) + 512];
	struct text t = { .buf = body, .size = sizeof(body) };

	text_str(&t, "{\"side\":");
	text_json(&t, s->side);
	text_str(&t, ",\"step\":");
	text_json(&t, step_verb(code));
	text_member(&t, "object", s->fail.object);
	if (s->fail.err) {
		text_str(&t, ",\"errno\":");
		text_i64(&t, s->fail.err);
	}
	text_member(&t, "detail", s->fail.detail);
	text_str(&t, "}");
	if (!t.cut)
		(void)frame_send(s, "error", body, t.len, NULL, 0);
}

/* The name outlives a death by signal until the zombie is reaped, and shows where a stage hangs. */
int stage_at(struct stage *s, int code)
{
	char name[16];
	struct text t = { .buf = name, .size = sizeof(name) };

	/* Once filtered, a call may be denied that is not the program's to make. */
	if (code != s->code && !s->filtered) {
		text_str(&t, "runack:[");
		text_i64(&t, code);
		text_str(&t, "]");
		(void)prctl(PR_SET_NAME, name);
		s->code = code;
	}
	return failpoint(s, code, NULL);
}

/* Where nobody listens any more the exit code still tells the step. */
void stage_die(struct stage *s, int code)
{
	stage_tell(s, code);
	_exit(code);
}
