// SPDX-License-Identifier: Apache-2.0
/*
 * stage-1 is the later init or exec process. It joins the cgroup, carries the plan out and
 * executes the program; no execve comes before, so that it keeps its capabilities in a user
 * namespace whose maps are not written yet (user_namespaces(7)).
 */
#include "stage.h"

#include <signal.h>
#include <sys/prctl.h>

struct join_body {
	struct ints tasks;
	uint32_t actions;
};

static const struct field join_fields[] = {
	FIELD(struct join_body, F_FDS, tasks, "tasks", FIELD_OPTIONAL),
	FIELD(struct join_body, F_NODE, actions, "actions", FIELD_OPTIONAL),
};

static int read_join(struct stage *s, struct frame *f, struct join_body *ret)
{
	int e = stage_at(s, STEP_CODE_read_frame);

	if (!e)
		e = frame_expect(s, f, "join");
	if (!e && f->body)
		e = fields_read(s, f, f->body, FIELDS(join_fields), ret);
	if (!e && ret->actions)
		e = actions_check(s, f, ret->actions);
	return e;
}

/*
 * "0" means the writer itself. Written by the task to its own tasks file it moves without the
 * lock whose grace period an idle host waits for (PERFORMANCE: 25 us, not 10 ms).
 */
static int join_cgroup(struct stage *s, const struct ints *tasks)
{
	char object[48];
	struct text t;

	int e = stage_at(s, STEP_CODE_join_cgroup);

	if (e)
		return e;
	for (size_t i = 0; i < tasks->n; i++) {
		if (write((int)tasks->v[i], "0", 1) == 1)
			continue;
		int err = errno;
		t = (struct text){ .buf = object, .size = sizeof(object) };
		text_str(&t, "tasks file ");
		text_u64(&t, i);
		return stage_fail(s, err, object, NULL);
	}
	return 0;
}

static void join(struct stage *s)
{
	static struct frame f;
	struct join_body join = { 0 };

	if (read_join(s, &f, &join))
		stage_die(s, STEP_CODE_read_frame);
	if (join_cgroup(s, &join.tasks))
		stage_die(s, STEP_CODE_join_cgroup);
	/* After the join, so that a new cgroup namespace's root is the container's cgroup. */
	if (join.actions)
		actions_run(s, &f, join.actions);
	frame_free(&f);
	if (frame_send(s, "joined", NULL, 0, NULL, 0))
		stage_die(s, STEP_CODE_write_frame);
}

/*
 * The ids that it was cloned with may be nobody's in the container's user namespace, and nobody can
 * own what is made there (EOVERFLOW). Where 0 is not mapped they stay. A change of ids clears the
 * parent-death signal (prctl(2)).
 */
static void become_root(void)
{
	(void)syscall(SYS_setresgid, 0, 0, 0);
	(void)syscall(SYS_setresuid, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void stage1_main(struct stage *s)
{
	s->side = "stage-1";
	s->sync.seq_out = 0;
	(void)prctl(PR_SET_NAME, "runack:[stage1]");
	/* If the runtime died before this line, the next read meets the end of the file. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	join(s);
	/* The id maps are written by now. */
	become_root();
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* A session of its own: no key typed for the runtime reaches the container, and the container
	 * cannot type into the runtime's terminal (TIOCSTI). */
	(void)setsid();
	if (stage_at(s, STEP_CODE_read_frame) || frame_expect(s, &s->plan, "plan"))
		stage_die(s, STEP_CODE_read_frame);
	if (plan_check(s))
		stage_die(s, STEP_CODE_check_plan);
	plan_run(s);
}
