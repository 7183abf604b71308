package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
	"runack/nsexec"
)

// An Ident tells one process from every later one with the same pid: the kernel gives pids out
// again, but not together with the same start time.
type Ident struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // field 22 of /proc/PID/stat: clock ticks since boot
}

// identOf reads the identity of a living (or not yet reaped) process.
func identOf(pid int) (Ident, error) {
	start, err := startTime(pid)
	if err != nil {
		return Ident{}, err
	}
	return Ident{Pid: pid, Start: start}, nil
}

// errStat is a /proc/PID/stat that is not what proc_pid_stat(5) says.
var errStat = errors.New("stat: not the form of proc_pid_stat(5)")

func startTime(pid int) (uint64, error) {
	data, err := smallfile.Read("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, failed("read start time", "of pid "+strconv.Itoa(pid), err)
	}
	return parseStartTime(data)
}

// parseStartTime reads field 22. The second field, the command's name in parentheses, may itself
// hold spaces and parentheses, so counting begins after the last ')'.
func parseStartTime(stat []byte) (uint64, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errStat
	}
	const fieldsAfterName = 22 - 2
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < fieldsAfterName {
		return 0, errStat
	}
	start, err := strconv.ParseUint(string(fields[fieldsAfterName-1]), 10, 64)
	if err != nil {
		return 0, errStat
	}
	return start, nil
}

// open gives a pidfd of the process, or nil if that process is gone. A zombie counts as gone. The
// caller closes the descriptor.
//
// The order matters: the pidfd first, then the start time. If the pid was recycled in between, the
// start time read belongs to the newcomer and differs; if it was recycled before, likewise.
func (i Ident) open() (*os.File, error) {
	if i.Pid <= 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(i.Pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		// The number is a thread's now, so the process is gone. EINVAL before Linux 6.9.
		return nil, nil
	}
	if err != nil {
		return nil, failed("open pidfd", "of pid "+strconv.Itoa(i.Pid), err)
	}
	pidfd := os.NewFile(uintptr(fd), fmt.Sprintf("pidfd of %d", i.Pid))
	start, err := startTime(i.Pid)
	if err != nil || start != i.Start {
		pidfd.Close()
		return nil, nil //nolint:nilerr // no /proc entry: the process is gone
	}
	gone, err := nsexec.WaitPidFD(pidfd, 0)
	if err != nil || gone {
		pidfd.Close()
		return nil, err
	}
	return pidfd, nil
}

// alive says whether the process exists and is not a zombie.
func (i Ident) alive() (bool, error) {
	pidfd, err := i.open()
	if err != nil || pidfd == nil {
		return false, err
	}
	pidfd.Close()
	return true, nil
}
