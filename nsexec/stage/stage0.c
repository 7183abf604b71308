// SPDX-License-Identifier: Apache-2.0
/*
 * stage-0 runs outside: outside the container's cgroup, and until the actions of spawn outside its
 * namespaces. It enters what exists, clones stage-1 into what is new, and leaves.
 */
#include "stage.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

struct spawn_body {
	uint32_t actions;
	uint64_t clone;
	int cgroup;
	bool dumpable;
};

static const struct field spawn_fields[] = {
	FIELD(struct spawn_body, F_NODE, actions, "actions", FIELD_OPTIONAL),
	FIELD(struct spawn_body, F_U64, clone, "clone", FIELD_REQUIRED),
	FIELD(struct spawn_body, F_FD, cgroup, "cgroup", FIELD_OPTIONAL),
	FIELD(struct spawn_body, F_BOOL, dumpable, "dumpable", FIELD_OPTIONAL),
};

static int read_spawn(struct stage *s, struct frame *f, struct spawn_body *ret)
{
	int e = stage_at(s, STEP_CODE_read_frame);

	if (!e)
		e = frame_expect(s, f, "spawn");
	if (e)
		return e;
	if (!f->body)
		return stage_fail(s, EBADMSG, "spawn", "body missing");
	e = fields_read(s, f, f->body, FIELDS(spawn_fields), ret);
	if (!e && ret->actions)
		e = actions_check(s, f, ret->actions);
	return e;
}

/*
 * CLONE_PARENT makes stage-1 the runtime's own child; its exit signal is then ours (SIGCHLD) and
 * the argument must be 0 (clone(2)). Never CLONE_VM: an OOM in the container's cgroup kills
 * whatever shares the memory.
 */
static pid_t clone_stage1(uint64_t flags, int cgroup, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = flags | CLONE_PARENT | CLONE_PIDFD | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};

	return (pid_t)sys_result(syscall(SYS_clone3, &args, sizeof(args)));
}

/* What the kernel answers where a cgroup cannot take a newborn but may take a process that is
 * attached: its pids limit is reached, its threads are elsewhere, or we have lost the right to
 * write there by entering a user or cgroup namespace. */
static bool attach_may_help(pid_t err)
{
	return err == -EAGAIN || err == -EACCES || err == -EPERM || err == -ENOENT ||
	       err == -EBUSY || err == -EOPNOTSUPP;
}

static const char *clone_hint(pid_t err)
{
	if (err == -ENOMEM)
		return "a PID namespace whose init is dead takes no new process";
	if (err == -ENOSPC)
		return "a limit of /proc/sys/user or of nested namespaces is reached";
	return NULL;
}

static pid_t spawn_stage1(struct stage *s, const struct spawn_body *spawn, int *ret_pidfd,
			  bool *ret_born)
{
	pid_t pid = stage_at(s, STEP_CODE_clone);

	if (pid < 0)
		return pid;
	pid = clone_stage1(spawn->clone, spawn->cgroup, ret_pidfd);
	*ret_born = pid >= 0 && spawn->cgroup >= 0;
	if (spawn->cgroup >= 0 && attach_may_help(pid))
		pid = clone_stage1(spawn->clone, -1, ret_pidfd);
	if (pid < 0) {
		const char *hint = clone_hint(pid);
		(void)stage_fail(s, pid, "", hint ? "%s" : NULL, hint);
	}
	return pid;
}

static int send_ready(struct stage *s, pid_t pid, int pidfd, bool born)
{
	char body[64];
	struct text t = { .buf = body, .size = sizeof(body) };

	text_str(&t, "{\"pid\":");
	text_i64(&t, pid);
	text_str(&t, born ? ",\"born\":true}" : ",\"born\":false}");
	return frame_send(s, "ready", body, t.len, &pidfd, 1);
}

/* Die with the runtime. It may have died already, before the request was in place. */
static void die_with(pid_t runtime)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != runtime)
		_exit(STEP_CODE_start);
}

void stage0_main(struct stage *s, pid_t runtime)
{
	static struct frame f;
	struct spawn_body spawn = { 0 };
	bool born = false;
	int pidfd = -1;

	(void)prctl(PR_SET_NAME, "runack:[stage0]");
	die_with(runtime);
	if (stage_at(s, STEP_CODE_start))
		stage_die(s, STEP_CODE_start);
	if (read_spawn(s, &f, &spawn))
		stage_die(s, STEP_CODE_read_frame);
	/* Before any mount namespace is entered, so that it is the host's. */
	s->host_proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (spawn.actions)
		actions_run(s, &f, spawn.actions);
	/* Before the clone, which inherits it: the runtime may write the maps as soon as it hears of
	 * stage-1, and a process that is not dumpable lets root alone write them (proc(5)). */
	if (spawn.dumpable)
		(void)prctl(PR_SET_DUMPABLE, 1);
	pid_t pid = spawn_stage1(s, &spawn, &pidfd, &born);
	if (pid < 0)
		stage_die(s, STEP_CODE_clone);
	if (pid == 0) {
		frame_free(&f);
		stage1_main(s);
	}
	if (send_ready(s, pid, pidfd, born))
		stage_die(s, STEP_CODE_write_frame);
	_exit(0);
}
