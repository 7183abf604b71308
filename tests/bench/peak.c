/*
 * peak: runs a program and writes to standard output how large its largest process was, in KiB. bench
 * cannot ask for that itself: a process counts as at least as large as the one that forked it.
 *
 *	peak PROGRAM ARG...
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid = argc > 1 ? fork() : -1;

	if (pid == 0) {
		dup2(2, 1);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		return 127;
	printf("%ld\n", usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
