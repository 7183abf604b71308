package nsexec

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// WaitPidFD waits until the process of pidfd has terminated: a pidfd becomes readable when the whole
// thread group has. A timeout of 0 only looks, a negative one waits for ever. It returns false on
// timeout.
func WaitPidFD(pidfd *os.File, timeout time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	end := time.Now().Add(timeout)
	for {
		n, err := unix.Poll(fds, pollTime(timeout, end))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0, waitError(pidfd.Name(), err)
	}
}

// pollTime is what is left of timeout in poll(2)'s terms, rounded up.
func pollTime(timeout time.Duration, end time.Time) int {
	if timeout <= 0 {
		return int(max(timeout, -1))
	}
	return int(max(0, time.Until(end).Milliseconds()+1))
}

// Reap waits for a child of this process and takes its status.
//
// WALL, because a process that never got to its execve still has the exit signal 0 that it was
// cloned with, and wait ignores such children otherwise (clone(2)).
func Reap(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

func waitError(object string, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	return &handshake.StageError{Side: handshake.Runtime, Step: "wait for", Object: object, Errno: errno}
}
