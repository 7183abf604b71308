// SPDX-License-Identifier: Apache-2.0
/* Step bind: a clone of an existing tree, changed while nobody sees it, then attached. */
#include "stage.h"

#include "attr.h"
#include "kernel.h"
#include "path.h"
#include "target.h"

struct bind_args {
	const char *target;
	const char *source;
	int fd;
	bool inside;
	bool recursive;
	uint64_t set;
	uint64_t clear;
	uint64_t must;
	uint64_t rec_set;
	uint64_t rec_clear;
	struct ints propagation;
	const char *label;
};

static const struct field bind_fields[] = {
	FIELD(struct bind_args, F_STRING, target, "target", FIELD_REQUIRED),
	FIELD(struct bind_args, F_STRING, source, "source", FIELD_REQUIRED),
	FIELD(struct bind_args, F_FD, fd, "fd", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_BOOL, inside, "inside", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_BOOL, recursive, "recursive", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_U64, set, "set", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_U64, clear, "clear", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_U64, must, "must", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_U64, rec_set, "recSet", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_U64, rec_clear, "recClear", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_INTS, propagation, "propagation", FIELD_OPTIONAL),
	FIELD(struct bind_args, F_STRING, label, "label", FIELD_OPTIONAL),
};

static int bind_check(struct stage *s, const void *args)
{
	const struct bind_args *a = args;
	const struct {
		const char *field;
		uint64_t attr;
	} attrs[] = {
		{ "set", a->set },        { "clear", a->clear },        { "must", a->must },
		{ "recSet", a->rec_set }, { "recClear", a->rec_clear },
	};

	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		int e = attr_check(s, attrs[i].field, attrs[i].attr);
		if (e)
			return e;
	}
	if (a->must & ~a->clear)
		return stage_fail(s, EBADMSG, "must", "not a part of clear");
	if (a->inside && a->fd >= 0)
		return stage_fail(s, EBADMSG, "inside", "together with fd");
	return attr_check_propagations(s, "propagation", &a->propagation);
}

/* Before the pivot the host's names still work, for what the container's user may reach; the
 * runtime has opened the rest. */
static int clone_source(struct stage *s, const struct bind_args *a)
{
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
			     (a->recursive ? AT_RECURSIVE : 0);
	int tree;

	if (a->fd >= 0)
		return path_take_fd(s, a->fd);
	if (a->inside) {
		close_fd int fd = path_open(s, a->source, O_PATH);
		tree = fd < 0 ? fd : sys_open_tree(fd, "", flags | AT_EMPTY_PATH);
	} else {
		tree = sys_open_tree(AT_FDCWD, a->source, flags);
	}
	if (tree == -EINVAL)
		return stage_fail(
			s, tree, a->source,
			"the source is unbindable, or has mounts below that a more privileged namespace locked (rbind takes them along)");
	if (tree == -ENOSPC)
		return stage_fail(
			s, tree, a->source,
			"the limit of mounts in a namespace (/proc/sys/fs/mount-max) is reached");
	return tree < 0 ?
		       stage_fail(s, tree, a->source, "the source of the mount on %s", a->target) :
		       tree;
}

/* The flags that were asked for. All of it happens before anyone can open a file there. */
static int change_tree(struct stage *s, const struct bind_args *a, int tree)
{
	int e = attr_change_unlocked(s, tree, a->target, a->set, a->clear, a->must);

	if (e)
		return e;
	e = attr_change(tree, AT_RECURSIVE, a->rec_set, a->rec_clear);
	if (e == -EPERM)
		return stage_fail(
			s, e, a->target,
			"recursive mount flags: some are locked by a more privileged namespace");
	return e ? stage_fail(s, e, a->target, "recursive mount flags") : 0;
}

static int check_kinds(struct stage *s, const struct bind_args *a, int target, bool dir)
{
	struct stat st;

	if (fstat(target, &st) < 0)
		return stage_fail(s, errno, a->target, "fstat");
	if (!dir && S_ISDIR(st.st_mode))
		return stage_fail(s, EISDIR, a->target,
				  "the source %s is a file, the target a directory", a->source);
	return 0;
}

static int attach_tree(struct stage *s, const struct bind_args *a, int tree)
{
	struct stat st;
	bool made;

	if (fstat(tree, &st) < 0)
		return stage_fail(s, errno, a->source, "fstat");
	bool dir = S_ISDIR(st.st_mode);
	close_fd int target = target_open(s, a->target, dir ? TARGET_DIR : TARGET_FILE, &made);
	if (target < 0)
		return target;
	int e = check_kinds(s, a, target, dir);
	if (e)
		return e;
	int is_proc = target_on_proc(tree);
	if (is_proc < 0)
		return stage_fail(s, is_proc, a->source, "statfs");
	e = target_check(s, target, a->target, is_proc);
	return e ? e : target_attach(s, tree, target, a->target);
}

static int bind_run(struct stage *s, const void *args)
{
	const struct bind_args *a = args;

	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, a->target, "before step root");
	close_fd int tree = clone_source(s, a);
	if (tree < 0)
		return tree;
	int e = change_tree(s, a, tree);
	if (!e)
		e = attach_tree(s, a, tree);
	return e ? e : attr_propagation(s, tree, a->target, &a->propagation);
}

STEP_IMPL(bind, bind_fields, bind_check, bind_run);
