// SPDX-License-Identifier: Apache-2.0
/* Steps propagation, root, pivot, root-attr, mount-attr: the container's root, from a directory of
 * the host to "/". */
#include "stage.h"

#include "attr.h"
#include "fs.h"
#include "kernel.h"
#include "path.h"

#include <ctype.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

struct propagation_args {
	uint64_t flags;
};

static const struct field propagation_fields[] = {
	FIELD(struct propagation_args, F_U64, flags, "flags", FIELD_REQUIRED),
};

static int propagation_check(struct stage *s, const void *args)
{
	const struct propagation_args *a = args;

	return attr_check_propagation(s, "flags", a->flags);
}

/* Kernels before 6.9 refuse mount_setattr(2) on a mount without a parent: a host that runs from its
 * initial ramdisk. mount(2) does not mind. */
static int set_top(uint64_t flags)
{
	return (int)sys_result(mount(NULL, "/", NULL, (unsigned long)flags, NULL));
}

static int propagation_run(struct stage *s, const void *args)
{
	const struct propagation_args *a = args;
	close_fd int fd = (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	int e = fd < 0 ? fd : attr_propagation_one(fd, a->flags);

	if (e == -EINVAL)
		e = set_top(a->flags);
	if (e == -EINVAL)
		return stage_fail(s, e, "/", "the runtime's root is no mount point (a chroot?)");
	return e ? stage_fail(s, e, "/", NULL) : 0;
}

STEP_IMPL(propagation, propagation_fields, propagation_check, propagation_run);

struct root_args {
	const char *path;
	int fd;
	uint64_t parent;
	bool plain;
};

static const struct field root_fields[] = {
	FIELD(struct root_args, F_STRING, path, "path", FIELD_REQUIRED),
	FIELD(struct root_args, F_FD, fd, "fd", FIELD_OPTIONAL),
	FIELD(struct root_args, F_U64, parent, "parent", FIELD_OPTIONAL),
	FIELD(struct root_args, F_BOOL, plain, "plain", FIELD_OPTIONAL),
};

static int root_check(struct stage *s, const void *args)
{
	const struct root_args *a = args;

	if (a->plain && a->parent)
		return stage_fail(s, EBADMSG, "plain", "together with parent");
	return a->parent ? attr_check_propagation(s, "parent", a->parent) : 0;
}

/*
 * Sets the propagation of the mount that place lies on: pivot_root(2) refuses a new root below a
 * shared mount, and what is attached there would show on the host. Only a mount's own root takes
 * it, so the way up to it is walked (the host's names, which are trusted).
 */
static int set_parent(struct stage *s, const char *path, int place, uint64_t flags)
{
	close_fd int at = (int)sys_result(openat(place, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	int e = at < 0 ? at : attr_propagation_one(at, flags);

	for (int i = 0; e == -EINVAL && i < PATH_MAX / 2; i++) {
		close_fd int up =
			(int)sys_result(openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
		if (up < 0)
			break;
		if (path_same(up, at) > 0) {
			e = set_top(flags);
			break;
		}
		(void)close(at);
		at = steal_fd(&up);
		e = attr_propagation_one(at, flags);
	}
	return e ? stage_fail(s, e, path, "propagation of the mount that it lies on") : 0;
}

/* Where the root is attached: at its own name, so that hooks find it there. A mapped root may lack
 * the way to it; then on the host's root, where pivot_root(2) finds it all the same. */
static int open_place(const struct root_args *a)
{
	int fd = (int)sys_result(open(a->path, O_PATH | O_DIRECTORY | O_CLOEXEC));

	if (fd == -EACCES && a->fd >= 0)
		fd = (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	return fd;
}

static int root_tree(struct stage *s, const struct root_args *a, int place)
{
	if (a->fd >= 0)
		return path_take_fd(s, a->fd);
	int tree = sys_open_tree(
		place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	return tree < 0 ? stage_fail(s, tree, a->path, "open_tree") : tree;
}

/*
 * From here to the pivot both the host's names and the container's work. The tree is attached at
 * once and filled afterwards: kernels before 6.15 mount nothing into a detached tree.
 */
static int root_run(struct stage *s, const void *args)
{
	const struct root_args *a = args;
	close_fd int place = a->plain && a->fd >= 0 ? path_take_fd(s, a->fd) : open_place(a);

	if (place < 0)
		return stage_fail(s, place, a->path,
				  place == -ENOTDIR ? "the root is a file" : NULL);
	if (a->plain) {
		path_set_root(s, steal_fd(&place));
		return 0;
	}
	int e = a->parent ? set_parent(s, a->path, place, a->parent) : 0;
	if (e)
		return e;
	close_fd int tree = root_tree(s, a, place);
	if (tree < 0)
		return tree;
	e = sys_move_mount(tree, place);
	if (e == -ENOSPC)
		return stage_fail(
			s, e, a->path,
			"the limit of mounts in a namespace (/proc/sys/fs/mount-max) is reached");
	if (e)
		return stage_fail(s, e, a->path, "move_mount");
	path_set_root(s, steal_fd(&tree));
	return 0;
}

STEP_IMPL(root, root_fields, root_check, root_run);

struct pivot_args {
	const char *method;
	uint64_t propagation;
	bool dev_null;
};

static const struct field pivot_fields[] = {
	FIELD(struct pivot_args, F_STRING, method, "method", FIELD_REQUIRED),
	FIELD(struct pivot_args, F_U64, propagation, "propagation", FIELD_OPTIONAL),
	FIELD(struct pivot_args, F_BOOL, dev_null, "devNull", FIELD_OPTIONAL),
};

static int pivot_check(struct stage *s, const void *args)
{
	const struct pivot_args *a = args;

	if (!streq(a->method, "pivot") && !streq(a->method, "move") && !streq(a->method, "chroot"))
		return stage_fail(s, EBADMSG, "method", "neither pivot, move nor chroot");
	return a->propagation ? attr_check_propagation(s, "propagation", a->propagation) : 0;
}

/*
 * Goes to the root of the mount namespace, which a runtime that was started in a chroot is not at.
 * What lies above would stay in the namespace otherwise: in reach of who may chroot(2), and the root
 * that exec finds when it joins the namespace. Where the new root lies on the old one (see
 * open_place), setns(2) finds the upper of the two, and the way leads back.
 */
static int leave_chroot(struct stage *s)
{
	close_fd int here = (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	close_fd int self = (int)sys_result(syscall(SYS_pidfd_open, getpid(), 0));

	if (here < 0 || self < 0)
		return stage_fail(s, here < 0 ? here : self, "/", NULL);
	if (setns(self, CLONE_NEWNS) < 0)
		return stage_fail(s, errno, "/", "setns");
	close_fd int slash = (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	int same = slash < 0 ? slash : path_same(slash, s->root_fd);
	if (same < 0)
		return stage_fail(s, same, "/", NULL);
	if (same && (fchdir(here) < 0 || chroot(".") < 0))
		return stage_fail(s, errno, "/", "chroot");
	return 0;
}

/*
 * pivot_root(".", ".") stacks the old root on the new one, so that no directory for it is needed
 * (pivot_root(2), NOTES). The old root is made a slave before it is taken off, or the unmounts
 * would reach the host; slave and not private, so that the host's own unmounts still reach it while
 * it lingers.
 */
static int enter_by_pivot(struct stage *s)
{
	int e = leave_chroot(s);

	if (e)
		return e;
	close_fd int old = (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (old < 0)
		return stage_fail(s, old, "/", NULL);
	if (fchdir(s->root_fd) < 0)
		return stage_fail(s, errno, "root", "chdir");
	e = sys_pivot_root(".", ".");
	if (e == -EINVAL)
		return stage_fail(
			s, e, "root",
			"pivot_root: the host's root is an initial ramdisk, or a mount on the way is shared (--no-pivot does without)");
	if (e)
		return stage_fail(s, e, "root", "pivot_root");
	e = attr_propagation_one(old, MS_SLAVE | MS_REC);
	if (e)
		return stage_fail(s, e, "old root", "propagation");
	if (fchdir(old) < 0 || umount2(".", MNT_DETACH) < 0)
		return stage_fail(s, errno, "old root", "umount");
	if (chdir("/") < 0)
		return stage_fail(s, errno, "/", "chdir");
	return 0;
}

static int enter_by_chroot(struct stage *s)
{
	if (fchdir(s->root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return stage_fail(s, errno, "root", "chroot");
	return 0;
}

/* One line of mountinfo (proc_pid_mountinfo(5)). */
struct mount_line {
	uint64_t id;
	char *root;
	char *point;
	char *type;
};

/* Blanks and the like stand there as \ooo. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static bool parse_mount_line(char *line, struct mount_line *ret)
{
	char *field[5] = { NULL }, *save = NULL;
	char *dash = strstr(line, " - ");

	if (!dash)
		return false;
	*dash = '\0';
	ret->type = strtok_r(dash + 3, " ", &save);
	save = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	ret->id = 0;
	for (const char *p = field[0]; isdigit((unsigned char)*p); p++)
		ret->id = ret->id * 10 + (uint64_t)(*p - '0');
	ret->root = field[3];
	ret->point = field[4];
	unescape(ret->root);
	unescape(ret->point);
	return ret->type != NULL;
}

/*
 * Cuts the mount that fd's lies on off from its peers. A shared root (rootfsPropagation) has left them
 * to it: what is taken off here would go from the host too.
 */
static int cut_off_parent(int fd)
{
	struct kernel_statx st = { 0 };
	close_fd int up = (int)sys_result(openat(fd, "..", O_PATH | O_CLOEXEC));
	int e = up < 0 ? up : sys_statx(up, &st);

	while (!e && !(st.attributes & KERNEL_STATX_ATTR_MOUNT_ROOT)) {
		int above = (int)sys_result(openat(up, "..", O_PATH | O_CLOEXEC));
		if (above < 0)
			return above;
		(void)close(up);
		up = above;
		e = sys_statx(up, &st);
	}
	return e ? e : attr_propagation_one(up, MS_SLAVE);
}

/* Takes off, or covers, what is mounted on top of fd. */
static int hide_mount(struct stage *s, int fd, const char *point)
{
	int e = cut_off_parent(fd);

	if (!e)
		e = attr_propagation_one(fd, MS_SLAVE | MS_REC);
	if (e)
		return stage_fail(s, e, point, "propagation");
	if (fchdir(fd) < 0)
		return stage_fail(s, errno, point, "chdir");
	if (umount2(".", MNT_DETACH) == 0)
		return 0;
	if (errno != EINVAL && errno != EPERM)
		return stage_fail(s, errno, point, "umount");
	/* Locked by a more privileged namespace. */
	close_fd int cover = fs_new_empty(s, point, NULL);
	if (cover < 0)
		return cover;
	e = sys_move_mount(cover, fd);
	return e ? stage_fail(s, e, point, "move_mount") : 1;
}

/* Works down from what is on top at that place to the mount itself. */
static int hide_mounts_at(struct stage *s, const struct mount_line *m)
{
	struct kernel_statx st;

	for (int i = 0; i < 64; i++) {
		close_fd int fd = (int)sys_result(
			open(m->point, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
			return 0; /* went away together with a mount above it */
		int e = fd < 0 ? fd : sys_statx(fd, &st);
		if (e)
			return stage_fail(s, e, m->point, NULL);
		if (!(st.attributes & KERNEL_STATX_ATTR_MOUNT_ROOT))
			return 0;
		bool last = st.mnt_id == m->id;
		e = hide_mount(s, fd, m->point);
		if (e || last)
			return e < 0 ? e : 0;
	}
	return stage_fail(s, ELOOP, m->point, "too many mounts on one another");
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Later lines lie on earlier ones, so from the last to the first. text is used up. */
static int hide_views(struct stage *s, char *text, size_t len, const char *root)
{
	struct mount_line m;

	while (len > 0) {
		text[len] = '\0';
		while (len > 0 && text[len - 1] != '\n')
			len--;
		char *line = text + len;
		len -= len > 0; /* the newline before it becomes its end in the next round */
		if (!parse_mount_line(line, &m) || !streq(m.root, "/") || is_below(m.point, root))
			continue;
		if (!streq(m.type, "proc") && !streq(m.type, "sysfs"))
			continue;
		int e = hide_mounts_at(s, &m);
		if (e)
			return e;
	}
	return 0;
}

static ssize_t read_mountinfo(int proc, char *buf, size_t size)
{
	close_fd int fd = (int)sys_result(openat(proc, "self/mountinfo", O_RDONLY | O_CLOEXEC));
	size_t got = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	while ((n = read(fd, buf + got, size - 1 - got)) > 0)
		got += (size_t)n;
	if (n < 0)
		return -errno;
	return got == size - 1 ? -E2BIG : (ssize_t)got;
}

enum { MOUNTINFO_MAX = 16 << 20 };

/*
 * chroot(2) leaves the host's mounts in the namespace. The kernel lets a user namespace mount a
 * procfs or sysfs only where a full, uncovered instance is visible already, so the host's would
 * undo every mask of the container's: they go first, except those below the root.
 */
static int hide_host_views(struct stage *s)
{
	char root[PATH_MAX], name[48];
	int proc = proc_open(s);

	if (proc < 0)
		return proc;
	(void)snprintf(name, sizeof(name), "self/fd/%d", s->root_fd);
	ssize_t n = readlinkat(proc, name, root, sizeof(root) - 1);
	if (n < 0)
		return stage_fail(s, errno, "root", "readlink");
	root[n] = '\0';
	char *text = mmap(NULL, MOUNTINFO_MAX, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (text == MAP_FAILED)
		return stage_fail(s, errno, "mountinfo", "mmap");
	n = read_mountinfo(proc, text, MOUNTINFO_MAX);
	int e = n < 0 ? stage_fail(s, (int)n, "mountinfo", NULL) :
			hide_views(s, text, (size_t)n, root);
	(void)munmap(text, MOUNTINFO_MAX);
	return e;
}

/* --no-pivot: for a host whose root pivot_root(2) refuses. */
static int enter_by_move(struct stage *s)
{
	int e = hide_host_views(s);

	if (e)
		return e;
	close_fd int slash = (int)sys_result(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	e = slash < 0 ? slash : sys_move_mount(s->root_fd, slash);
	return e ? stage_fail(s, e, "root", "move_mount") : enter_by_chroot(s);
}

/*
 * A standard descriptor that is the host's /dev/null pins a mount of the host. The container's
 * takes its place, if it is the null device and nothing else: an image may bring what it likes
 * under that name.
 */
static int replace_null(struct stage *s, int fd)
{
	close_fd int path = path_open(s, "/dev/null", O_PATH);
	struct stat st;

	if (path < 0 || fstat(path, &st) < 0)
		return stage_fail(s, path < 0 ? path : errno, "/dev/null", "for descriptor %d", fd);
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return stage_fail(s, ENODEV, "/dev/null", "the container's is not the null device");
	close_fd int null = path_reopen(s, path, O_RDWR);
	if (null < 0)
		return stage_fail(s, null, "/dev/null", NULL);
	return dup2(null, fd) < 0 ? stage_fail(s, errno, "/dev/null", "dup2") : 0;
}

static int replace_nulls(struct stage *s)
{
	struct stat st;
	int e = 0;

	for (int fd = 0; !e && fd < 3; fd++)
		if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
			e = replace_null(s, fd);
	return e;
}

static int enter_root(struct stage *s, const char *method)
{
	if (streq(method, "pivot"))
		return enter_by_pivot(s);
	return streq(method, "move") ? enter_by_move(s) : enter_by_chroot(s);
}

static int pivot_run(struct stage *s, const void *args)
{
	const struct pivot_args *a = args;

	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, "root", "before step root");
	int e = enter_root(s, a->method);
	if (e)
		return e;
	/* Not before: on the old namespace's mounts it would change the host's. */
	e = a->propagation ? attr_propagation_one(s->root_fd, a->propagation) : 0;
	if (e)
		return stage_fail(s, e, "/", "propagation");
	return a->dev_null ? replace_nulls(s) : 0;
}

STEP_IMPL(pivot, pivot_fields, pivot_check, pivot_run);

struct root_attr_args {
	uint64_t set;
};

static const struct field root_attr_fields[] = {
	FIELD(struct root_attr_args, F_U64, set, "set", FIELD_REQUIRED),
};

static int root_attr_check(struct stage *s, const void *args)
{
	const struct root_attr_args *a = args;

	return attr_check(s, "set", a->set);
}

static int root_attr_run(struct stage *s, const void *args)
{
	const struct root_attr_args *a = args;

	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, "/", "before step root");
	return attr_change_unlocked(s, s->root_fd, "/", a->set, 0, 0);
}

STEP_IMPL(root_attr, root_attr_fields, root_attr_check, root_attr_run);

struct mount_attr_args {
	const char *target;
	uint64_t set;
};

static const struct field mount_attr_fields[] = {
	FIELD(struct mount_attr_args, F_STRING, target, "target", FIELD_REQUIRED),
	FIELD(struct mount_attr_args, F_U64, set, "set", FIELD_REQUIRED),
};

static int mount_attr_check(struct stage *s, const void *args)
{
	const struct mount_attr_args *a = args;

	return attr_check(s, "set", a->set);
}

static int mount_attr_run(struct stage *s, const void *args)
{
	const struct mount_attr_args *a = args;

	if (path_built_root(s) < 0)
		return stage_fail(s, EPROTO, a->target, "before step root");
	close_fd int fd = path_open(s, a->target, O_PATH);
	if (fd < 0)
		return stage_fail(s, fd, a->target, NULL);
	int e = attr_change_unlocked(s, fd, a->target, a->set, 0, 0);
	return e == -EINVAL ? stage_fail(s, e, a->target, "no mount begins here") : e;
}

STEP_IMPL(mount_attr, mount_attr_fields, mount_attr_check, mount_attr_run);
