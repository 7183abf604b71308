// SPDX-License-Identifier: Apache-2.0
/* Names, kernel parameters, labels and keys: one value each. */
#include "stage.h"

#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>

struct name_args {
	const char *name;
};

static const struct field name_fields[] = {
	FIELD(struct name_args, F_STRING, name, "name", FIELD_REQUIRED),
};

#define hostname_args name_args
#define domainname_args name_args

static int hostname_run(struct stage *s, const void *args)
{
	const struct name_args *a = args;

	if (sethostname(a->name, strlen(a->name)) < 0)
		return stage_fail(s, errno, a->name, NULL);
	return 0;
}

STEP_IMPL(hostname, name_fields, NULL, hostname_run);

static int domainname_run(struct stage *s, const void *args)
{
	const struct name_args *a = args;

	if (setdomainname(a->name, strlen(a->name)) < 0)
		return stage_fail(s, errno, a->name, NULL);
	return 0;
}

STEP_IMPL(domainname, name_fields, NULL, domainname_run);

struct sysctl_args {
	const char *key;
	const char *value;
};

static const struct field sysctl_fields[] = {
	FIELD(struct sysctl_args, F_STRING, key, "key", FIELD_REQUIRED),
	FIELD(struct sysctl_args, F_STRING, value, "value", FIELD_REQUIRED),
};

static int sysctl_run(struct stage *s, const void *args)
{
	const struct sysctl_args *a = args;
	char path[512];
	int n = snprintf(path, sizeof(path), "sys/%s", a->key);

	if (n < 0 || (size_t)n >= sizeof(path))
		return stage_fail(s, ENAMETOOLONG, a->key, NULL);
	return proc_write(s, path, a->value, strlen(a->value));
}

STEP_IMPL(sysctl, sysctl_fields, NULL, sysctl_run);

struct exec_label_args {
	const char *kind;
	const char *label;
};

static const struct field exec_label_fields[] = {
	FIELD(struct exec_label_args, F_STRING, kind, "kind", FIELD_REQUIRED),
	FIELD(struct exec_label_args, F_STRING, label, "label", FIELD_REQUIRED),
};

static int exec_label_check(struct stage *s, const void *args)
{
	const struct exec_label_args *a = args;

	if (streq(a->kind, "apparmor") || streq(a->kind, "selinux"))
		return 0;
	return stage_fail(s, EBADMSG, "kind", "neither apparmor nor selinux");
}

/* AppArmor has a directory of its own since 5.8; attr/exec belongs to the first LSM. */
static int apparmor_exec(struct stage *s, const char *profile)
{
	char value[1024];
	int n = snprintf(value, sizeof(value), "exec %s", profile);

	if (n < 0 || (size_t)n >= sizeof(value))
		return stage_fail(s, ENAMETOOLONG, profile, NULL);
	int e = proc_write(s, "self/attr/apparmor/exec", value, (size_t)n);
	return e == -ENOENT && s->fail.err == ENOENT ?
		       proc_write(s, "self/attr/exec", value, (size_t)n) :
		       e;
}

static int exec_label_run(struct stage *s, const void *args)
{
	const struct exec_label_args *a = args;

	if (streq(a->kind, "apparmor"))
		return apparmor_exec(s, a->label);
	return proc_write(s, "self/attr/exec", a->label, strlen(a->label));
}

STEP_IMPL(exec_label, exec_label_fields, exec_label_check, exec_label_run);

struct keyring_args {
	const char *name;
	const char *label;
	uint32_t perm;
};

static const struct field keyring_fields[] = {
	FIELD(struct keyring_args, F_STRING, name, "name", FIELD_REQUIRED),
	FIELD(struct keyring_args, F_STRING, label, "label", FIELD_OPTIONAL),
	FIELD(struct keyring_args, F_U32, perm, "perm", FIELD_OPTIONAL),
};

/* Adds permission bits. The description is "type;uid;gid;perm;name" with perm in hexadecimal
 * (keyctl_describe(3)). */
static int keyring_permit(struct stage *s, long key, uint32_t add, const char *name)
{
	char text[512] = "";
	const char *p = text;

	if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, key, text, sizeof(text) - 1) < 0)
		return stage_fail(s, errno, name, "KEYCTL_DESCRIBE");
	for (int i = 0; i < 3 && p; i++) {
		p = strchr(p, ';');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return stage_fail(s, EBADMSG, name, "KEYCTL_DESCRIBE");
	uint32_t perm = (uint32_t)strtoul(p, NULL, 16) | add;
	if (syscall(SYS_keyctl, KEYCTL_SETPERM, key, perm) < 0)
		return stage_fail(s, errno, name, "KEYCTL_SETPERM");
	return 0;
}

static int keyring_run(struct stage *s, const void *args)
{
	const struct keyring_args *a = args;

	if (a->label) {
		int e = proc_write(s, "self/attr/keycreate", a->label, strlen(a->label));
		if (e)
			return e;
	}
	long key = sys_result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, a->name));
	if (key == -ENOSYS) /* a kernel without keys has none to leak */
		return 0;
	if (key < 0)
		return stage_fail(s, (int)key, a->name,
				  key == -EDQUOT ? "the quota of /proc/sys/kernel/keys is used up" :
						   NULL);
	return a->perm ? keyring_permit(s, key, a->perm, a->name) : 0;
}

STEP_IMPL(keyring, keyring_fields, NULL, keyring_run);
