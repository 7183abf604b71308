// SPDX-License-Identifier: Apache-2.0
/* Who the program runs as: bounding set, ids, capabilities, no_new_privs. Raw system calls: libc
 * would send ids to other threads, of which there are none. capabilities(7), credentials(7). */
#include "stage.h"

#include <linux/capability.h>
#include <sys/prctl.h>

struct bounding_args {
	uint64_t keep;
};

static const struct field bounding_fields[] = {
	FIELD(struct bounding_args, F_U64, keep, "keep", FIELD_REQUIRED),
};

static int cap_fail(struct stage *s, int err, unsigned int cap)
{
	char object[32];
	struct text t = { .buf = object, .size = sizeof(object) };

	text_str(&t, "capability ");
	text_u64(&t, cap);
	return stage_fail(s, err, object, NULL);
}

/* The kernel's last capability ends the loop: reading one above it fails with EINVAL. */
static int bounding_run(struct stage *s, const void *args)
{
	const struct bounding_args *a = args;

	for (unsigned int cap = 0; cap < 64; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (has < 0)
			break;
		if (!has || (a->keep >> cap & 1))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return cap_fail(s, errno, cap);
	}
	return 0;
}

STEP_IMPL(bounding, bounding_fields, NULL, bounding_run);

struct cap_sets {
	struct __user_cap_data_struct half[2];
};

static int cap_get(struct cap_sets *ret)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return (int)sys_result(syscall(SYS_capget, &h, ret->half));
}

static int cap_set(const struct cap_sets *sets)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return (int)sys_result(syscall(SYS_capset, &h, sets->half));
}

/* Leaving uid 0 cleared the effective set; the later steps still need it. */
static int raise_effective(struct stage *s)
{
	struct cap_sets sets;
	int e = cap_get(&sets);

	if (e)
		return stage_fail(s, e, "capget", NULL);
	for (int i = 0; i < 2; i++)
		sets.half[i].effective = sets.half[i].permitted;
	e = cap_set(&sets);
	return e ? stage_fail(s, e, "capset", NULL) : 0;
}

int caps_keep(struct stage *s, uint64_t mask)
{
	struct cap_sets sets;
	int e = cap_get(&sets);

	if (e)
		return stage_fail(s, e, "capget", NULL);
	for (int i = 0; i < 2; i++) {
		sets.half[i].permitted &= (uint32_t)(mask >> 32 * i);
		sets.half[i].effective = sets.half[i].permitted;
		sets.half[i].inheritable = 0;
	}
	e = cap_set(&sets);
	return e ? stage_fail(s, e, "capset", NULL) : 0;
}

struct user_args {
	int64_t uid;
	int64_t gid;
	struct ints groups;
	bool no_groups;
};

static const struct field user_fields[] = {
	FIELD(struct user_args, F_ID, uid, "uid", FIELD_REQUIRED),
	FIELD(struct user_args, F_ID, gid, "gid", FIELD_REQUIRED),
	FIELD(struct user_args, F_INTS, groups, "groups", FIELD_REQUIRED),
	FIELD(struct user_args, F_BOOL, no_groups, "noGroups", FIELD_OPTIONAL),
};

static int user_check(struct stage *s, const void *args)
{
	const struct user_args *a = args;

	for (size_t i = 0; i < a->groups.n; i++)
		if (a->groups.v[i] < 0 || a->groups.v[i] >= UINT32_MAX)
			return stage_fail(s, EBADMSG, "groups", "not a group id");
	return 0;
}

/* In place: the kernel's gid_t array is no larger than ours. */
static int set_groups(struct stage *s, const struct ints *groups)
{
	uint32_t *gids = (uint32_t *)groups->v;

	for (size_t i = 0; i < groups->n; i++)
		gids[i] = (uint32_t)groups->v[i];
	if (syscall(SYS_setgroups, groups->n, gids) < 0)
		return stage_fail(s, errno, "setgroups", NULL);
	return 0;
}

static int id_fail(struct stage *s, const char *call, int64_t id)
{
	int err = errno;
	char object[48];
	struct text t = { .buf = object, .size = sizeof(object) };

	text_str(&t, call);
	text_str(&t, " ");
	text_i64(&t, id);
	return stage_fail(s, err, object,
			  err == EINVAL ? "the id is not mapped in the user namespace" : NULL);
}

static int user_run(struct stage *s, const void *args)
{
	const struct user_args *a = args;
	int e = a->no_groups ? 0 : set_groups(s, &a->groups);

	if (e)
		return e;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return stage_fail(s, errno, "PR_SET_KEEPCAPS", NULL);
	if (syscall(SYS_setresgid, a->gid, a->gid, a->gid) < 0)
		return id_fail(s, "setresgid", a->gid);
	if (syscall(SYS_setresuid, a->uid, a->uid, a->uid) < 0)
		return id_fail(s, "setresuid", a->uid);
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return stage_fail(s, errno, "PR_SET_KEEPCAPS", NULL);
	/* Root may be denied what the user may enter: a home on NFS. Before the capabilities are
	 * raised again, so that it is the user's right that counts. */
	if (s->cwd_retry) {
		e = cwd_enter(s, s->cwd_retry);
		if (e)
			return e;
	}
	return raise_effective(s);
}

STEP_IMPL(user, user_fields, user_check, user_run);

struct caps_args {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
	uint64_t ambient;
};

static const struct field caps_fields[] = {
	FIELD(struct caps_args, F_U64, effective, "effective", FIELD_REQUIRED),
	FIELD(struct caps_args, F_U64, permitted, "permitted", FIELD_REQUIRED),
	FIELD(struct caps_args, F_U64, inheritable, "inheritable", FIELD_REQUIRED),
	FIELD(struct caps_args, F_U64, ambient, "ambient", FIELD_REQUIRED),
};

static int set_ambient(struct stage *s, uint64_t ambient)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return stage_fail(s, errno, "PR_CAP_AMBIENT_CLEAR_ALL", NULL);
	for (unsigned int cap = 0; cap < 64; cap++)
		if ((ambient >> cap & 1) &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return cap_fail(s, errno, cap);
	return 0;
}

static int caps_run(struct stage *s, const void *args)
{
	const struct caps_args *a = args;
	struct cap_sets sets;
	int e;

	for (int i = 0; i < 2; i++)
		sets.half[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(a->effective >> 32 * i),
			.permitted = (uint32_t)(a->permitted >> 32 * i),
			.inheritable = (uint32_t)(a->inheritable >> 32 * i),
		};
	e = cap_set(&sets);
	if (e)
		return stage_fail(s, e, "capset", NULL);
	return set_ambient(s, a->ambient);
}

STEP_IMPL(caps, caps_fields, NULL, caps_run);

static int no_new_privs_run(struct stage *s, const void *args)
{
	(void)args;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return stage_fail(s, errno, "", NULL);
	return 0;
}

STEP_IMPL_BARE(no_new_privs, no_new_privs_run);
