package shim

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"runack/reaper"
)

// A Service is the shim behind its API: the loop, the reaper, and what can block. All methods may be
// called at the same time.
type Service struct {
	namespace string
	loop      *loop
	reaper    *reaper.Reaper
	engine    engine
	events    *publisher

	shutdownOnce sync.Once
	down         chan struct{} // closed by Shutdown
	touched      chan struct{} // has room for one: a call has been made
}

// flushTimeout bounds the wait for containerd when the shim ends.
const flushTimeout = 5 * time.Second

func newService(namespace string, events *publisher, e engine) (*Service, error) {
	// Orphans of containers without a PID namespace of their own come to the shim.
	r, err := reaper.New(reaper.Options{Subreaper: true})
	if err != nil {
		return nil, err
	}
	s := &Service{namespace: namespace, reaper: r, engine: e, events: events, down: make(chan struct{}), touched: make(chan struct{}, 1)}
	s.loop = newLoop(func(topic string, event proto.Message) { events.publish(topic, event) }, s.prepareBurial, s.killRemaining)
	go s.loop.follow(r.Subscribe())
	return s, nil
}

// close ends the service: what is left to tell is told, containers go on.
func (s *Service) close() {
	s.events.close(flushTimeout)
	s.loop.close()
	_ = s.reaper.Close()
}

// shutdown asks the process to end.
func (s *Service) shutdown() { s.shutdownOnce.Do(func() { close(s.down) }) }

// find gives a process of a task. An empty execID is the init. Errors carry NotFound.
func (s *Service) find(id, execID string) (*process, error) {
	var p *process
	err := s.loop.try(func() error {
		var err error
		p, err = s.loop.find(id, execID)
		return err
	})
	return p, err
}

// find runs on the loop.
func (l *loop) find(id, execID string) (*process, error) {
	t := l.tasks[id]
	if t == nil || t.init.state == creating {
		return nil, refuse(errNotFound, "container %s: no such task", id)
	}
	if execID == "" {
		return t.init, nil
	}
	p := t.execs[execID]
	if p == nil {
		return nil, refuse(errNotFound, "container %s: exec %s: no such process", id, execID)
	}
	return p, nil
}

// prepareBurial does what must precede the news of an init's exit: where the PID namespace is shared
// the container's other processes end first, and the end is written down for a `delete` that comes
// after the shim's own.
func (s *Service) prepareBurial(t *task, pid int, exit exitInfo) {
	if t.shared {
		s.killRemaining(t)
	}
	if err := recordExit(t.state.Bundle, pid, exit); err != nil {
		warn(t.id, "record of its exit: %v", err)
	}
}

// killRemaining kills everything in a task's cgroup.
func (s *Service) killRemaining(t *task) {
	if err := s.engine.kill(t.state, unix.SIGKILL, true); err != nil && codeOf(err) != errNotFound {
		warn(t.id, "kill what its init has left behind: %v", err)
	}
}

// held is called by the reaper when init has ended and execs have not.
func (s *Service) held(t *task) func(reaper.Hold) {
	return func(h reaper.Hold) {
		s.loop.do(t.end)
		if t.shared {
			warn(t.id, "%s", h)
			s.killRemaining(t)
		}
	}
}

// await waits for the end of a process.
func await(ctx context.Context, p *process) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
