/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every file of the stage shares. The stage is single-threaded, never allocates from a heap,
 * and never returns from a failure halfway: helpers return a negative errno, and only the top level
 * of stage-0 and stage-1 reports and leaves.
 */
#ifndef RUNACK_STAGE_H
#define RUNACK_STAGE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "json.h"
#include "util.h"

enum {
	FRAME_HEADER = 8,
	FRAME_MAX_PAYLOAD = 4 << 20,
	FRAME_MAX_FDS = 253,
};

/* A received frame. The payload and everything that points into it live in one mapping. */
struct frame {
	const char *type;
	const char *from;
	uint32_t seq;
	uint32_t body; /* node of the body object, or 0 where there is none */
	struct json_doc doc;
	struct arena arena;
	void *map;
	size_t map_len;
	bool in_place; /* map is no mapping */
	int fds[FRAME_MAX_FDS];
	size_t n_fds;
};

/* What went wrong, as the fields of an error frame. */
struct failure {
	int err; /* positive errno, 0 where no system call failed */
	char object[512];
	char detail[2048];
};

enum order_protocol { ORDER_CREATE, ORDER_START, ORDER_EXEC };

/* The sync socket, from the stage's end. */
struct sync {
	int fd;
	uint32_t seq_out;
	uint32_t seq_in;
};

/* Everything stage-1 knows while it works. */
struct stage {
	const char *side; /* "stage-0" or "stage-1" */
	int code; /* of the step that this process is at, as its name says too */
	struct sync sync;
	int listener; /* start socket, while waiting for start */
	struct failure fail;
	struct frame plan;
	bool trace; /* collect the time of every step for the next sync frame */
	struct text trace_rows;
	char trace_buf[16384];
	int root_fd; /* the container's root as a descriptor, from the step root on */
	int proc_fd; /* a procfs that nobody else can reach; proc_open() */
	int host_proc_fd; /* stage-0's /proc, the fallback of proc_open() */
	const char *state; /* the OCI state as text, from proceed or start */
	uint32_t at, end; /* node of the running step, and the first behind the steps */
	bool filtered; /* the program's seccomp filter is loaded: frames use read and write alone */
	bool in_hook; /* this process is a startContainer hook on its way to execve */
	const char *cwd_retry; /* where cwd was denied; user tries again */
	const char *program; /* found by lookup */
	const char *home; /* found by home */
	char program_buf[4096];
	char home_buf[512];
};

/* report.c: describe a failure, then hand the negative errno up. A NULL format leaves detail empty. */
int stage_fail(struct stage *s, int err, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Sends the error frame for s->fail with the words of the step; stage_die also leaves, with code. */
_Noreturn void stage_die(struct stage *s, int code);
/* To be called where a step begins: the process's name tells the step from here on. 0, or a negative
 * errno where a failpoint wants the step to fail. */
int stage_at(struct stage *s, int code);
void stage_tell(struct stage *s, int code);

/* frame.c */
int frame_read(struct stage *s, struct frame *f);
int frame_expect(struct stage *s, struct frame *f, const char *type);
int frame_send(struct stage *s, const char *type, const char *body, size_t body_len, const int *fds,
	       size_t n_fds);
void frame_free(struct frame *f);

/* step.c */
enum field_kind {
	F_STRING, /* const char * */
	F_BOOL, /* bool */
	F_U32, /* uint32_t */
	F_U64, /* uint64_t */
	F_I32, /* int32_t */
	F_I64, /* int64_t; absent: 0 */
	F_ID, /* int64_t; absent: -1 */
	F_FD, /* int: index of a descriptor, turned into the descriptor; absent: -1 */
	F_STRINGS, /* struct strings, NULL-terminated */
	F_INTS, /* struct ints */
	F_FDS, /* struct ints: indices turned into descriptors */
	F_NODE, /* uint32_t: the value's node, checked by its reader */
};

enum { FIELD_OPTIONAL = 0, FIELD_REQUIRED = 1 };

struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
	int required;
};

#define FIELD(type, kind, member, name, required)            \
	{                                                    \
		name, kind, offsetof(type, member), required \
	}
#define FIELDS(table) (table), sizeof(table) / sizeof((table)[0])

struct strings {
	char **v;
	size_t n;
};

struct ints {
	int64_t *v;
	size_t n;
};

/* The largest argument structure of a step. */
#define STEP_ARGS_MAX 256

/* What a step is, in the file that implements it: STEP_IMPL(mount, mount_fields, mount_check, mount_run)
 * with struct mount_args. */
struct step_impl {
	const struct field *fields;
	size_t n_fields;
	/* What the field table cannot say; called for every step before the first one runs. May be NULL. */
	int (*check)(struct stage *s, const void *args);
	int (*run)(struct stage *s, const void *args);
};

#define STEP_IMPL(name, table, check_fn, run_fn)                                       \
	_Static_assert(sizeof(struct name##_args) <= STEP_ARGS_MAX, "step arguments"); \
	const struct step_impl step_##name = { FIELDS(table), check_fn, run_fn }

#define STEP_IMPL_BARE(name, run_fn) const struct step_impl step_##name = { NULL, 0, NULL, run_fn }

/* Reads the object at node into args by the table. Names what is wrong in s->fail. */
int fields_read(struct stage *s, struct frame *f, uint32_t node, const struct field *fields,
		size_t n_fields, void *args);
const char *step_verb(int code);
int plan_check(struct stage *s);
int plan_take_rights(struct stage *s);
/* confine.c: leaves this process, which is not to become the program, the system calls of init.c. 0, or a
 * negative errno. */
int confine(void);
_Noreturn void plan_run(struct stage *s);

/* sync.c: frames that report progress, and the times that go with them */
int sync_report(struct stage *s, const char *type);
int die_of_signals(struct stage *s);
void trace_add(struct stage *s, uint32_t step, const char *op, int64_t start_ns,
	       int64_t duration_ns);

/* Codes of steps.def by symbol. */
enum step_code {
#define STEP(code, symbol, op, verb) STEP_CODE_##symbol = code,
#define ACT(code, symbol, verb) STEP_CODE_##symbol = code,
#include "steps.def"
#undef STEP
#undef ACT
};

/* stage0.c, stage1.c, clean.c */
_Noreturn void stage0_main(struct stage *s, pid_t runtime);
_Noreturn void stage1_main(struct stage *s);
_Noreturn void clean_main(struct stage *s, char **argv, char **env);

/* namespace.c: the actions of spawn and join */
int actions_check(struct stage *s, struct frame *f, uint32_t node);
void actions_run(struct stage *s, struct frame *f, uint32_t node);

/* proc.c */
int proc_open(struct stage *s);
/* Closes it, and stage-0's, where nothing below /proc is to be written any more. */
void proc_close(struct stage *s);
int proc_write(struct stage *s, const char *path, const char *value, size_t len);

/* path.c: names inside the container's root, never followed out of it */
int path_open(struct stage *s, const char *path, int flags);
int path_open_parent(struct stage *s, const char *path, bool make, char *ret_name,
		     size_t name_size);
int path_make_dir(struct stage *s, const char *path, mode_t mode);
int path_make_file(struct stage *s, const char *path, mode_t mode);

/* signals.c */
int signals_reset(void);

/* user.c */
int cwd_enter(struct stage *s, const char *path);

/* cred.c: keeps the capabilities of the mask alone */
int caps_keep(struct stage *s, uint64_t mask);

#endif
