package shim

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"runack/reaper"
)

// A loop is the goroutine that owns all tasks. Fields of task and process that say so are touched
// by functions that run on it, and by no others.
type loop struct {
	inbox   chan func()
	stopped chan struct{}

	tasks   map[string]*task // the loop's alone, by container ID
	sandbox *sandbox         // the loop's alone; nil where containerd has made none

	// publish appends an event to the stream. Called on the loop, so it must not wait.
	publish func(topic string, event proto.Message)
	// prepareBurial does what must precede the news of an init's exit. Called off the loop.
	prepareBurial func(t *task, pid int, exit exitInfo)
	// killRemaining kills what is in a task's cgroup. Called off the loop.
	killRemaining func(t *task)
}

func newLoop(publish func(string, proto.Message), prepareBurial func(*task, int, exitInfo), killRemaining func(*task)) *loop {
	l := &loop{
		inbox: make(chan func()), stopped: make(chan struct{}),
		tasks: map[string]*task{}, publish: publish, prepareBurial: prepareBurial, killRemaining: killRemaining,
	}
	go l.run()
	return l
}

func (l *loop) run() {
	for {
		select {
		case f := <-l.inbox:
			f()
		case <-l.stopped:
			return
		}
	}
}

// do runs f on the loop and waits until it has run. Once the loop has been closed f does not run.
func (l *loop) do(f func()) {
	done := make(chan struct{})
	select {
	case l.inbox <- func() { f(); close(done) }:
		<-done
	case <-l.stopped:
	}
}

// try is do for what can be refused.
func (l *loop) try(f func() error) error {
	err := errClosed
	l.do(func() { err = f() })
	return err
}

var errClosed = errors.New("the shim is shutting down")

// close ends the loop. It must not be called on it.
func (l *loop) close() { close(l.stopped) }

// follow passes the reaper's stream on to the loop until the subscription or the loop ends.
func (l *loop) follow(sub *reaper.Subscription) {
	for {
		e, err := sub.Next(context.Background())
		if err != nil {
			return
		}
		l.do(func() { l.exited(e) })
	}
}

// exited finds whose exit it is. The reaper's group is one task, its names are exec IDs.
func (l *loop) exited(e reaper.Exit) {
	if e.Group == nil {
		return // a loose process or an orphan: nobody's
	}
	t := l.tasks[e.Group.ID()]
	if t == nil || t.group != e.Group {
		// An exec that outlived the hold of its init, and then the task.
		warn(e.Group.ID(), "after its removal: %s", e)
		return
	}
	p := t.init
	if e.Kind == reaper.Exec {
		p = t.execs[e.Name]
	}
	if p == nil {
		warn(t.id, "after its removal: %s", e)
		return
	}
	t.sawOOMKills(l, e.OOMKills)
	p.exit = exitInfo{status: uint32(e.Code()), at: e.Time}
	if len(e.Overtook) > 0 {
		warn(t.id, "init's exit was told although processes remain: %v", e.Overtook)
	}
	l.advance(p, evExit)
}

// exitInfo is what containerd is told about an end.
type exitInfo struct {
	status uint32
	at     time.Time
}

// exitUnknown stands for a status that nobody can know.
const exitUnknown = 255
