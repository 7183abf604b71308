package shim

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	"runack/reaper"
)

// The topics of containerd's events.
const (
	topicCreate      = "/tasks/create"
	topicStart       = "/tasks/start"
	topicOOM         = "/tasks/oom"
	topicExit        = "/tasks/exit"
	topicDelete      = "/tasks/delete"
	topicExecAdded   = "/tasks/exec-added"
	topicExecStarted = "/tasks/exec-started"
	topicPaused      = "/tasks/paused"
	topicResumed     = "/tasks/resumed"
)

// A task is a container as containerd sees it: an init and its execs.
type task struct {
	id    string
	state containerState
	opts  Options
	init  *process

	// Set once init has been made, before the message that says so; until then nobody finds the task.
	group  *reaper.Group
	oom    *oomWatcher // nil where nothing counts OOM kills
	shared bool        // init's end does not end the others: the PID namespace is not its own

	// The loop's alone.
	execs    map[string]*process
	oomKills uint64 // told so far
	freeze   freeze
	ending   bool // init has ended, and its exit is held for execs
}

// freeze is what pause and resume have made of a running task.
type freeze uint8

const (
	thawed freeze = iota
	pausing
	paused
)

// A process is an init or an exec.
type process struct {
	task *task
	kind kind
	id   string // exec ID; empty for init
	req  streams
	spec []byte // exec: the OCI process, as JSON

	done chan struct{} // closed when the exit has been told, or there will be none to tell

	// The loop's alone.
	state   state
	pid     int
	exit    exitInfo
	io      *stdio        // nil until there is a process
	size    *unix.Winsize // of the terminal, asked for before there was io
	start   *reaper.Start
	pidfd   *os.File           // exec: owned while it runs
	stop    context.CancelFunc // exec: while it is starting
	settled bool               // done is closed
	kills   int                // init: calls of Kill under way
	ready   bool               // init: what must be done before its exit may be told has been done
}

// tag is the ID by which containerd's TaskExit calls a process.
func (p *process) tag() string {
	if p.kind == initProcess {
		return p.task.id
	}
	return p.id
}

// advance moves a process by an event that cannot be refused, and does what belongs to it. Runs on
// the loop.
func (l *loop) advance(p *process, e event) {
	if err := p.claim(e); err != nil {
		defect(p.name(), err.Error())
		return
	}
	switch e {
	case evStarted:
		l.tellStart(p)
	case evCreateFailed, evDeleted:
		l.forget(p)
	case evStartFailed:
		p.fail()
	case evBuried:
		l.tellExit(p)
	case evExit:
		if p.state == stopped {
			l.tellExit(p)
		}
	case evCreated, evStart, evDelete, evDeleteFailed: // nothing but the new state
	}
	if p.state == burying && e != evBuried {
		l.bury(p)
	}
}

// claim moves a process by an event that somebody asks for. Errors: *refusal. Runs on the loop.
func (p *process) claim(e event) error {
	to, err := next(p.kind, p.state, e)
	if err != nil {
		return err
	}
	p.state = to
	return nil
}

func (p *process) name() string {
	if p.kind == initProcess {
		return "container " + p.task.id
	}
	return fmt.Sprintf("container %s: exec %s", p.task.id, p.id)
}

// watch hands a process to the reaper, which tells its exit from here on.
func (p *process) watch(pidfd *os.File) {
	if err := p.start.Started(int(pidfd.Fd()), p.pid); err != nil {
		defect(p.name(), err.Error())
	}
}

// tellCreate appends the creation and hands init to the reaper: in this order, so that nothing of
// init comes before its creation.
func (l *loop) tellCreate(p *process, pidfd *os.File, rootfs []*types.Mount) {
	t := p.task
	l.publish(topicCreate, &events.TaskCreate{
		ContainerID: t.id, Bundle: t.state.Bundle, Rootfs: rootfs, Pid: uint32(p.pid),
		IO: &events.TaskIO{Stdin: p.req.stdin, Stdout: p.req.stdout, Stderr: p.req.stderr, Terminal: p.req.terminal},
	})
	p.start = t.group.StartingInit()
	p.watch(pidfd)
}

// tellStart appends the start; an exec goes to the reaper only now.
func (l *loop) tellStart(p *process) {
	if p.kind == initProcess {
		l.publish(topicStart, &events.TaskStart{ContainerID: p.task.id, Pid: uint32(p.pid)})
		return
	}
	p.stop = nil
	l.publish(topicExecStarted, &events.TaskExecStarted{ContainerID: p.task.id, ExecID: p.id, Pid: uint32(p.pid)})
	p.watch(p.pidfd)
	if p.task.ending && p.task.shared {
		// It came too late for what init's end has killed.
		go l.killRemaining(p.task)
	}
}

// tellExit appends the exit, and lets go those who wait for it.
func (l *loop) tellExit(p *process) {
	l.publish(topicExit, &events.TaskExit{
		ContainerID: p.task.id, ID: p.tag(), Pid: uint32(p.pid),
		ExitStatus: p.exit.status, ExitedAt: timestamppb.New(p.exit.at),
	})
	if p.kind == initProcess {
		p.task.freeze = thawed
		p.task.oom.close()
	}
	p.closePidfd()
	p.settle()
}

// settle lets go those who wait for the end.
func (p *process) settle() {
	if !p.settled {
		p.settled = true
		close(p.done)
	}
}

// fail is for an exec that never was: nobody has an exit to hear of.
func (p *process) fail() {
	if p.kind == execProcess {
		p.stop, p.exit = nil, exitInfo{status: exitUnknown, at: time.Now()}
		p.settle()
	}
}

func (p *process) closePidfd() {
	if p.pidfd != nil {
		_ = p.pidfd.Close()
		p.pidfd = nil
	}
}

// bury has done what must be done before init's exit may be told: away from the loop.
func (l *loop) bury(p *process) {
	t, exit, pid := p.task, p.exit, p.pid
	go func() {
		l.prepareBurial(t, pid, exit)
		l.do(func() { p.ready = true; l.endBurial(p) })
	}()
}

// endBurial tells init's exit once it may be told. A Kill is answered before: at the news containerd
// deletes the task and closes the connection that the answer would come by. Runs on the loop.
func (l *loop) endBurial(p *process) {
	if p.state == burying && p.ready && p.kills == 0 {
		l.advance(p, evBuried)
	}
}

// forget takes a process out of the books.
func (l *loop) forget(p *process) {
	p.settle()
	if p.kind == execProcess {
		delete(p.task.execs, p.id)
		return
	}
	p.task.oom.close()
	delete(l.tasks, p.task.id)
}

// sawOOMKills appends a TaskOOM if the count says that there was one that has not been told.
func (t *task) sawOOMKills(l *loop, count uint64) {
	if count <= t.oomKills || t.init.state == creating {
		return // told, or before anything else could be
	}
	t.oomKills = count
	l.publish(topicOOM, &events.TaskOOM{ContainerID: t.id})
}

// end notes that init has ended while execs have not, and ends those that are on their way: one whose
// client never opens its fifos would hold init's exit for ever. Runs on the loop.
func (t *task) end() {
	t.ending = true
	for _, p := range t.execs {
		if p.state == starting && p.stop != nil {
			p.stop()
		}
	}
}
