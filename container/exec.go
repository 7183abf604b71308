package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"

	"runack/cgroupjoin"
	"runack/handshake"
	"runack/internal/act"
	"runack/nsexec"
	"runack/plan"
)

// ExecOptions say what to run in a container that is there.
type ExecOptions struct {
	IO           IO
	Process      *specs.Process // what to run; nil: as ProcessFile or Override say
	ProcessFile  string         // path of a process.json
	Override     Override       // applied to the process of the configuration
	SubCgroups   map[string]string
	IgnorePaused bool
	Reap         bool // a process of the stage's stays and reaps what the program leaves behind
	// WaitFifo is a fifo on the host, absolute; empty for none. The process is set up, and waits
	// until somebody opens the fifo for reading. With IO.Detach Exec returns while it waits, and
	// what fails afterwards is the process's exit code (117 and others of the stage's).
	WaitFifo    string
	NoSubreaper bool            // in the foreground: do not adopt and reap orphans
	Context     context.Context // its end interrupts the start, not the running process; nil for none
	Settled     func()          // waits until Context's end can come, before the first side effect; nil for nothing
	Timeout     time.Duration   // for each wait on the stage; 0 for DefaultTimeout
	Transcript  *handshake.Transcript
}

// An execution is an exec on its way.
type execution struct {
	c       *Container
	opts    ExecOptions
	init    *os.File // pidfd of the container's init; owned
	spec    *specs.Spec
	process *specs.Process
	plan    *plan.Plan
	peers   peers
	agent   *agent // nil where the filter has no listener
	launch  *launch
	undo    undoStack
	// interruptible is called once nothing can be interrupted any more; it returns the interruption
	// that was quicker.
	interruptible func() error
	aim           func(*Process) // where set, told of the process just before it may run
}

func (ex *execution) context() context.Context {
	if ex.opts.Context == nil {
		return context.Background()
	}
	return ex.opts.Context
}

// Exec starts a process in the container and returns once the kernel runs it, or with what
// execve(2) answered. The process is this runtime's child: wait for it, and close it.
func (c *Container) Exec(o ExecOptions) (*Process, error) {
	nsexec.Prepare()
	c.times = o.Transcript
	ex := &execution{c: c, opts: o}
	defer ex.close()
	if err := ex.prepare(); err != nil {
		return nil, err
	}
	return ex.run()
}

// ExecAndWait is Exec, and unless IO.Detach is set it stays in the foreground until the process
// ends and returns its exit code.
func (c *Container) ExecAndWait(o ExecOptions) (int, error) {
	if o.IO.Detach {
		p, err := c.Exec(o)
		if err != nil {
			return 0, err
		}
		return 0, p.Close()
	}
	fg := newForeground()
	nsexec.Prepare()
	c.times = o.Transcript
	ex := &execution{c: c, opts: o}
	defer ex.close()
	if err := ex.find(); err != nil {
		return 0, err
	}
	if err := fg.adopt(&ex.opts.IO, ex.process.Terminal, !o.NoSubreaper); err != nil {
		return 0, err
	}
	defer fg.close()
	var p *Process
	err := fg.starting(func(ctx context.Context) (err error) {
		ex.opts.Context, ex.aim = ctx, fg.aim
		if err = ex.c.act(act.Compile, ex.ready); err != nil {
			return err
		}
		p, err = ex.run()
		return err
	})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	return fg.wait(p)
}

func (ex *execution) close() {
	ex.agent.close()
	ex.peers.close()
	if ex.init != nil {
		ex.init.Close()
	}
}

func (ex *execution) prepare() error {
	if err := ex.find(); err != nil {
		return err
	}
	return ex.c.act(act.Compile, ex.ready)
}

// find checks the container's state and reads what is to run.
func (ex *execution) find() error {
	m, err := ex.c.look()
	if err != nil {
		return err
	}
	ex.init = m.init
	switch {
	case m.status == Stopped || m.init == nil:
		return errExecStopped
	case m.status == Creating:
		return fmt.Errorf("cannot exec in a container in the %s state", m.status)
	case m.status == Paused && !ex.opts.IgnorePaused:
		return errExecPaused
	}
	if !ex.opts.IgnorePaused {
		if err := ex.c.refuseFrozen("exec"); err != nil {
			return err
		}
	}
	if ex.spec, err = ex.c.spec(); err != nil {
		return err
	}
	ex.process, err = ex.opts.process(ex.spec)
	return err
}

// ready compiles the plan and connects to whoever is to be told.
func (ex *execution) ready() error {
	o := &ex.opts
	if err := o.IO.check(ex.process.Terminal); err != nil {
		return err
	}
	cg, err := ex.c.cgroup()
	if err != nil {
		return err
	}
	facts, err := hostFacts(cg)
	if err != nil {
		return err
	}
	if err := execFacts(&facts, ex.spec, ex.c.rec.Init.Pid); err != nil {
		return err
	}
	filter, err := ex.c.store.filter(ex.spec)
	if err != nil {
		return ex.c.wrap(err)
	}
	ex.plan, err = plan.Exec(ex.spec, ex.process, facts, plan.Options{
		ID: ex.c.rec.ID, Reap: o.Reap, ListenFDs: o.IO.ListenFDs,
		ListenFDNames: o.IO.ListenFDNames, PreserveFDs: o.IO.preserved(), Seccomp: filter,
		WaitFifo: o.WaitFifo, Detach: o.IO.Detach,
	})
	if err != nil {
		return ex.c.wrap(err)
	}
	for _, w := range ex.plan.Warnings {
		logrus.Warn(ex.c.wrap(errors.New(w)))
	}
	if filter != nil && filter.Listener {
		if o.WaitFifo != "" && o.IO.Detach {
			return ex.c.wrap(errors.New("--exec-wait-fifo with --detach: nobody would be there to hand the seccomp listener over"))
		}
		if ex.agent, err = dialAgent(ex.spec.Linux.Seccomp); err != nil {
			return ex.c.wrap(err)
		}
	}
	ex.peers, err = o.IO.dial()
	return err
}

// run starts the process; on failure nothing of it is left.
func (ex *execution) run() (*Process, error) {
	settle(ex.opts.Settled)
	process, err := ex.carryOut()
	if err != nil {
		return nil, ex.undo.unwind(ex.blame(err))
	}
	ex.undo.release()
	return process, nil
}

// blame says it where a failure is due to an interruption, or to the end of the container.
func (ex *execution) blame(err error) error {
	if cause := context.Cause(ex.context()); cause != nil && !errors.Is(err, cause) {
		return ex.c.wrap(fmt.Errorf("%w: %w", cause, err))
	}
	gone, werr := nsexec.WaitPidFD(ex.init, 0)
	if werr != nil || !gone {
		return ex.c.wrap(err)
	}
	return fmt.Errorf("%w: %w", errExecStopped, err)
}

func (ex *execution) carryOut() (*Process, error) {
	cg, err := ex.c.cgroup()
	if err != nil {
		return nil, err
	}
	var files []*os.File
	var cleanup func()
	err = ex.c.act(act.OpenStdio, func() (err error) {
		files, cleanup, err = ex.opts.IO.files(ex.process.Terminal)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer cleanup()
	var target *cgroupjoin.Target
	err = ex.c.act(act.FindCgroup, func() (err error) {
		target, err = cg.ExecTarget(ex.c.rec.Init.Pid, ex.opts.SubCgroups)
		if err == nil && ex.c.rec.Annotations[strictPids] == "strict" {
			target.CountByAdmit()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	ex.launch, err = startLaunch(nsexec.Options{
		Files: files, Timeout: timeoutOr(ex.opts.Timeout),
		Transcript: ex.opts.Transcript, Protocol: handshake.ExecProtocol,
	}, ex.mix(), cg)
	if err != nil {
		return nil, err
	}
	ex.undo.add(ex.launch.kill)
	ex.launch.opened = ex.initLives
	if err := ex.launch.spawn(target); err != nil {
		return nil, err
	}
	if err := ex.launch.ready(); err != nil {
		return nil, err
	}
	ex.interruptible = killWith(ex.context(), ex.launch.process())
	if err := ex.enter(target); err != nil {
		return nil, err
	}
	if err := ex.launch.join(target); err != nil {
		return nil, err
	}
	if err := ex.c.act(act.Announce, ex.announce); err != nil {
		return nil, err
	}
	if err := ex.sendPlan(); err != nil {
		return nil, err
	}
	if err := ex.converse(); err != nil {
		return nil, ex.launch.explain(err)
	}
	if err := ex.launch.child.Close(); err != nil {
		return nil, err
	}
	return ex.launch.process(), nil
}

// sendPlan lets the stage do its work. From here on the process may be the program at any moment,
// so that a signal is not to end the exec any more, but is for the process.
func (ex *execution) sendPlan() error {
	if ex.aim != nil {
		ex.aim(ex.launch.process())
	}
	if err := ex.interruptible(); err != nil {
		return err
	}
	pid := ex.launch.child.Pid
	if err := ex.c.act(act.Rlimits, func() error { return setRlimits(pid, ex.plan.Rlimits) }); err != nil {
		return err
	}
	return ex.launch.sendPlan(ex.plan, nil)
}

// enter does from outside what the new process cannot do for itself.
func (ex *execution) enter(target *cgroupjoin.Target) error {
	pid := ex.launch.child.Pid
	err := ex.c.act(act.OOMScore, func() error { return writeOOMScoreAdj(pid, ex.plan) })
	if err != nil {
		return err
	}
	err = ex.c.act(act.Affinity, func() error { return setAffinity(pid, ex.plan.InitialAffinity) })
	if err != nil {
		return err
	}
	return ex.c.act(act.Admit, func() error { return ex.admit(target) })
}

// strictPids is the annotation of a container whose execs are refused at its pids limit. Without it
// an exec is admitted, if need be over the limit: a health check or a shell to look for the leak
// must get in just then.
const strictPids = "org.runack.exec.pids"

// initLives refuses what was opened by the pid of an init that has ended: the pid may be another's.
func (ex *execution) initLives() error {
	gone, err := nsexec.WaitPidFD(ex.init, 0)
	if gone {
		return errExecStopped
	}
	return err
}

// admit puts the process into the container's resctrl group, and sees to it that a strict container
// has room for it.
func (ex *execution) admit(target *cgroupjoin.Target) error {
	pid := ex.launch.child.Pid
	rdt, err := ex.c.rdt()
	if err != nil {
		return err
	}
	if rdt != nil {
		if err := rdt.Join(pid); err != nil {
			return err
		}
	}
	switch mode := ex.c.rec.Annotations[strictPids]; mode {
	case "":
		return nil
	case "strict":
		if err := target.Admit(ex.c.dir.path, pid); err != nil {
			return fmt.Errorf("exec: %w", err)
		}
		return nil
	default:
		return fmt.Errorf("exec: annotation %s: %q: the only value is \"strict\"", strictPids, mode)
	}
}

// announce tells about the process before its program runs, so that a supervisor knows the pid in
// time however short the program is.
func (ex *execution) announce() error {
	if ex.opts.IO.PidFile != "" {
		ex.undo.add(func() error {
			if err := os.Remove(ex.opts.IO.PidFile); !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		})
	}
	return ex.opts.IO.announce(ex.peers, ex.launch.process())
}

// converse answers the stage until the kernel runs the program.
func (ex *execution) converse() error {
	for {
		f, err := ex.launch.child.Next()
		if err != nil {
			return err
		}
		switch f.Type {
		case handshake.Console:
			err := ex.c.act(act.Terminal, func() error { return deliverConsole(f, &ex.opts.IO, ex.peers) })
			if err != nil {
				return err
			}
		case handshake.Holding:
			if ex.opts.IO.Detach {
				return nil
			}
			ex.launch.child.WaitWithoutLimit()
		case handshake.Executing:
			f.CloseFDs()
			child := ex.launch.child
			err := ex.c.handOver(ex.agent, child.Listener, child.Pid, specs.StateRunning, timeoutOr(ex.opts.Timeout))
			if err != nil {
				return err
			}
			return ex.c.act(act.Execve, child.Finish)
		default:
			f.CloseFDs()
			return fmt.Errorf("runtime: message %s: nobody expects it here", f.Type)
		}
	}
}
