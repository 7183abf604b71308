package shim

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/containerd/containerd/api/events"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	"runack/container"
	"runack/reaper"
)

// create makes a container, up to the point where its program would run.
func (s *Service) create(ctx context.Context, r *createRequest, streams streams) (pid int, err error) {
	p, err := s.reserve(r, streams)
	if err != nil {
		return 0, err
	}
	// While this is open no zombie that could be the new init is taken for an orphan.
	guard := s.reaper.Starting("init of " + r.state.ID)
	defer guard.Failed()
	io, made, err := s.make(ctx, r, streams)
	if err != nil {
		s.loop.do(func() { s.loop.advance(p, evCreateFailed) })
		return 0, err
	}
	defer made.close()
	s.adopt(p, made)
	s.loop.do(func() {
		p.io = io
		p.pid, p.task.oomKills = made.pid, p.task.oom.kills()
		s.loop.advance(p, evCreated)
		s.loop.tellCreate(p, made.pidfd, r.rootfs)
	})
	return made.pid, nil
}

// reserve takes the ID, before anything is made.
func (s *Service) reserve(r *createRequest, streams streams) (*process, error) {
	t := &task{id: r.state.ID, state: r.state, opts: r.opts, execs: map[string]*process{}}
	t.init = &process{task: t, kind: initProcess, req: streams, done: make(chan struct{}), state: creating}
	return t.init, s.loop.try(func() error {
		if s.loop.tasks[t.id] != nil {
			return refuse(errExists, "container %s: task exists already", t.id)
		}
		s.loop.tasks[t.id] = t
		return nil
	})
}

// make opens the streams and makes the container. On failure nothing is left.
func (s *Service) make(ctx context.Context, r *createRequest, streams streams) (*stdio, *madeInit, error) {
	io, err := openStdio(ctx, streams, s.stdioOptions(r.state.ID, &r.opts))
	if err != nil {
		return nil, nil, err
	}
	r.io = io.forProcess()
	made, err := s.engine.create(ctx, r)
	io.started()
	if err != nil {
		io.close()
		return nil, nil, err
	}
	return io, made, nil
}

func (s *Service) stdioOptions(id string, o *Options) stdioOptions {
	return stdioOptions{
		namespace: s.namespace, id: id, uid: int(o.IoUid), gid: int(o.IoGid), logBinaries: o.LogBinaries,
	}
}

// adopt sets up who keeps the order of a new container's exits, and who watches its memory.
func (s *Service) adopt(p *process, made *madeInit) {
	t := p.task
	t.shared = made.sharedPIDs
	if made.cgroup != nil {
		var err error
		t.oom, err = watchOOM(made.cgroup, func(n uint64) {
			s.loop.do(func() { t.sawOOMKills(s.loop, n) })
		})
		if err != nil {
			warn(t.id, "OOM kills of its children are not reported: %v", err)
			t.oom = &oomWatcher{cg: made.cgroup}
		}
	}
	t.group = s.reaper.Container(t.id, reaper.GroupOptions{
		SharedPIDs: t.shared, Held: s.held(t), OOMKills: t.oom.kills,
	})
}

// startInit lets a created container's program run.
func (s *Service) startInit(ctx context.Context, id string) (pid int, err error) {
	var p *process
	err = s.loop.try(func() error {
		if p, err = s.loop.find(id, ""); err != nil {
			return err
		}
		pid = p.pid
		return p.claim(evStart)
	})
	if err != nil {
		return 0, err
	}
	// Of a zombie the runtime can tell whether the program was ever executed.
	letGo := p.start.Keep()
	err = s.engine.start(ctx, p.task.state)
	letGo()
	s.loop.do(func() { s.loop.advance(p, outcome(err)) })
	return pid, err
}

func outcome(err error) event {
	if err != nil {
		return evStartFailed
	}
	return evStarted
}

// addExec takes an exec's request down.
func (s *Service) addExec(id, execID string, spec []byte, streams streams) error {
	return s.loop.try(func() error {
		init, err := s.loop.find(id, "")
		if err != nil {
			return err
		}
		t := init.task
		switch {
		case execID == "":
			return refuse(errInvalid, "container %s: exec without an ID", id)
		case t.execs[execID] != nil:
			return refuse(errExists, "container %s: exec %s exists already", id, execID)
		case init.state != running && init.state != created:
			return refuse(errPrecond, "container %s: cannot exec: init is %s", id, init.state)
		}
		t.execs[execID] = &process{
			task: t, kind: execProcess, id: execID, spec: spec, req: streams,
			done: make(chan struct{}), state: created,
		}
		s.loop.publish(topicExecAdded, &events.TaskExecAdded{ContainerID: id, ExecID: execID})
		return nil
	})
}

// startExec starts an exec. From the claim until it has started or failed the exit of init waits for
// it, and the end of init ends it.
func (s *Service) startExec(ctx context.Context, id, execID string) (pid int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p, err := s.claimExec(id, execID, cancel)
	if err != nil {
		return 0, err
	}
	started, err := s.launch(ctx, p)
	s.loop.do(func() {
		p.spec = nil
		if started != nil {
			pid = started.Pid
			p.pid, p.pidfd = started.Pid, started.PidFD
		}
		s.loop.advance(p, outcome(err))
		// Where there is a process the reaper has it by now.
		p.start.Failed()
	})
	return pid, err
}

// claimExec announces an exec to the reaper, unless init has ended.
func (s *Service) claimExec(id, execID string, cancel context.CancelCauseFunc) (*process, error) {
	var p *process
	return p, s.loop.try(func() error {
		found, err := s.loop.find(id, execID)
		if err != nil {
			return err
		}
		p = found
		start, err := p.task.group.Starting(execID)
		if err != nil {
			return refuse(errPrecond, "container %s: exec %s: %v", id, execID, err)
		}
		if err := p.claim(evStart); err != nil {
			start.Failed()
			return err
		}
		p.start, p.stop = start, func() { cancel(reaper.ErrInitExited) }
		return nil
	})
}

// launch runs an exec's program.
func (s *Service) launch(ctx context.Context, p *process) (*container.Process, error) {
	t := p.task
	io, err := openStdio(ctx, p.req, s.stdioOptions(t.id, &t.opts))
	if err != nil {
		return nil, err
	}
	r := &execRequest{spec: p.spec, terminal: p.req.terminal, io: io.forProcess()}
	s.loop.do(func() {
		p.io = io // from here on resize goes there
		io.size, r.size = p.size, p.size
	})
	started, err := s.engine.exec(ctx, t.state, r)
	io.started()
	if err != nil {
		io.close()
		return nil, err
	}
	return started, nil
}

// createdKillLimit bounds the wait for the end of a container that is deleted without ever having
// been started.
const createdKillLimit = 10 * time.Second

// remove deletes a process that has ended, and with an init its execs and the container.
func (s *Service) remove(ctx context.Context, id, execID string) (pid int, exit exitInfo, err error) {
	p, err := s.find(id, execID)
	if err != nil {
		return 0, exit, err
	}
	if p.kind == initProcess {
		if err := s.endCreated(ctx, p); err != nil {
			return 0, exit, err
		}
	}
	if err := s.loop.try(func() error { return p.claim(evDelete) }); err != nil {
		return 0, exit, err
	}
	if p.io != nil {
		p.io.end()
	}
	if p.kind == initProcess {
		s.removeExecs(ctx, p.task)
		err = s.engine.remove(p.task.state)
	}
	s.loop.do(func() {
		pid, exit = p.pid, p.exit
		if err != nil {
			s.loop.advance(p, evDeleteFailed)
			return
		}
		s.loop.advance(p, evDeleted)
		if p.kind == initProcess {
			s.loop.publish(topicDelete, &events.TaskDelete{
				ContainerID: id, Pid: uint32(pid), ExitStatus: exit.status, ExitedAt: timestamppb.New(exit.at),
			})
		}
	})
	return pid, exit, err
}

// removeExecs removes what a client has not: nobody will be able to ask for it any more, but somebody
// may still read its output.
func (s *Service) removeExecs(ctx context.Context, t *task) {
	var left []string
	s.loop.do(func() { left = slices.Collect(maps.Keys(t.execs)) })
	for _, execID := range left {
		if _, _, err := s.remove(ctx, t.id, execID); err != nil && codeOf(err) != errNotFound {
			warn(t.id, "exec %s is left behind: %v", execID, err)
		}
	}
}

// endCreated kills an init that has not been started, since only what has ended can be removed.
func (s *Service) endCreated(ctx context.Context, p *process) error {
	waiting := false
	s.loop.do(func() { waiting = p.state == created })
	if !waiting {
		return nil
	}
	if err := s.engine.kill(p.task.state, unix.SIGKILL, false); err != nil && codeOf(err) != errNotFound {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, createdKillLimit)
	defer cancel()
	return await(ctx, p)
}
