package shim

import (
	"context"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowKill is an engine that does something between sending a signal and answering.
type slowKill struct {
	*plain
	sent func()
}

func (e slowKill) kill(c containerState, sig unix.Signal, all bool) error {
	err := e.plain.kill(c, sig, all)
	e.sent()
	return err
}

// Where the signal of a Kill has ended init, the exit is told only when the Kill has been answered.
func TestKillIsAnsweredBeforeTheExitIsTold(t *testing.T) {
	engine := slowKill{plain: newPlain(t)}
	o := newOracle()
	var s *Service
	const id = "c"
	engine.sent = func() {
		var ready bool
		var now state
		for late := time.Now().Add(10 * time.Second); !ready && time.Now().Before(late); runtime.Gosched() {
			s.loop.do(func() {
				p := s.loop.tasks[id].init
				ready, now = p.ready, p.state
			})
		}
		if now != burying {
			t.Errorf("init, killed by a call that has not been answered, is %v", now)
		}
	}
	s, err := newService("kill", newPublisher("kill", o.send), &engine)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.create(ctx, &createRequest{state: containerState{ID: id, Bundle: t.TempDir()}}, streams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.startInit(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := s.kill(id, "", unix.SIGKILL, false); err != nil {
		t.Fatal(err)
	}
	if exit, err := s.wait(ctx, id, ""); err != nil || exit.status != 137 {
		t.Errorf("it ended with %v, %v", exit, err)
	}
	if _, _, err := s.remove(ctx, id, ""); err != nil {
		t.Error(err)
	}
	if _, err := o.await(id); err != nil {
		t.Error(err)
	}
}
