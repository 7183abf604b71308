package container

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/internal/act"
	"runack/nsexec"
)

// StartOptions say how to start.
type StartOptions struct {
	Context    context.Context // its end interrupts the start, which stops the container; nil for none
	Settled    func()          // waits until Context's end can come, before the first side effect; nil for nothing
	Timeout    time.Duration   // for the answer to start; 0 for DefaultTimeout
	Transcript *handshake.Transcript
	// NotifySocket is systemd's NOTIFY_SOCKET: Start then also waits until the container is ready,
	// and names NotifyPid (0: init) as the service's main process.
	NotifySocket string
	NotifyPid    int
}

// Start lets a created container's program run, and returns once the kernel runs it, or with what
// execve(2) answered. Poststart hooks run before it returns.
func (c *Container) Start(o StartOptions) error {
	c.times = o.Transcript
	settle(o.Settled)
	pidfd, err := c.beginStart()
	if err != nil {
		return err
	}
	defer pidfd.Close()
	return c.startClaimed(pidfd, o)
}

// startClaimed is Start once the record says that this process starts the container. pidfd is init's.
func (c *Container) startClaimed(pidfd *os.File, o StartOptions) error {
	if o.Context == nil {
		o.Context = context.Background()
	}
	notifier, err := c.bindNotify(o.NotifySocket)
	if err != nil {
		return joinTeardown(c.wrap(err), c.unstart())
	}
	defer notifier.close()
	if err := c.start(pidfd, o); err != nil {
		return c.wrap(err)
	}
	if notifier == nil {
		return nil
	}
	return c.wrap(c.act(act.Notify, func() error {
		return notifier.serve(o.Context, pidfd, cmp.Or(o.NotifyPid, c.rec.Init.Pid))
	}))
}

// start takes the claimed start to its end.
func (c *Container) start(pidfd *os.File, o StartOptions) error {
	interruptible := killWith(o.Context, &Process{Pid: c.rec.Init.Pid, PidFD: pidfd})
	err := c.carryOutStart(pidfd, o)
	if ierr := interruptible(); ierr != nil {
		err = joinTeardown(ierr, err)
	}
	if err != nil {
		return err
	}
	c.recordStarted()
	if err := c.runPoststart(o.Context); err != nil {
		return joinTeardown(err, c.killAndWait(pidfd))
	}
	return nil
}

// beginStart claims the start: of several callers, one. It returns init's pidfd.
func (c *Container) beginStart() (*os.File, error) {
	var pidfd *os.File
	err := c.locked(func() error {
		m, err := c.look()
		if err != nil {
			return err
		}
		err = c.mayStart(m.status)
		if err == nil {
			err = c.refuseFrozen("start container")
		}
		if err != nil {
			m.close()
			return err
		}
		self, err := identOf(os.Getpid())
		if err == nil {
			c.rec.Phase, c.rec.Actor = phaseStarting, &self
			err = c.act(act.Record, func() error { return c.dir.writeRecord(c.rec) })
		}
		if err != nil {
			m.close()
			return c.wrap(err)
		}
		pidfd = m.init
		return nil
	})
	return pidfd, err
}

// mayStart refuses in runc's words. A start whose runtime died before it said anything to the
// stage is taken over.
func (c *Container) mayStart(s Status) error {
	switch s {
	case Created:
	case Running:
		return errAlreadyRunning
	case Stopped:
		return errHasStopped
	default:
		return errCannotStart(s)
	}
	if c.rec.Phase != phaseStarting {
		return nil
	}
	live, err := c.actorAlive()
	if err == nil && live {
		err = errAlreadyRunning
	}
	return err
}

// carryOutStart speaks with the stage. Nothing is locked.
func (c *Container) carryOutStart(pidfd *os.File, o StartOptions) error {
	agent, err := c.agent()
	if err != nil {
		return joinTeardown(err, c.unstart())
	}
	defer agent.close()
	var starter *nsexec.Starter
	err = c.act(act.StartSocket, func() (err error) {
		starter, err = nsexec.Dial(c.dir.file, pidfd, nsexec.Options{
			Timeout: timeoutOr(o.Timeout), Transcript: o.Transcript, Protocol: handshake.StartProtocol,
		})
		return err
	})
	if err != nil {
		return joinTeardown(c.explainDeath(err), c.unstart())
	}
	defer starter.Close()
	if err = starter.Start(c.rec.stateJSON(specs.StateCreated)); err == nil {
		err = awaitExecuting(starter.Next)
	}
	if err == nil {
		err = c.handOver(agent, starter.Listener, c.rec.Init.Pid, specs.StateCreated, timeoutOr(o.Timeout))
	}
	if err == nil {
		err = c.act(act.Execve, func() error { return c.judge(starter.Finish()) })
		if errors.Is(err, handshake.ErrDeadline) {
			// The program may be about to run (a seccomp agent may hold its execve): after
			// executing no deadline kills.
			return err
		}
	}
	if err == nil {
		return nil
	}
	// The program will never run: what is left of the stage has to go.
	return joinTeardown(c.explainDeath(err), c.killAndWait(pidfd))
}

// judge decides on an end that nobody saw. Being past its last report, the stage is believed to have
// executed the program, unless something speaks for the causes that can end it there: its last system
// calls are made under the seccomp filter, and execve takes memory.
func (c *Container) judge(err error) error {
	var death *nsexec.Death
	if !errors.As(err, &death) || !death.Unseen {
		return err
	}
	if (death.Status == nil || death.Status.Signal() == unix.SIGKILL) && c.oomKills() > 0 {
		return err
	}
	if spec, serr := c.spec(); serr == nil && mayEndTheStage(spec) {
		return err
	}
	return nil
}

// awaitExecuting reads until the stage says that execve comes next.
func awaitExecuting(next func() (*handshake.Frame, error)) error {
	for {
		f, err := next()
		if err != nil {
			return err
		}
		f.CloseFDs()
		switch f.Type {
		case handshake.Executing:
			return nil
		default:
			return fmt.Errorf("runtime: message %s: nobody expects it here", f.Type)
		}
	}
}

// unstart gives the claim of a start back: nothing was said to the stage.
func (c *Container) unstart() error {
	return c.locked(func() error {
		c.rec.Phase, c.rec.Actor = phaseCreated, nil
		return c.dir.writeRecord(c.rec)
	})
}

// recordStarted writes down that the program runs. If that cannot be done (a full disk), taking
// the start socket away says the same: see statusWith.
func (c *Container) recordStarted() {
	err := c.locked(func() error {
		c.rec.Phase, c.rec.Actor = phaseStarted, nil
		err := c.act(act.Record, func() error { return c.dir.writeRecord(c.rec) })
		uerr := unix.Unlinkat(c.dir.fd(), startSocket, 0)
		if uerr != nil && !errors.Is(uerr, unix.ENOENT) {
			err = joinTeardown(err, failed("remove", c.dir.path+"/"+startSocket, uerr))
		}
		return err
	})
	// Deleted already: a short program and a quick caller.
	if err != nil && !errors.Is(err, ErrNotExist) {
		logrus.Warn(c.wrap(err))
	}
}

// explainDeath adds what the cgroup knows about the death of a stage: a memory limit that is too
// small kills it at any step.
func (c *Container) explainDeath(err error) error {
	cg, cerr := c.cgroup()
	if cerr != nil || cg == nil {
		return err
	}
	return (&launch{cg: cg, oomBefore: c.rec.OOMBefore}).explain(err)
}
