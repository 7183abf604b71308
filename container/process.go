package container

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"runack/internal/rawfd"
	"runack/nsexec"
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
	// Not File.Fd: while the signal is on its way somebody else may close the pidfd, and its number
	// come to mean another process.
	err := rawfd.Use(p.PidFD, func(fd int) error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
	var errno unix.Errno
	if !errors.As(err, &errno) || errno == unix.ESRCH {
		return nil // sent, or gone, or closed after its end
	}
	return failed("signal", p.PidFD.Name(), err)
}

// Wait waits for the end of the process and reaps it. It may be called again.
func (p *Process) Wait() (unix.WaitStatus, error) {
	if _, err := nsexec.WaitPidFD(p.PidFD, -1); err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waited {
		return p.status, nil
	}
	status, err := nsexec.Reap(p.Pid)
	if err != nil {
		return 0, failed("wait for", p.PidFD.Name(), err)
	}
	p.waited, p.status = true, status
	return status, nil
}
