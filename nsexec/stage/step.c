// SPDX-License-Identifier: Apache-2.0
/* The table of steps, their arguments, and the loop that carries a plan out. */
#include "stage.h"

#include <stdio.h>
#include <time.h>

#define ACT(code, symbol, words)
#define STEP(code, symbol, op, words) extern const struct step_impl step_##symbol;
#include "steps.def"
#undef ACT
#undef STEP

static const struct step_row {
	int code;
	const char *op;
	const char *verb;
	const struct step_impl *impl;
} rows[] = {
#define ACT(code, symbol, words) { code, "", words, NULL },
#define STEP(code, symbol, op, words) { code, op, words, &step_##symbol },
#include "steps.def"
#undef ACT
#undef STEP
};

static int wrong(struct stage *s, const struct field *field, const char *what)
{
	return stage_fail(s, EBADMSG, field->name, "%s", what);
}

static int fd_at(struct stage *s, struct frame *f, const struct field *field, uint64_t index,
		 int *ret)
{
	if (index >= f->n_fds || f->fds[index] < 0)
		return stage_fail(s, EBADMSG, field->name, "no descriptor %llu among %zu",
				  (unsigned long long)index, f->n_fds);
	*ret = f->fds[index];
	return 0;
}

static int read_string(struct stage *s, const struct field *field, const struct json_node *n,
		       const char **ret)
{
	if (n->type != JSON_STRING)
		return wrong(s, field, "not a string");
	*ret = n->str;
	return 0;
}

static int read_strings(struct stage *s, struct frame *f, const struct field *field, uint32_t node,
			struct strings *ret)
{
	const struct json_node *n = &f->doc.nodes[node];
	const char *str = NULL;
	int e;

	if (n->type != JSON_ARRAY)
		return wrong(s, field, "not an array");
	ret->n = n->len;
	ret->v = arena_take(&f->arena, (n->len + 1) * sizeof(char *));
	if (!ret->v)
		return stage_fail(s, E2BIG, field->name, NULL);
	uint32_t at = node + 1;
	for (size_t i = 0; i < ret->n; i++, at = f->doc.nodes[at].next) {
		e = read_string(s, field, &f->doc.nodes[at], &str);
		if (e)
			return e;
		ret->v[i] = f->doc.nodes[at].str;
	}
	ret->v[ret->n] = NULL;
	return 0;
}

static int read_ints(struct stage *s, struct frame *f, const struct field *field, uint32_t node,
		     struct ints *ret)
{
	const struct json_node *n = &f->doc.nodes[node];

	if (n->type != JSON_ARRAY)
		return wrong(s, field, "not an array");
	ret->n = n->len;
	ret->v = arena_take(&f->arena, (n->len + 1) * sizeof(int64_t));
	if (!ret->v)
		return stage_fail(s, E2BIG, field->name, NULL);
	uint32_t at = node + 1;
	for (size_t i = 0; i < ret->n; i++, at = f->doc.nodes[at].next) {
		if (json_i64(&f->doc.nodes[at], &ret->v[i]))
			return wrong(s, field, "not an array of integers");
		if (field->kind == F_FDS) {
			int fd = -1;
			int e = fd_at(s, f, field, (uint64_t)ret->v[i], &fd);
			if (e)
				return e;
			ret->v[i] = fd;
		}
	}
	return 0;
}

static int read_unsigned(struct stage *s, const struct field *field, const struct json_node *n,
			 uint64_t max, uint64_t *ret)
{
	if (json_u64(n, ret) || *ret > max)
		return wrong(s, field, "not an unsigned integer that fits");
	return 0;
}

static int read_signed(struct stage *s, const struct field *field, const struct json_node *n,
		       int64_t min, int64_t max, int64_t *ret)
{
	if (json_i64(n, ret) || *ret < min || *ret > max)
		return wrong(s, field, "not an integer that fits");
	return 0;
}

static int read_field(struct stage *s, struct frame *f, const struct field *field, uint32_t node,
		      void *to)
{
	const struct json_node *n = &f->doc.nodes[node];
	uint64_t u = 0;
	int64_t i = 0;
	int e;

	switch (field->kind) {
	case F_STRING:
		return read_string(s, field, n, to);
	case F_BOOL:
		if (n->type != JSON_TRUE && n->type != JSON_FALSE)
			return wrong(s, field, "not a boolean");
		*(bool *)to = n->type == JSON_TRUE;
		return 0;
	case F_U32:
		e = read_unsigned(s, field, n, UINT32_MAX, &u);
		*(uint32_t *)to = (uint32_t)u;
		return e;
	case F_U64:
		return read_unsigned(s, field, n, UINT64_MAX, to);
	case F_I32:
		e = read_signed(s, field, n, INT32_MIN, INT32_MAX, &i);
		*(int32_t *)to = (int32_t)i;
		return e;
	case F_I64:
		return read_signed(s, field, n, INT64_MIN, INT64_MAX, to);
	case F_ID:
		/* Kernel ids end before (uid_t)-1, which means "leave alone". */
		return read_signed(s, field, n, 0, UINT32_MAX - 1, to);
	case F_FD:
		e = read_unsigned(s, field, n, FRAME_MAX_FDS, &u);
		return e ? e : fd_at(s, f, field, u, to);
	case F_STRINGS:
		return read_strings(s, f, field, node, to);
	case F_INTS:
	case F_FDS:
		return read_ints(s, f, field, node, to);
	case F_NODE:
		*(uint32_t *)to = node;
		return 0;
	default:
		return wrong(s, field, "unknown kind");
	}
}

static size_t find_field(const struct field *fields, size_t n_fields, const char *name)
{
	size_t i = 0;

	while (i < n_fields && !streq(fields[i].name, name))
		i++;
	return i;
}

static void set_absent(const struct field *field, void *to)
{
	if (field->kind == F_ID)
		*(int64_t *)to = -1;
	else if (field->kind == F_FD)
		*(int *)to = -1;
}

static int check_required(struct stage *s, const struct field *fields, size_t n_fields,
			  uint64_t seen)
{
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].required && !(seen >> i & 1))
			return wrong(s, &fields[i], "missing");
	return 0;
}

/* args is zeroed by the caller; ids and descriptors that are absent become -1. */
int fields_read(struct stage *s, struct frame *f, uint32_t node, const struct field *fields,
		size_t n_fields, void *args)
{
	const struct json_node *nodes = f->doc.nodes;
	uint64_t seen = 0;
	int e;

	if (nodes[node].type != JSON_OBJECT)
		return stage_fail(s, EBADMSG, "", "not an object");
	for (size_t i = 0; i < n_fields; i++)
		set_absent(&fields[i], (char *)args + fields[i].offset);
	uint32_t at = node + 1;
	for (uint32_t i = 0; i < nodes[node].len; i++) {
		const char *name = nodes[at].str;
		size_t k = find_field(fields, n_fields, name);
		if (k == n_fields)
			return stage_fail(s, EBADMSG, name, "unknown field");
		if (seen >> k & 1)
			return wrong(s, &fields[k], "given twice");
		seen |= (uint64_t)1 << k;
		e = read_field(s, f, &fields[k], at + 1, (char *)args + fields[k].offset);
		if (e)
			return e;
		at = nodes[at + 1].next;
	}
	return check_required(s, fields, n_fields, seen);
}

static const struct step_row *row_by_op(const char *op)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].impl && streq(rows[i].op, op))
			return &rows[i];
	return NULL;
}

const char *step_verb(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].code == code)
			return rows[i].verb;
	return "unknown step";
}

/* Room for the arguments of any step, and behind them for "op". */
union step_args {
	char bytes[STEP_ARGS_MAX + sizeof(uint32_t)];
	uint64_t align;
};

/* The row of the step at node; NULL, described in s->fail, where it names none. */
static const struct step_row *find_row(struct stage *s, uint32_t node)
{
	const struct json_node *n = s->plan.doc.nodes + node;
	const struct step_row *row = NULL;

	if (n->type != JSON_OBJECT || n->len == 0 || !streq(n[1].str, "op") ||
	    n[2].type != JSON_STRING)
		(void)stage_fail(s, EBADMSG, "op", "a step must start with it");
	else if (!(row = row_by_op(n[2].str)))
		(void)stage_fail(s, EBADMSG, n[2].str, "unknown step");
	return row;
}

static int read_step(struct stage *s, uint32_t node, const struct step_row *row,
		     union step_args *args)
{
	struct field fields[24] = { { "op", F_NODE, STEP_ARGS_MAX, FIELD_REQUIRED } };
	size_t n = row->impl->n_fields;

	if (n + 1 > ARRAY_SIZE(fields))
		return stage_fail(s, E2BIG, row->op, "too many fields");
	for (size_t i = 0; i < n; i++)
		fields[i + 1] = row->impl->fields[i];
	memset(args, 0, sizeof(*args));
	return fields_read(s, &s->plan, node, fields, n + 1, args);
}

static int check_step(struct stage *s, uint32_t node, const struct step_row **ret_row)
{
	const struct step_row *row = find_row(s, node);
	union step_args args;
	int e;

	*ret_row = row;
	if (!row)
		return -EBADMSG;
	e = read_step(s, node, row, &args);
	if (!e && row->impl->check)
		e = row->impl->check(s, &args);
	return e;
}

struct plan_body {
	bool trace;
	uint32_t steps;
};

static const struct field plan_fields[] = {
	FIELD(struct plan_body, F_BOOL, trace, "trace", FIELD_OPTIONAL),
	FIELD(struct plan_body, F_NODE, steps, "steps", FIELD_REQUIRED),
};

static int read_plan(struct stage *s, struct plan_body *ret)
{
	int e = s->plan.body ? 0 : stage_fail(s, EBADMSG, "body", "missing");

	if (!e)
		e = fields_read(s, &s->plan, s->plan.body, FIELDS(plan_fields), ret);
	if (!e && s->plan.doc.nodes[ret->steps].type != JSON_ARRAY)
		e = stage_fail(s, EBADMSG, "steps", "not an array");
	return e;
}

/* Moves the complaint about one field behind the number and name of its step. */
static int name_step(struct stage *s, uint32_t index, const struct step_row *row)
{
	char object[64], detail[512];

	(void)snprintf(object, sizeof(object), "step %u%s%s", index, row ? " " : "",
		       row ? row->op : "");
	(void)snprintf(detail, sizeof(detail), "%.200s: %.200s", s->fail.object, s->fail.detail);
	return stage_fail(s, s->fail.err, object, "%s", detail);
}

/* Checks the whole plan; nothing has been done yet when this fails. */
int plan_check(struct stage *s)
{
	struct plan_body body = { 0 };
	const struct step_row *row = NULL;
	struct arena start = s->plan.arena;
	int e = stage_at(s, STEP_CODE_check_plan);

	if (!e)
		e = read_plan(s, &body);
	if (e)
		return e;
	const struct json_node *nodes = s->plan.doc.nodes;
	uint32_t at = body.steps + 1;
	for (uint32_t i = 0; i < nodes[body.steps].len; i++, at = nodes[at].next) {
		row = NULL;
		e = check_step(s, at, &row);
		s->plan.arena = start;
		if (e)
			return name_step(s, i, row);
	}
	if (!row || row->code != STEP_CODE_exec)
		return stage_fail(s, EBADMSG, "steps", "the last one is not exec");
	s->trace = body.trace;
	return 0;
}

static int64_t now(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Steps that decide with what rights the program runs. */
static bool sets_rights(int code)
{
	return code == STEP_CODE_bounding || code == STEP_CODE_user ||
	       code == STEP_CODE_no_new_privs || code == STEP_CODE_caps ||
	       code == STEP_CODE_seccomp;
}

/*
 * Takes the rights that the program will have, by the plan's later steps in their order. For a
 * child that executes a file of the container before the program does: a startContainer hook.
 */
int plan_take_rights(struct stage *s)
{
	const struct json_node *nodes = s->plan.doc.nodes;
	const struct step_row *row = NULL;
	union step_args args;
	int e = 0;

	s->in_hook = true;
	for (uint32_t at = nodes[s->at].next; !e && at < s->end; at = nodes[at].next) {
		row = find_row(s, at);
		if (!row)
			return -EBADMSG;
		if (!sets_rights(row->code))
			continue;
		e = read_step(s, at, row, &args);
		if (!e)
			e = row->impl->run(s, &args);
	}
	return e;
}

/* A plan that was checked. The last step is exec, which comes back only when it failed. */
void plan_run(struct stage *s)
{
	struct plan_body body = { 0 };
	struct arena start = s->plan.arena;
	const struct step_row *row = NULL;
	union step_args args;

	if (read_plan(s, &body))
		stage_die(s, STEP_CODE_check_plan);
	const struct json_node *nodes = s->plan.doc.nodes;
	uint32_t at = body.steps + 1;
	s->end = nodes[body.steps].next;
	for (uint32_t i = 0; i < nodes[body.steps].len; i++, at = nodes[at].next) {
		s->at = at;
		int64_t began = s->trace ? now() : 0;
		row = find_row(s, at);
		int e = row ? read_step(s, at, row, &args) : -EBADMSG;
		if (!e)
			e = stage_at(s, row->code);
		if (!e)
			e = row->impl->run(s, &args);
		if (e)
			stage_die(s, row ? row->code : STEP_CODE_check_plan);
		if (s->trace)
			trace_add(s, i, row->op, began, now() - began);
		s->plan.arena = start;
	}
	(void)stage_fail(s, EPROTO, "plan", "ended without exec");
	stage_die(s, STEP_CODE_exec);
}
