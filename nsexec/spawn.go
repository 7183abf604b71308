package nsexec

import (
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/internal/act"
)

// Options say how to start a stage and how to speak with it.
type Options struct {
	Files      []*os.File    // become descriptors 0..n-1 of the process; remain the caller's
	Timeout    time.Duration // for each wait on the stage; 0 for none
	Transcript *handshake.Transcript
	Protocol   handshake.Protocol // CreateProtocol or ExecProtocol; Dial sets StartProtocol itself
}

// A Child is the process that a stage becomes: the runtime's own child. Pid is for display and for
// /proc; signals and waits go through PidFD.
type Child struct {
	Pid   int      // valid after Spawn
	PidFD *os.File // owned by the caller of Spawn; Close leaves it open
	Born  bool     // born in the cgroup that spawn named

	talk
	entry       *Entry // from Enter to JoinCgroup
	spawned     bool
	spawnErr    error // of Spawn, for Ready
	stage0      int   // 0 once it is reaped
	stage0PidFD *os.File
}

// Start starts stage-0 and does not wait for it. The thread that calls it must not end before the
// child is created: the stage dies with it (PR_SET_PDEATHSIG).
func Start(o Options) (*Child, error) {
	var path string
	err := act.Do(o.Transcript, act.CopyStage, func() (err error) {
		path, err = stagePath()
		return err
	})
	if err != nil {
		return nil, err
	}
	var c *Child
	err = act.Do(o.Transcript, act.Fork, func() (err error) {
		c, err = fork(path, o)
		return err
	})
	return c, err
}

// fork starts the stage at path, with the socket behind its other descriptors.
func fork(path string, o Options) (*Child, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, spawnError("socketpair", err)
	}
	defer unix.Close(pair[1])
	pidfd := -1
	files := make([]uintptr, 0, len(o.Files)+1)
	for _, f := range o.Files {
		files = append(files, f.Fd())
	}
	files = append(files, uintptr(pair[1]))
	args := []string{"runack-stage", "sync", strconv.Itoa(len(o.Files)), strconv.Itoa(os.Getpid())}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Dir: "/", Env: act.StageEnv(), Files: files, Sys: &syscall.SysProcAttr{PidFD: &pidfd},
	})
	if err != nil {
		return nil, errors.Join(spawnError("fork stage-0", err), unix.Close(pair[0]))
	}
	return &Child{
		talk:        newTalk(pair[0], o),
		stage0:      pid,
		stage0PidFD: os.NewFile(uintptr(pidfd), "pidfd of stage-0"),
	}, nil
}

func spawnError(step string, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	return &handshake.StageError{Side: handshake.Runtime, Step: "spawn stage", Object: step, Errno: errno}
}

// Spawn lets stage-0 do its actions and clone stage-1, and does not wait: Ready does. The
// descriptors remain the caller's.
func (c *Child) Spawn(b handshake.SpawnBody, fds []int) {
	c.spawned = true
	c.spawnErr = c.send(handshake.Spawn, b, fds...)
}

// Ready waits for stage-1, after Spawn. On failure, of Spawn too, the child is gone; Close what is
// left.
func (c *Child) Ready() error {
	err := c.spawnErr
	if err == nil || gone(err) { // then its error may be waiting
		if err = c.awaitReady(); err == nil {
			return nil
		}
	}
	death := c.deathOfStage0(err)
	// Where stage-0 hangs or talks nonsense it has to go; where it has told its error it goes
	// by itself. A stage-1 that exists already dies with its socket.
	_ = unix.PidfdSendSignal(int(c.stage0PidFD.Fd()), unix.SIGKILL, nil, 0)
	status, werr := c.reapStage0()
	if death != nil {
		err = death
		if !death.Lives && werr == nil {
			death.Status = &status
		}
	}
	return errors.Join(err, werr)
}

// reapStage0 collects a stage-0 that has left or is about to. A second call does nothing.
func (c *Child) reapStage0() (unix.WaitStatus, error) {
	if c.stage0 == 0 {
		return 0, nil
	}
	_ = c.stage0PidFD.Close()
	pid := c.stage0
	c.stage0 = 0
	return Reap(pid)
}

// deathOfStage0 describes a stage-0 that is dead, or silent, before it is ended and reaped; nil for
// any other error.
func (c *Child) deathOfStage0(err error) *Death {
	late := errors.Is(err, handshake.ErrDeadline)
	if !late && !gone(err) {
		return nil
	}
	d := &Death{Side: handshake.Stage0, Step: stepOf(c.stage0), When: c.when(), Limit: c.timeout, Err: err}
	gone, werr := WaitPidFD(c.stage0PidFD, c.dying())
	d.Lives = late || werr == nil && !gone
	return d
}

func (c *Child) awaitReady() error {
	f, err := c.receive(int(c.stage0PidFD.Fd()))
	if err != nil {
		return err
	}
	if f.Type == handshake.Error {
		return stageError(f)
	}
	var ready handshake.ReadyBody
	if err := f.Decode(&ready); err != nil {
		f.CloseFDs()
		return err
	}
	c.Pid, c.Born = ready.Pid, ready.Born
	c.PidFD = os.NewFile(uintptr(f.TakeFD(0)), "pidfd of "+strconv.Itoa(ready.Pid))
	c.pid, c.pidfd, c.side = c.Pid, c.PidFD, handshake.Stage1
	return nil
}

// Join lets stage-1 enter its cgroup, where it was not born there, and waits until it is in.
func (c *Child) Join(b handshake.JoinBody, fds []int) error {
	if err := c.send(handshake.Join, b, fds...); err != nil {
		return c.explain(err)
	}
	f, err := c.Next()
	if err != nil {
		return err
	}
	f.CloseFDs()
	return nil
}

// Plan sends the steps and does not wait. The descriptors remain the caller's. stage-0, which takes
// its time to end, is reaped only now that stage-1 has work.
func (c *Child) Plan(b handshake.PlanBody, fds []int) error {
	b.Trace = c.times.Timed()
	err := c.explain(c.send(handshake.Plan, b, fds...))
	_, werr := c.reapStage0()
	return errors.Join(err, werr)
}

// Proceed lets a stage that has reported mounted go on. state is the OCI state for its hooks.
func (c *Child) Proceed(state []byte) error {
	return c.explain(c.send(handshake.Proceed, handshake.StateBody{State: string(state)}))
}

// Kill ends the child and reaps it. Where there is none yet, stage-0 is ended. A child that does not die, as
// a frozen one does not, is an error, and is left.
func (c *Child) Kill() error {
	switch {
	case c.PidFD != nil:
	case c.stage0 == 0:
		return nil // Ready reaped stage-0 on its way out
	case !c.spawned:
		return c.dismiss()
	case c.Ready() != nil:
		return nil // as above
	}
	_, zerr := c.reapStage0()
	err := unix.PidfdSendSignal(int(c.PidFD.Fd()), unix.SIGKILL, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		err = nil
	}
	return errors.Join(err, c.reapKilled(), zerr)
}

func (c *Child) reapKilled() error {
	gone, err := WaitPidFD(c.PidFD, c.dying())
	if err == nil && !gone {
		return &handshake.StageError{Side: handshake.Runtime, Step: "kill stage-1", Object: "pid " + strconv.Itoa(c.Pid), Errno: unix.ETIMEDOUT,
			Detail: "SIGKILL is pending: its cgroup is frozen, or a system call does not end"}
	}
	if _, err = Reap(c.Pid); errors.Is(err, unix.ECHILD) {
		err = nil // explain reaped it
	}
	return err
}

// gone: the peer ended, in one way or another, without a last word.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, handshake.ErrDied) ||
		errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}
