package container

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A Process is a process that this runtime started in a container: its child. Pid is for display
// and for files; signals and waits go through PidFD.
type Process struct {
	Pid   int
	PidFD *os.File // owned; Close closes it

	mu     sync.Mutex
	waited bool            // guarded by mu
	status unix.WaitStatus // guarded by mu, valid once waited
}

// Close closes the pidfd. The process goes on.
func (p *Process) Close() error { return p.PidFD.Close() }

// Signal sends a signal. A process that is gone already is no error.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(p.PidFD.Fd()), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return failed("signal", p.PidFD.Name(), err)
}

// Wait waits for the end of the process and reaps it. It may be called again.
//
// WALL, because a process that never got to its execve still has the exit signal 0 it was cloned
// with, and wait ignores such children otherwise (clone(2)).
func (p *Process) Wait() (unix.WaitStatus, error) {
	if _, err := waitPidFD(p.PidFD, -1); err != nil {
		return 0, err
	}
	return p.reap()
}

// reap collects the status of a process that has terminated.
func (p *Process) reap() (unix.WaitStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waited {
		return p.status, nil
	}
	var status unix.WaitStatus
	err := retryIntr(func() error {
		_, err := unix.Wait4(p.Pid, &status, unix.WALL, nil)
		return err
	})
	if err != nil {
		return 0, failed("wait for", p.PidFD.Name(), err)
	}
	p.waited, p.status = true, status
	return status, nil
}

// reaped takes a status that somebody else collected.
func (p *Process) reaped(status unix.WaitStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waited, p.status = true, status
}

// ExitCode is what a shell makes of a wait status: the exit code, or 128 plus the signal. The
// signal is looked at first.
func ExitCode(status unix.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
