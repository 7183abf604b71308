package container

import (
	"errors"
	"os"
	"os/signal"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A foreground is this process standing in for one in a container: signals go there, its status
// comes back. One per process of the runtime: it takes all signals.
type foreground struct {
	signals  chan os.Signal
	terminal *terminal // nil without one
	reaping  bool      // orphans come to us and are reaped
}

// signalBuffer is how many signals can wait while a container starts.
const signalBuffer = 1024

// newForeground takes the signals and, where asked for, the caller's terminal and the orphans of
// the container. Call close.
func newForeground(o *IO, tty, subreaper bool) (*foreground, error) {
	f := &foreground{signals: make(chan os.Signal, signalBuffer), reaping: subreaper}
	if tty {
		t, err := newTerminal(o.Stdio)
		if err != nil {
			return nil, err
		}
		f.terminal, o.Console = t, t.attach
	}
	if subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return nil, failed("become subreaper", "", err)
		}
	}
	signal.Notify(f.signals)
	return f, nil
}

func (f *foreground) close() {
	signal.Stop(f.signals)
	if f.terminal != nil {
		f.terminal.restore()
	}
}

// wait passes signals on until the process ends, and returns its exit code.
func (f *foreground) wait(p *Process) (int, error) {
	ended := make(chan error, 1)
	go func() {
		_, err := waitPidFD(p.PidFD, -1)
		ended <- err
	}()
	for {
		select {
		case err := <-ended:
			return f.ended(p, err)
		case s := <-f.signals:
			f.handle(p, s)
		}
	}
}

func (f *foreground) ended(p *Process, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	if f.terminal != nil {
		f.terminal.finish()
	}
	status, err := p.Wait()
	if err != nil {
		return 0, err
	}
	return ExitCode(status), nil
}

func (f *foreground) handle(p *Process, s os.Signal) {
	switch s {
	case unix.SIGCHLD:
		if f.reaping {
			reapOrphans(p)
		}
	case unix.SIGURG, unix.SIGPIPE:
		// Go's runtime sends SIGURG to itself, and SIGPIPE is about our own output.
	case unix.SIGWINCH:
		if f.terminal != nil {
			f.terminal.resize()
			return
		}
		f.forward(p, unix.SIGWINCH)
	default:
		f.forward(p, s.(unix.Signal))
	}
}

func (f *foreground) forward(p *Process, sig unix.Signal) {
	if err := p.Signal(sig); err != nil {
		logrus.Warn(err)
	}
}

// reapOrphans reaps what was adopted. One SIGCHLD can stand for many exits, and ECHILD ends the
// search as well as finding nothing. The process that is waited for keeps its status.
func reapOrphans(keep *Process) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || pid <= 0:
			return
		case pid == keep.Pid:
			keep.reaped(status)
		}
	}
}
