// SPDX-License-Identifier: Apache-2.0
/*
 * File systems are made detached (fsopen(2), fsmount(2)) and attached when they are complete. What
 * that interface cannot say goes through mount(2), on a place that nobody else can reach.
 */
#include "fs.h"

#include "attr.h"
#include "kernel.h"

#include <stdio.h>

enum {
	FSCONFIG_MAX = 255, /* bytes of a key or value that fsconfig(2) takes */
	MOUNT_DATA_MAX = 4096, /* mount(2) reads one page, with the NUL */
};

static const struct {
	uint64_t flag;
	const char *on;
	const char *off; /* on a remount; NULL: a remount leaves it alone */
} sb_flags[] = {
	{ MS_RDONLY, "ro", "rw" },         { MS_SYNCHRONOUS, "sync", "async" },
	{ MS_MANDLOCK, "mand", "nomand" }, { MS_LAZYTIME, "lazytime", "nolazytime" },
	{ MS_DIRSYNC, "dirsync", NULL },
};

static const struct {
	uint64_t attr;
	unsigned long flag;
} mount_flags[] = {
	{ MOUNT_ATTR_RDONLY, MS_RDONLY },         { MOUNT_ATTR_NOSUID, MS_NOSUID },
	{ MOUNT_ATTR_NODEV, MS_NODEV },           { MOUNT_ATTR_NOEXEC, MS_NOEXEC },
	{ MOUNT_ATTR_NOATIME, MS_NOATIME },       { MOUNT_ATTR_STRICTATIME, MS_STRICTATIME },
	{ MOUNT_ATTR_NODIRATIME, MS_NODIRATIME }, { MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW },
};

static unsigned long mount_flags_of(uint64_t attr)
{
	unsigned long flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++)
		if (attr & mount_flags[i].attr)
			flags |= mount_flags[i].flag;
	return flags;
}

/*
 * A context file descriptor keeps the messages that fsconfig and fsmount leave, one per read(2),
 * each with a letter for its kind in front: "e tmpfs: Bad value for 'size'".
 */
static void read_messages(int fs, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };
	char line[512];
	ssize_t n;

	buf[0] = '\0';
	while ((n = read(fs, line, sizeof(line) - 1)) > 0) {
		while (n > 0 && line[n - 1] == '\n')
			n--;
		line[n] = '\0';
		if (n < 3 || line[0] == 'i')
			continue;
		if (t.len)
			text_str(&t, "; ");
		text_str(&t, line + 2);
	}
}

/* What the errno alone would not tell. */
static const char *hint_of(int err)
{
	switch (err) {
	case -EPERM:
		return "refused by the kernel: the namespace that this file system shows belongs to a more privileged user namespace, or a visible instance is partly covered";
	case -ENODEV:
		return "the kernel does not know this type of file system";
	case -ENOSPC:
		return "the limit of mounts in a namespace (/proc/sys/fs/mount-max), or the size of the file system";
	default:
		return "";
	}
}

static int fail(struct stage *s, int err, const struct fs_request *r, int fs, const char *what)
{
	char words[1024] = "";
	const char *hint = hint_of(err);

	if (fs >= 0)
		read_messages(fs, words, sizeof(words));
	if (!words[0])
		copy_str(words, sizeof(words), hint);
	return stage_fail(s, err, r->object, "%s%s%s%s%s", r->type ? r->type : "",
			  r->type ? ": " : "", what, words[0] ? ": " : "", words);
}

static int set_option(struct stage *s, const struct fs_request *r, int fs, const char *option)
{
	char key[FSCONFIG_MAX + 1], what[300];
	size_t n = strcspn(option, "=");
	int e;

	if (!*option)
		return 0;
	if (!option[n]) {
		e = sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL);
	} else {
		memcpy(key, option, n);
		key[n] = '\0';
		e = sys_fsconfig(fs, FSCONFIG_SET_STRING, key, option + n + 1);
	}
	if (!e)
		return 0;
	(void)snprintf(what, sizeof(what), "option %.255s", option);
	return fail(s, e, r, fs, what);
}

static int set_string(struct stage *s, const struct fs_request *r, int fs, const char *key,
		      const char *value)
{
	int e = value ? sys_fsconfig(fs, FSCONFIG_SET_STRING, key, value) : 0;

	return e ? fail(s, e, r, fs, key) : 0;
}

static int set_options(struct stage *s, const struct fs_request *r, int fs)
{
	int e = r->first ? set_option(s, r, fs, r->first) : 0;

	for (size_t i = 0; !e && r->options && i < r->options->n; i++)
		e = set_option(s, r, fs, r->options->v[i]);
	return e;
}

static int set_sb_flags(struct stage *s, const struct fs_request *r, int fs, bool remount)
{
	for (size_t i = 0; i < ARRAY_SIZE(sb_flags); i++) {
		const char *name = r->sb_flags & sb_flags[i].flag ? sb_flags[i].on :
				   remount                        ? sb_flags[i].off :
								    NULL;
		int e = name ? sys_fsconfig(fs, FSCONFIG_SET_FLAG, name, NULL) : 0;
		if (e)
			return fail(s, e, r, fs, name);
	}
	return 0;
}

/*
 * Whether only mount(2) can say an option: it is too long for fsconfig (overlay's lowerdir), or has
 * a comma, on which mount(2) would split it and which fsconfig refuses for many file systems.
 */
static bool option_needs_mount2(const char *option)
{
	size_t key = strcspn(option, "=");

	return key > FSCONFIG_MAX || strlen(option) - key > FSCONFIG_MAX + 1 || strchr(option, ',');
}

/* The labels of SELinux may have commas; mount(2) wants them in quotes then, fsconfig as they are. */
static bool is_context(const char *option)
{
	static const char *const keys[] = { "context=", "fscontext=", "defcontext=",
					    "rootcontext=" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strncmp(option, keys[i], strlen(keys[i])) == 0)
			return true;
	return false;
}

static bool needs_mount2(const struct fs_request *r)
{
	if (r->sb_flags & MS_I_VERSION)
		return true;
	if (r->type && strchr(r->type, '.')) /* "fuse.sshfs": the subtype has no key */
		return true;
	if ((r->source && strlen(r->source) > FSCONFIG_MAX) ||
	    (r->context && strlen(r->context) > FSCONFIG_MAX))
		return true;
	for (size_t i = 0; r->options && i < r->options->n; i++) {
		const char *o = r->options->v[i];
		if (is_context(o) ? strlen(o) > FSCONFIG_MAX : option_needs_mount2(o))
			return true;
	}
	return false;
}

static void add_data(struct text *t, const char *option)
{
	size_t n = is_context(option) ? strcspn(option, "=") + 1 : strlen(option);

	if (t->len)
		text_str(t, ",");
	text_add(t, option, n);
	if (option[n]) {
		text_str(t, "\"");
		text_str(t, option + n);
		text_str(t, "\"");
	}
}

/* The options as mount(2) wants them. */
static int join_data(struct stage *s, const struct fs_request *r, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };

	buf[0] = '\0';
	if (r->context) {
		text_str(&t, "context=\"");
		text_str(&t, r->context);
		text_str(&t, "\"");
	}
	if (r->first)
		add_data(&t, r->first);
	for (size_t i = 0; r->options && i < r->options->n; i++)
		if (*r->options->v[i])
			add_data(&t, r->options->v[i]);
	return t.cut ? stage_fail(s, E2BIG, r->object, "the options exceed a page") : 0;
}

/* The way back from a detour. A mapped root may have no right to the runtime's working directory. */
static int open_back(void)
{
	int fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Runs inside `stand`, a tmpfs that only this function's caller knows. */
static int mount2_in(struct stage *s, const struct fs_request *r, int stand, const char *data)
{
	unsigned long flags = (unsigned long)(r->sb_flags & ~(uint64_t)MS_SILENT) |
			      mount_flags_of(r->attr & ~(uint64_t)MOUNT_ATTR_RDONLY);

	if (mkdirat(stand, "m", 0700) < 0 || fchdir(stand) < 0)
		return stage_fail(s, errno, r->object, "stand for mount(2)");
	if (mount(r->source ? r->source : "none", "m", r->type, flags, data) < 0)
		return fail(s, -errno, r, -1, "mount(2), the kernel's log may say more");
	close_fd int tree = sys_open_tree(stand, "m", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return stage_fail(s, tree, r->object, "open_tree");
	/* MS_RDONLY is the superblock's business above, and this one the mount's. */
	int e = attr_change(tree, 0, r->attr & MOUNT_ATTR_RDONLY, 0);
	return e ? stage_fail(s, e, r->object, "mount flags") : steal_fd(&tree);
}

/*
 * mount(2) attaches at once, at a path, and what is attached there is found again by a second
 * look-up alone. So it gets a path that is safe to look up twice: a directory in an empty tmpfs of
 * ours, attached over the root for the moment (names below the root start from its descriptor and
 * do not meet it). The result is cloned off and the stand is taken down again.
 */
static int mount2_new(struct stage *s, const struct fs_request *r)
{
	struct fs_request empty = { .object = r->object, .type = "tmpfs", .first = "mode=0700" };
	close_fd int back = open_back();
	char data[MOUNT_DATA_MAX];

	if (back < 0)
		return stage_fail(s, back, r->object, "working directory");
	int e = join_data(s, r, data, sizeof(data));
	if (e)
		return e;
	close_fd int stand = fs_new(s, &empty);
	if (stand < 0)
		return stand;
	e = sys_move_mount(stand, s->root_fd);
	if (e)
		return fail(s, e, r, -1, "stand for mount(2)");
	close_fd int tree = mount2_in(s, r, stand, data);
	/* Takes what is mounted below along. */
	if (fchdir(stand) < 0 || umount2(".", MNT_DETACH) < 0 || fchdir(back) < 0)
		return tree < 0 ? tree : stage_fail(s, errno, r->object, "stand for mount(2)");
	return steal_fd(&tree);
}

static int configure(struct stage *s, const struct fs_request *r, int fs)
{
	int e = set_string(s, r, fs, "source", r->source);

	if (!e)
		e = set_sb_flags(s, r, fs, false);
	if (!e)
		e = set_string(s, r, fs, "context", r->context);
	return e ? e : set_options(s, r, fs);
}

int fs_new(struct stage *s, const struct fs_request *r)
{
	if (needs_mount2(r))
		return mount2_new(s, r);
	close_fd int fs = sys_fsopen(r->type);
	if (fs < 0)
		return fail(s, fs, r, -1, "fsopen");
	int e = configure(s, r, fs);
	if (e)
		return e;
	e = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
	/* A v1 hierarchy that is just being torn down makes the kernel restart the system call.
	 * mount(2) comes through that, a context is used up by its first try. */
	if (e == -EBUSY && streq(r->type, "cgroup"))
		return mount2_new(s, r);
	if (e)
		return fail(s, e, r, fs, "create");
	int tree = sys_fsmount(fs, r->attr);
	return tree < 0 ? fail(s, tree, r, fs, "fsmount") : tree;
}

int fs_new_empty(struct stage *s, const char *object, const char *context)
{
	/* Some kernels count the root among the inodes twice and refuse one. */
	char blocks[] = "nr_blocks=1", one[] = "nr_inodes=1", two[] = "nr_inodes=2";
	char *v[] = { blocks, one, NULL };
	struct strings options = { v, 2 };
	struct fs_request r = {
		.object = object,
		.type = "tmpfs",
		.source = "tmpfs",
		.sb_flags = MS_RDONLY,
		.attr = MOUNT_ATTR_RDONLY,
		.options = &options,
		.context = context,
	};
	int fd = fs_new(s, &r);

	if (fd != -EINVAL)
		return fd;
	v[1] = two;
	return fs_new(s, &r);
}

/* mount(2) on ".", which stands for the directory behind a descriptor. The flags of the mount are
 * replaced along with the superblock's, so the present ones go with the call. */
static int mount2_remount(struct stage *s, int fd, const struct fs_request *r)
{
	close_fd int back = open_back();
	char data[MOUNT_DATA_MAX];
	uint64_t attr = 0;
	int e = join_data(s, r, data, sizeof(data));

	if (e)
		return e;
	if (back < 0)
		return stage_fail(s, back, r->object, "working directory");
	e = attr_get(fd, &attr);
	if (e)
		return stage_fail(s, e, r->object, "statfs");
	if (fchdir(fd) < 0)
		return stage_fail(s, errno, r->object, "chdir");
	unsigned long flags = (unsigned long)(r->sb_flags & ~(uint64_t)MS_SILENT) |
			      mount_flags_of(attr & ~(uint64_t)MOUNT_ATTR_RDONLY);
	if (mount(NULL, ".", NULL, MS_REMOUNT | flags, data) < 0)
		e = -errno;
	if (fchdir(back) < 0 && !e)
		return stage_fail(s, errno, r->object, "working directory");
	return e ? fail(s, e, r, -1, "mount(2), the kernel's log may say more") : 0;
}

int fs_reconfigure(struct stage *s, int fd, const struct fs_request *r)
{
	if (needs_mount2(r))
		return mount2_remount(s, fd, r);
	close_fd int fs = sys_fspick(fd);
	if (fs < 0)
		return fail(s, fs, r, -1, fs == -EINVAL ? "no mount begins here" : "fspick");
	int e = set_sb_flags(s, r, fs, true);
	if (!e)
		e = set_options(s, r, fs);
	if (e)
		return e;
	e = sys_fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL);
	return e ? fail(s, e, r, fs, "reconfigure") : 0;
}
