package shim

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/containerd/containerd/api/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/container"
)

// kill sends a signal to a process; with all, to all of a container's.
func (s *Service) kill(id, execID string, sig unix.Signal, all bool) error {
	p, err := s.find(id, execID)
	if err != nil {
		return err
	}
	if p.kind == execProcess {
		return s.loop.try(func() error { return p.signal(sig) })
	}
	s.loop.do(func() { p.kills++ })
	err = s.engine.kill(p.task.state, sig, all)
	s.loop.do(func() { p.kills--; s.loop.endBurial(p) })
	if errors.Is(err, container.ErrNotRunning) || errors.Is(err, container.ErrNotExist) {
		return refuse(errNotFound, "container %s: process already finished: %v", id, err)
	}
	return err
}

// signal reaches an exec by its pidfd, which is valid until the reaper has told the exit. Runs on the
// loop: sending a signal does not block.
func (p *process) signal(sig unix.Signal) error {
	switch {
	case p.state == created || p.state == starting:
		return refuse(errPrecond, "%s: not started yet", p.name())
	case p.pidfd == nil:
		return refuse(errNotFound, "%s: process already finished", p.name())
	}
	err := unix.PidfdSendSignal(int(p.pidfd.Fd()), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return refuse(errNotFound, "%s: process already finished", p.name())
	}
	return err
}

// pause freezes a running container.
func (s *Service) pause(id string) error {
	return s.refreeze(id, thawed, pausing, func(p *process) error {
		err := p.task.state.with((*container.Container).Pause)
		s.loop.do(func() { s.froze(p, err) })
		return err
	})
}

// froze ends what pause began. A container that has ended meanwhile is not told to be paused. Runs
// on the loop.
func (s *Service) froze(p *process, err error) {
	switch {
	case p.task.freeze != pausing:
	case err != nil:
		p.task.freeze = thawed
	default:
		p.task.freeze = paused
		s.loop.publish(topicPaused, &events.TaskPaused{ContainerID: p.task.id})
	}
}

// resume thaws a paused container.
func (s *Service) resume(id string) error {
	return s.refreeze(id, paused, paused, func(p *process) error {
		err := p.task.state.with((*container.Container).Resume)
		s.loop.do(func() {
			if err == nil && p.task.freeze == paused {
				p.task.freeze = thawed
				s.loop.publish(topicResumed, &events.TaskResumed{ContainerID: id})
			}
		})
		return err
	})
}

// refreeze claims a change of a running container from one state of freezing to another.
func (s *Service) refreeze(id string, from, to freeze, act func(*process) error) error {
	var p *process
	err := s.loop.try(func() (err error) {
		if p, err = s.loop.find(id, ""); err != nil {
			return err
		}
		if p.state != running || p.task.freeze != from {
			return refuse(errPrecond, "container %s: not in a state for this: %s", id, p.status())
		}
		p.task.freeze = to
		return nil
	})
	if err != nil {
		return err
	}
	return act(p)
}

// with runs an operation of a container's that needs nothing but the container.
func (c containerState) with(op func(*container.Container) error) error {
	handle, err := c.load()
	if err != nil {
		return err
	}
	defer handle.Close()
	return op(handle)
}

// update changes limits; resources is the OCI form as JSON.
func (s *Service) update(id string, resources []byte) error {
	p, err := s.find(id, "")
	if err != nil {
		return err
	}
	var r specs.LinuxResources
	if err := json.Unmarshal(resources, &r); err != nil {
		return refuse(errInvalid, "container %s: update: resources: %v", id, err)
	}
	return p.task.state.with(func(c *container.Container) error {
		return c.Update(container.Update{Resources: &r})
	})
}

// pids gives the container's processes, and for those that are execs their IDs.
func (s *Service) pids(id string) ([]int, map[int]string, error) {
	p, err := s.find(id, "")
	if err != nil {
		return nil, nil, err
	}
	var pids []int
	err = p.task.state.with(func(c *container.Container) (err error) {
		pids, err = c.Processes()
		return err
	})
	execs := map[int]string{}
	s.loop.do(func() {
		for _, e := range p.task.execs {
			if e.state == running {
				execs[e.pid] = e.id
			}
		}
	})
	return pids, execs, err
}

// resize sets the size of a process's terminal.
func (s *Service) resize(id, execID string, width, height uint32) error {
	p, err := s.find(id, execID)
	if err != nil {
		return err
	}
	if width > maxSize || height > maxSize {
		return refuse(errInvalid, "resize to %d columns, %d rows: more than %d", width, height, maxSize)
	}
	if !p.req.terminal {
		return refuse(errInvalid, "%s: it has no terminal", p.name())
	}
	size := &unix.Winsize{Col: uint16(width), Row: uint16(height)}
	var io *stdio
	s.loop.do(func() {
		if io = p.io; io == nil {
			p.size = size
		}
	})
	if io == nil {
		return nil
	}
	return io.resize(size)
}

// maxSize is what a terminal can have (struct winsize).
const maxSize = 1<<16 - 1

// closeIO lets the end of a client's input through.
func (s *Service) closeIO(id, execID string) error {
	p, err := s.find(id, execID)
	if err != nil {
		return err
	}
	var io *stdio
	s.loop.do(func() { io = p.io })
	if io != nil {
		io.closeStdin()
	}
	return nil
}

// wait waits for the news of a process's end.
func (s *Service) wait(ctx context.Context, id, execID string) (exitInfo, error) {
	p, err := s.find(id, execID)
	if err != nil {
		return exitInfo{}, err
	}
	if err := await(ctx, p); err != nil {
		return exitInfo{}, err
	}
	var exit exitInfo
	s.loop.do(func() { exit = p.exit })
	return exit, nil
}
