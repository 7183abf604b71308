// SPDX-License-Identifier: Apache-2.0
/* The actions of spawn and join: namespaces entered, made, and given time offsets. */
#include "stage.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>

struct action {
	const char *what;
	uint64_t flags;
	int fd;
	const char *value;
	const char *object;
};

static const struct field action_fields[] = {
	FIELD(struct action, F_STRING, what, "do", FIELD_REQUIRED),
	FIELD(struct action, F_U64, flags, "flags", FIELD_OPTIONAL),
	FIELD(struct action, F_FD, fd, "fd", FIELD_OPTIONAL),
	FIELD(struct action, F_STRING, value, "value", FIELD_OPTIONAL),
	FIELD(struct action, F_STRING, object, "object", FIELD_OPTIONAL),
};

/* setns(2) takes a namespace file, or a pidfd with several flags at once. */
static int action_setns(struct stage *s, const struct action *a)
{
	if (setns(a->fd, (int)a->flags) == 0)
		return 0;
	return stage_fail(s, errno, a->object, NULL);
}

static int action_unshare(struct stage *s, const struct action *a)
{
	if (unshare((int)a->flags) == 0)
		return 0;
	int err = errno;
	return stage_fail(s, err, a->object,
			  err == ENOSPC ? "a limit of /proc/sys/user is reached" : NULL);
}

/* Offsets can be written between unshare and the first process of the namespace only
 * (time_namespaces(7)). */
static int action_timens(struct stage *s, const struct action *a)
{
	close_fd int fd = -1;
	size_t len = strlen(a->value);

	fd = openat(s->host_proc_fd, "self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return stage_fail(s, errno, "/proc/self/timens_offsets", NULL);
	ssize_t n = write(fd, a->value, len);
	if (n < 0)
		return stage_fail(s, errno, "/proc/self/timens_offsets", "%s", a->value);
	return (size_t)n == len ? 0 :
				  stage_fail(s, EIO, "/proc/self/timens_offsets", "short write");
}

/* The maker of a time namespace does not enter it, only its children do; by this file it can
 * enter it after all, being single-threaded. */
static int action_entertime(struct stage *s, const struct action *a)
{
	close_fd int fd =
		openat(s->host_proc_fd, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return stage_fail(s, errno, "/proc/self/ns/time_for_children", NULL);
	if (setns(fd, CLONE_NEWTIME) < 0)
		return stage_fail(s, errno, a->object, NULL);
	return 0;
}

static const struct action_kind {
	const char *name;
	bool needs_fd;
	bool needs_value;
	int code;
	int (*run)(struct stage *s, const struct action *a);
} kinds[] = {
	{ "setns", true, false, STEP_CODE_join_namespace, action_setns },
	{ "unshare", false, false, STEP_CODE_make_namespace, action_unshare },
	{ "timens", false, true, STEP_CODE_time_offsets, action_timens },
	{ "entertime", false, false, STEP_CODE_join_namespace, action_entertime },
};

static const struct action_kind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (streq(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

static int read_action(struct stage *s, struct frame *f, uint32_t node, struct action *ret,
		       const struct action_kind **ret_kind)
{
	int e = fields_read(s, f, node, FIELDS(action_fields), ret);

	if (e)
		return e;
	*ret_kind = find_kind(ret->what);
	if (!*ret_kind)
		return stage_fail(s, EBADMSG, ret->what, "unknown action");
	if ((*ret_kind)->needs_fd && ret->fd < 0)
		return stage_fail(s, EBADMSG, ret->what, "fd missing");
	if ((*ret_kind)->needs_value && !ret->value)
		return stage_fail(s, EBADMSG, ret->what, "value missing");
	return 0;
}

int actions_check(struct stage *s, struct frame *f, uint32_t node)
{
	const struct json_node *nodes = f->doc.nodes;

	if (nodes[node].type != JSON_ARRAY)
		return stage_fail(s, EBADMSG, "actions", "not an array");
	uint32_t at = node + 1;
	for (uint32_t i = 0; i < nodes[node].len; i++, at = nodes[at].next) {
		const struct action_kind *kind;
		struct action a = { 0 };
		int e = read_action(s, f, at, &a, &kind);
		if (e)
			return e;
	}
	return 0;
}

/* Carries checked actions out; a failure ends the stage with the code of what failed. */
void actions_run(struct stage *s, struct frame *f, uint32_t node)
{
	const struct json_node *nodes = f->doc.nodes;
	uint32_t at = node + 1;

	for (uint32_t i = 0; i < nodes[node].len; i++, at = nodes[at].next) {
		const struct action_kind *kind = NULL;
		struct action a = { 0 };
		if (read_action(s, f, at, &a, &kind) || !kind)
			stage_die(s, STEP_CODE_read_frame);
		else if (stage_at(s, kind->code) || kind->run(s, &a))
			stage_die(s, kind->code);
	}
}
