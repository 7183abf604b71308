// SPDX-License-Identifier: Apache-2.0
/* How the program is scheduled and where its memory comes from. */
#include "stage.h"

#include <sys/personality.h>

struct personality_args {
	uint64_t domain;
};

static const struct field personality_fields[] = {
	FIELD(struct personality_args, F_U64, domain, "domain", FIELD_REQUIRED),
};

static int personality_run(struct stage *s, const void *args)
{
	const struct personality_args *a = args;

	if (syscall(SYS_personality, a->domain) < 0)
		return stage_fail(s, errno, "", NULL);
	return 0;
}

STEP_IMPL(personality, personality_fields, NULL, personality_run);

struct scheduler_args {
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

static const struct field scheduler_fields[] = {
	FIELD(struct scheduler_args, F_U32, policy, "policy", FIELD_REQUIRED),
	FIELD(struct scheduler_args, F_U64, flags, "flags", FIELD_OPTIONAL),
	FIELD(struct scheduler_args, F_I32, nice, "nice", FIELD_OPTIONAL),
	FIELD(struct scheduler_args, F_U32, priority, "priority", FIELD_OPTIONAL),
	FIELD(struct scheduler_args, F_U64, runtime, "runtime", FIELD_OPTIONAL),
	FIELD(struct scheduler_args, F_U64, deadline, "deadline", FIELD_OPTIONAL),
	FIELD(struct scheduler_args, F_U64, period, "period", FIELD_OPTIONAL),
};

/* struct sched_attr of linux/sched/types.h, first version: 48 bytes. */
struct sched_attr_v0 {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

static int scheduler_run(struct stage *s, const void *args)
{
	const struct scheduler_args *a = args;
	struct sched_attr_v0 attr = {
		.size = sizeof(attr),
		.policy = a->policy,
		.flags = a->flags,
		.nice = a->nice,
		.priority = a->priority,
		.runtime = a->runtime,
		.deadline = a->deadline,
		.period = a->period,
	};

	if (syscall(SYS_sched_setattr, 0, &attr, 0) < 0)
		return stage_fail(s, errno, "sched_setattr", "policy %u", a->policy);
	return 0;
}

STEP_IMPL(scheduler, scheduler_fields, NULL, scheduler_run);

struct io_priority_args {
	int32_t class;
	int32_t priority;
};

static const struct field io_priority_fields[] = {
	FIELD(struct io_priority_args, F_I32, class, "class", FIELD_REQUIRED),
	FIELD(struct io_priority_args, F_I32, priority, "priority", FIELD_REQUIRED),
};

static int io_priority_run(struct stage *s, const void *args)
{
	const struct io_priority_args *a = args;
	enum { WHO_PROCESS = 1, CLASS_SHIFT = 13 }; /* linux/ioprio.h */

	if (syscall(SYS_ioprio_set, WHO_PROCESS, 0, a->class << CLASS_SHIFT | a->priority) < 0)
		return stage_fail(s, errno, "ioprio_set", "class %d, priority %d", a->class,
				  a->priority);
	return 0;
}

STEP_IMPL(io_priority, io_priority_fields, NULL, io_priority_run);

/* A bit mask of small numbers, as the kernel takes CPUs and memory nodes. */
struct bits {
	unsigned long word[1024 / (8 * sizeof(unsigned long))];
};

static int bits_check(struct stage *s, const struct ints *list, const char *what)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i] < 0 || list->v[i] >= 1024)
			return stage_fail(s, EBADMSG, what, "not between 0 and 1023");
	return 0;
}

static void bits_set(struct bits *b, const struct ints *list)
{
	const size_t per = 8 * sizeof(b->word[0]);

	memset(b, 0, sizeof(*b));
	for (size_t i = 0; i < list->n; i++)
		b->word[(size_t)list->v[i] / per] |= 1UL << ((size_t)list->v[i] % per);
}

struct memory_policy_args {
	int32_t mode;
	struct ints nodes;
};

static const struct field memory_policy_fields[] = {
	FIELD(struct memory_policy_args, F_I32, mode, "mode", FIELD_REQUIRED),
	FIELD(struct memory_policy_args, F_INTS, nodes, "nodes", FIELD_OPTIONAL),
};

static int memory_policy_check(struct stage *s, const void *args)
{
	return bits_check(s, &((const struct memory_policy_args *)args)->nodes, "nodes");
}

static int memory_policy_run(struct stage *s, const void *args)
{
	const struct memory_policy_args *a = args;
	struct bits nodes;

	bits_set(&nodes, &a->nodes);
	if (syscall(SYS_set_mempolicy, a->mode, a->nodes.n ? nodes.word : NULL,
		    a->nodes.n ? 8 * sizeof(nodes) : 0) < 0)
		return stage_fail(s, errno, "set_mempolicy", "mode %d", a->mode);
	return 0;
}

STEP_IMPL(memory_policy, memory_policy_fields, memory_policy_check, memory_policy_run);

struct affinity_args {
	struct ints cpus;
};

static const struct field affinity_fields[] = {
	FIELD(struct affinity_args, F_INTS, cpus, "cpus", FIELD_REQUIRED),
};

static int affinity_check(struct stage *s, const void *args)
{
	return bits_check(s, &((const struct affinity_args *)args)->cpus, "cpus");
}

static int affinity_run(struct stage *s, const void *args)
{
	const struct affinity_args *a = args;
	struct bits cpus;

	if (a->cpus.n == 0) {
		/* Every CPU there may ever be; the kernel takes away what the cpuset lacks. Best effort:
		 * the point is that the runtime's own affinity does not reach the container. */
		memset(&cpus, 0xff, sizeof(cpus));
		(void)syscall(SYS_sched_setaffinity, 0, sizeof(cpus), cpus.word);
		return 0;
	}
	bits_set(&cpus, &a->cpus);
	if (syscall(SYS_sched_setaffinity, 0, sizeof(cpus), cpus.word) < 0)
		return stage_fail(s, errno, "sched_setaffinity", NULL);
	return 0;
}

STEP_IMPL(affinity, affinity_fields, affinity_check, affinity_run);
