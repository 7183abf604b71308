package nsexec

import (
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/internal/act"
)

// talk is the conversation with stage-1, over the sync socket or the start socket.
type talk struct {
	conn    *handshake.Conn
	timeout time.Duration
	side    handshake.Side
	pid     int
	pidfd   *os.File // not owned
	child   bool     // stage-1 is this process's own child
	times   *handshake.Transcript
}

func newTalk(fd int, o Options) talk {
	t := talk{
		conn:    handshake.NewConn(fd, handshake.Runtime, o.Protocol, o.Transcript),
		timeout: o.Timeout,
		side:    handshake.Stage0,
		child:   o.Protocol != handshake.StartProtocol,
		times:   o.Transcript,
	}
	t.conn.SetSendTimeout(o.Timeout)
	return t
}

func (t *talk) deadline() time.Time {
	if t.timeout <= 0 {
		return time.Time{}
	}
	return time.Now().Add(t.timeout)
}

// Next waits for stage-1's next frame. An error frame comes as *handshake.StageError, a stage that
// ended without one as *Death.
func (t *talk) Next() (*handshake.Frame, error) {
	f, err := t.receive(int(t.pidfd.Fd()))
	if err != nil {
		return nil, t.explain(err)
	}
	switch f.Type {
	case handshake.Error:
		return nil, stageError(f)
	case handshake.Mounted, handshake.Created, handshake.Holding, handshake.Executing:
		if err := t.times.StageSteps(f); err != nil {
			return nil, err // a frame without descriptors
		}
	default: // says nothing of steps
	}
	return f, nil
}

// The runtime's own steps of the conversation, as the stage calls them too.
const (
	stepRead  = "read frame"
	stepWrite = "write frame"
)

func (t *talk) send(typ handshake.Type, body any, fds ...int) error {
	if err := act.Frame(stepWrite, string(typ), t.conn.FD()); err != nil {
		return err
	}
	return t.conn.Send(typ, body, fds...)
}

// receive waits for one frame. died is a pidfd that is watched meanwhile, or -1.
func (t *talk) receive(died int) (*handshake.Frame, error) {
	mark := t.times.Mark()
	f, err := t.conn.Receive(t.deadline(), died)
	if err != nil {
		return nil, err
	}
	t.times.Took(mark, "wait for "+string(f.Type), string(f.From))
	if err := act.Frame(stepRead, string(f.Type), t.conn.FD()); err != nil {
		f.CloseFDs()
		return nil, err
	}
	return f, nil
}

// Listener is for after executing, where the plan loads a filter with a listener: it takes the
// notification descriptor, which the caller then owns, and lets the stage go on.
func (t *talk) Listener() (*os.File, error) {
	f, err := t.Next()
	if err != nil {
		return nil, err
	}
	defer f.CloseFDs()
	var body handshake.ListenerBody
	if f.Type != handshake.Listener {
		return nil, &handshake.StageError{Side: handshake.Runtime, Step: "wait for the seccomp listener",
			Object: string(f.Type), Detail: "message after executing"}
	}
	if err := f.Decode(&body); err != nil {
		return nil, err
	}
	fd, err := t.takeFD(body.FD)
	if err != nil {
		var errno unix.Errno
		errors.As(err, &errno)
		return nil, &handshake.StageError{Side: handshake.Runtime, Step: "take the seccomp listener",
			Object: "descriptor " + strconv.Itoa(body.FD) + " of pid " + strconv.Itoa(t.pid), Errno: errno}
	}
	file := os.NewFile(uintptr(fd), "seccomp listener")
	if err := t.explain(t.send(handshake.Taken, nil)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// WaitWithoutLimit takes the deadline off: the stage waits for somebody else.
func (t *talk) WaitWithoutLimit() { t.timeout = 0 }

// takeFD takes a copy of a descriptor of the process that is to become the program, which waits.
func (t *talk) takeFD(fd int) (int, error) {
	s, err := readStat(t.pid)
	if err != nil {
		return -1, err
	}
	parent, below := s.keeper(t.pid)
	if !below {
		return unix.PidfdGetfd(int(t.pidfd.Fd()), fd, 0)
	}
	pidfd, err := unix.PidfdOpen(onlyChild(parent), 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pidfd)
	return unix.PidfdGetfd(pidfd, fd, 0)
}

// Finish is for after executing: it waits for the end of the conversation and tells whether the
// program was executed. nil means that it was; a *Death that was Unseen leaves it open.
//
// The sync socket is closed by execve or by death. Which of them it was, the process tells: after
// execve its name is no longer the stage's.
func (t *talk) Finish() error {
	f, err := t.receive(-1)
	switch {
	case err == nil && f.Type == handshake.Error:
		return stageError(f)
	case err == nil:
		f.CloseFDs()
		return &handshake.StageError{Side: handshake.Runtime, Step: "wait for execve",
			Object: string(f.Type), Detail: "message after executing"}
	case !errors.Is(err, io.EOF):
		return t.explain(err)
	}
	executed, seen, err := wasExecuted(t.pid)
	if err != nil || executed {
		return err
	}
	err = t.explain(io.EOF)
	var death *Death
	if errors.As(err, &death) {
		death.Unseen = !seen
	}
	return err
}

// Close closes the socket. The process goes on.
func (t *talk) Close() error { return t.conn.Close() }

// when says what the conversation is at, for a Death.
func (t *talk) when() string {
	due, ours := t.conn.Due()
	switch state := t.conn.State(); {
	case state == handshake.Committed || state == handshake.Supervised:
		return "while the runtime waited for execve"
	case due == "":
		return "while nothing was due"
	case ours:
		return "before the runtime sent " + due
	}
	return "while the runtime waited for " + due
}

func stageError(f *handshake.Frame) error {
	e, err := f.StageError()
	if err != nil {
		return err
	}
	return e
}
