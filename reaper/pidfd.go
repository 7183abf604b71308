package reaper

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pidOf asks the kernel whom a pidfd refers to: by ioctl (Linux 6.13), or through fdinfo.
func pidOf(pidfd int) (int, error) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err == nil && info.Mask&unix.PIDFD_INFO_PID != 0 {
		return int(info.Pid), nil
	}
	pid, ok, err := fdinfoPid(pidfd)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, fmt.Errorf("descriptor %d is not a pidfd: %w", pidfd, unix.EBADF)
	case pid <= 0:
		return 0, fmt.Errorf("process of pidfd %d is gone: %w", pidfd, unix.ESRCH)
	}
	return pid, nil
}

// fdinfoPid reads the Pid line that the kernel shows for a pidfd, -1 for a process that has been
// reaped. ok is false for a descriptor of another kind. The number is the one of the PID namespace
// of the procfs instance (proc_pid_fdinfo(5)).
func fdinfoPid(fd int) (pid int, ok bool, err error) {
	text, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, false, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if rest, found := bytes.CutPrefix(lines.Bytes(), []byte("Pid:")); found {
			pid, err := strconv.Atoi(string(bytes.TrimSpace(rest)))
			return pid, err == nil, err
		}
	}
	return 0, false, nil
}

// exitInfo is what the kernel still knows of a process that somebody else has reaped (Linux 6.15).
func exitInfo(pidfd int) (unix.WaitStatus, bool) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err := unix.IoctlPidfdInfo(pidfd, &info)
	return unix.WaitStatus(info.Exit_code), err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0
}
