// SPDX-License-Identifier: Apache-2.0
/*
 * A procfs that no path of the container leads to. Every read and write below /proc goes through
 * it: a /proc that an image or a volume brings can redirect them (CVE-2019-16884, CVE-2019-19921,
 * CVE-2025-52881).
 */
#include "stage.h"

#include "kernel.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>

static int proc_new(void)
{
	close_fd int fs = (int)sys_result(syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC));

	if (fs < 0)
		return fs;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	return (int)sys_result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
				       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

static int verify_proc(struct stage *s, int fd)
{
	struct statfs st;

	if (fd < 0)
		return stage_fail(s, EBADF, "/proc", "the host has none");
	if (fstatfs(fd, &st) < 0)
		return stage_fail(s, errno, "/proc", "fstatfs");
	if (st.f_type != PROC_SUPER_MAGIC)
		return stage_fail(s, EXDEV, "/proc", "not a procfs");
	return 0;
}

/*
 * The descriptor of the private procfs, made at first use. In a user namespace that does not own
 * its PID namespace, or where parts of every visible procfs are covered, the kernel refuses a
 * fresh one; then stage-0's, which is the host's, serves.
 */
int proc_open(struct stage *s)
{
	if (s->proc_fd >= 0)
		return s->proc_fd;
	int fd = proc_new();
	if (fd < 0) {
		int e = verify_proc(s, s->host_proc_fd);
		if (e)
			return e;
		fd = steal_fd(&s->host_proc_fd);
	}
	proc_close(s);
	s->proc_fd = fd;
	return fd;
}

/* The host's leads to its root: nobody in the container may find it in our hands. */
void proc_close(struct stage *s)
{
	fd_cleanup(&s->host_proc_fd);
	fd_cleanup(&s->proc_fd);
	s->host_proc_fd = s->proc_fd = -1;
}

/* Opens a path below the private procfs. Symlinks are refused except self and thread-self. */
static int proc_open_file(struct stage *s, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	int proc = proc_open(s);

	if (proc < 0)
		return proc;
	return (int)sys_result(syscall(SYS_openat2, proc, path, &how, sizeof(how)));
}

/* Writes value with one write(2), as kernel files want it. */
int proc_write(struct stage *s, const char *path, const char *value, size_t len)
{
	close_fd int fd = proc_open_file(s, path, O_WRONLY);

	if (fd < 0)
		return stage_fail(s, fd, path, NULL);
	ssize_t n = write(fd, value, len);
	if (n < 0)
		return stage_fail(s, errno, path, "value %.200s", value);
	return (size_t)n == len ? 0 : stage_fail(s, EIO, path, "short write");
}
