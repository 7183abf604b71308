// SPDX-License-Identifier: Apache-2.0
/*
 * Step console: a terminal of the container's own devpts. Its two ends are had from the kernel and
 * never by name: /dev/pts/N could be something else by the time it is opened (CVE-2025-52565).
 */
#include "stage.h"

#include "kernel.h"
#include "path.h"
#include "target.h"

#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

enum { PTMX_INO = 2 }; /* of every devpts (mknod_ptmx() of fs/devpts) */

struct console_args {
	bool mount;
	uint32_t rows;
	uint32_t cols;
	int64_t uid;
	const char *label;
};

static const struct field console_fields[] = {
	FIELD(struct console_args, F_BOOL, mount, "mount", FIELD_OPTIONAL),
	FIELD(struct console_args, F_U32, rows, "rows", FIELD_OPTIONAL),
	FIELD(struct console_args, F_U32, cols, "cols", FIELD_OPTIONAL),
	FIELD(struct console_args, F_ID, uid, "uid", FIELD_REQUIRED),
	FIELD(struct console_args, F_STRING, label, "label", FIELD_OPTIONAL),
};

static int console_check(struct stage *s, const void *args)
{
	const struct console_args *a = args;

	if (a->rows > UINT16_MAX || a->cols > UINT16_MAX)
		return stage_fail(s, EBADMSG, "rows", "more than 65535");
	return 0;
}

/*
 * Nothing but ptmx and terminals exists in a devpts, so once the directory is known to be one, its
 * ptmx can be opened (which makes a terminal) without asking what it is first, provided that no
 * other mount and no link comes in between.
 */
static int open_ptmx(struct stage *s)
{
	close_fd int pts = path_open(s, "/dev/pts", O_PATH | O_DIRECTORY);
	struct statfs fs;
	struct stat st;

	if (pts < 0 || fstatfs(pts, &fs) < 0)
		return stage_fail(s, pts < 0 ? pts : errno, "/dev/pts",
				  "a terminal needs a devpts there");
	if (fs.f_type != DEVPTS_SUPER_MAGIC)
		return stage_fail(s, ENODEV, "/dev/pts", "a terminal needs a devpts there");
	close_fd int ptmx = sys_openat2(pts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW, 0,
					RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
	if (ptmx < 0)
		return stage_fail(
			s, ptmx, "/dev/pts/ptmx",
			ptmx == -ENOSPC ?
				"the limit of terminals (/proc/sys/kernel/pty/max) is reached" :
				NULL);
	if (fstat(ptmx, &st) < 0)
		return stage_fail(s, errno, "/dev/pts/ptmx", "fstat");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || st.st_ino != PTMX_INO)
		return stage_fail(s, ENODEV, "/dev/pts/ptmx", "not the terminal multiplexer");
	return steal_fd(&ptmx);
}

/* The other end of a terminal, from the kernel. */
static int open_peer(struct stage *s, int master)
{
	int unlock = 0;

	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return stage_fail(s, errno, "terminal", "unlock");
	int slave = (int)sys_result(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	return slave < 0 ? stage_fail(s, slave, "terminal", "TIOCGPTPEER") : slave;
}

/* Before the program runs, so that it never sees a terminal without a size. */
static int set_size(struct stage *s, const struct console_args *a, int master)
{
	struct winsize w = { .ws_row = (unsigned short)a->rows, .ws_col = (unsigned short)a->cols };

	if (!a->rows || !a->cols)
		return 0;
	if (ioctl(master, TIOCSWINSZ, &w) < 0)
		return stage_fail(s, errno, "terminal", "size %u x %u", a->rows, a->cols);
	return 0;
}

/* The group is devpts' business (gid= option). An id that is not mapped, or a devpts that is not
 * ours to change, leaves the terminal with root. */
static int set_owner(struct stage *s, const struct console_args *a, int slave)
{
	struct stat st;

	if (fstat(slave, &st) < 0)
		return stage_fail(s, errno, "terminal", "fstat");
	if ((int64_t)st.st_uid != a->uid && fchown(slave, (uid_t)a->uid, (gid_t)-1) < 0 &&
	    errno != EPERM && errno != EINVAL && errno != EROFS)
		return stage_fail(s, errno, "terminal", "owner %lld", (long long)a->uid);
	if (a->label &&
	    fsetxattr(slave, "security.selinux", a->label, strlen(a->label) + 1, 0) < 0 &&
	    errno != EOPNOTSUPP)
		return stage_fail(s, errno, "terminal", "label %s", a->label);
	return 0;
}

/* /dev may be the image's own: its console is bound over if it is a file of any kind, and refused
 * if it is a link (CVE-2026-41579). */
static int mount_console(struct stage *s, int slave)
{
	static const char path[] = "/dev/console";
	char name[16];

	close_fd int dir = path_open_parent(s, path, false, name, sizeof(name));
	if (dir < 0)
		return stage_fail(s, dir, path, NULL);
	close_fd int target = path_file_at(dir, name, 0600);
	if (target < 0)
		return stage_fail(s, target, path,
				  target == -ELOOP ? "it must not be a link" : NULL);
	close_fd int tree =
		sys_open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0)
		return stage_fail(s, tree, path, "open_tree");
	return target_attach(s, tree, target, path);
}

/* A session of our own, whose terminal this is. */
static int take_terminal(struct stage *s, int slave)
{
	if (setsid() < 0 && getsid(0) != getpid())
		return stage_fail(s, errno, "terminal", "setsid");
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return stage_fail(s, errno, "terminal", "TIOCSCTTY");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(slave, fd) < 0)
			return stage_fail(s, errno, "terminal", "dup2");
	return 0;
}

static int console_run(struct stage *s, const void *args)
{
	const struct console_args *a = args;
	close_fd int master = open_ptmx(s);

	if (master < 0)
		return master;
	close_fd int slave = open_peer(s, master);
	if (slave < 0)
		return slave;
	int e = set_size(s, a, master);
	if (!e)
		e = set_owner(s, a, slave);
	if (!e && a->mount)
		e = mount_console(s, slave);
	if (!e)
		e = frame_send(s, "console", NULL, 0, &master, 1);
	return e ? e : take_terminal(s, slave);
}

STEP_IMPL(console, console_fields, console_check, console_run);
