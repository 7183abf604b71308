package container

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"runack/handshake"
)

// The errors that callers match, by value or by text. The texts are runc's: containerd, CRI-O and
// others search them (see the golden tests).
var (
	ErrExist      = errors.New("container with given ID already exists")
	ErrNotExist   = errors.New("container does not exist")
	ErrNotRunning = errors.New("container not running")
	ErrPaused     = errors.New("container paused")
	ErrNotPaused  = errors.New("container not paused")
	ErrRunning    = errors.New("container still running")
	ErrInvalidID  = errors.New("invalid container ID format")
	ErrEmptyID    = errors.New("container id cannot be empty")

	errAlreadyRunning  = errors.New("cannot start an already running container")
	errHasStopped      = errors.New("cannot start a container that has stopped")
	errExecStopped     = errors.New("cannot exec in a stopped container")
	errExecPaused      = errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	errInitRunning     = errors.New("container init still running")
	errNoUserNamespace = errors.New("config.json: linux.namespaces: an ordinary user needs a user namespace; `runack spec --rootless` writes a configuration with one")
	errNoCgroup        = errors.New("container has no cgroup")
)

// errCannotStart is runc's refusal to start a container in any other state.
func errCannotStart(s Status) error {
	return fmt.Errorf("cannot start a container in the %s state", s)
}

// errNotStopped is runc's refusal to delete.
func errNotStopped(id string, s Status) error {
	return fmt.Errorf("cannot delete container %s that is not stopped: %s", id, s)
}

// A stepError is a failed system call of the runtime: the side, what it did, on what, and the errno by name,
// never by strerror's text, since clients take "permission denied" or "no such file or directory"
// for a statement about the program to run.
type stepError struct {
	Step   string
	Object string
	Err    error
}

func (e *stepError) Error() string { return string(handshake.Runtime) + ": " + e.text() }

func (e *stepError) text() string {
	what := e.Step
	if e.Object != "" {
		what += " " + e.Object
	}
	if inner, ok := any(e.Err).(*stepError); ok { // the side is said once
		return what + ": " + inner.text()
	}
	return what + ": " + errText(e.Err)
}

func (e *stepError) Unwrap() error { return e.Err }

// failed names the step and the object of an error; nil stays nil.
func failed(step, object string, err error) error {
	if err == nil {
		return nil
	}
	return &stepError{Step: step, Object: object, Err: err}
}

// errText renders an error with its errno as name and number. The standard library's wrappers lose
// their operation and path, which the step says already; anything else keeps its own words.
func errText(err error) string {
	core := err
	switch e := any(err).(type) { // only the outermost wrapper is taken off
	case *os.PathError:
		core = e.Err
	case *os.LinkError:
		core = e.Err
	case *os.SyscallError:
		core = e.Err
	}
	if errno, ok := any(core).(syscall.Errno); ok { // a bare errno, not one inside another text
		return handshake.ErrnoName(errno)
	}
	return err.Error()
}
