/*
 * floor: the least that a container costs. New namespaces, the mounts of the default configuration, a new
 * root, a program; no cgroup, no configuration, no checks, no errors told but by the exit status.
 *
 *	floor ROOTFS PROGRAM
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void want(int ok)
{
	if (!ok)
		_exit(1);
}

static void devices(void)
{
	static const struct {
		const char *path;
		unsigned int minor;
	} all[] = {{"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9}};

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		want(mknod(all[i].path, S_IFCHR | 0666, makedev(1, all[i].minor)) == 0);
	want(mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0)) == 0);
	want(symlink("pts/ptmx", "dev/ptmx") == 0);
	want(symlink("/proc/self/fd", "dev/fd") == 0);
}

static void mounts(const char *root)
{
	want(mount("", "/", "", MS_SLAVE | MS_REC, "") == 0);
	want(mount(root, root, "", MS_BIND | MS_REC, "") == 0 && chdir(root) == 0);
	want(mount("proc", "proc", "proc", 0, "") == 0);
	want(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k") == 0);
	want(mkdir("dev/pts", 0755) == 0 && mkdir("dev/shm", 0755) == 0 && mkdir("dev/mqueue", 0755) == 0);
	want(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5") == 0);
	want(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k") == 0);
	want(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, "") == 0);
	want(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, "") == 0);
	devices();
	want(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0);
}

int main(int argc, char **argv)
{
	const int flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET;
	int status;
	long pid;

	want(argc == 3);
	pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		mounts(argv[1]);
		execl(argv[2], argv[2], (char *)0);
		_exit(1);
	}
	want(pid > 0 && waitpid((pid_t)pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
