package reaper

import (
	"errors"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// wakeEvent marks the eventfd among the events; no process has this number.
const wakeEvent = -1

// loop is the one goroutine that reaps. It ends when the Reaper is closed.
func (r *Reaper) loop(forwarded <-chan struct{}) {
	defer close(r.stopped)
	defer r.letGo(forwarded)
	var events [256]unix.EpollEvent
	for {
		n := r.wait(events[:])
		for _, ev := range events[:n] {
			if ev.Fd == wakeEvent {
				r.drain()
				continue
			}
			if w := r.lookup(int(ev.Fd), uint32(ev.Pad)); w != nil {
				r.reap(w)
			}
		}
		if !r.expireHolds(time.Now()) {
			return
		}
		if r.orphans.due(r.scanWanted.Load(), time.Now()) {
			r.scan()
		}
	}
}

// wait returns the number of events, 0 if something is due by time.
func (r *Reaper) wait(events []unix.EpollEvent) int {
	var n int
	harvest := func(fd uintptr) bool {
		got, err := unix.EpollWait(int(fd), events, 0)
		n = max(got, 0)
		return n > 0 || err == unix.EINTR
	}
	due := r.nextDue()
	if !due.IsZero() && !due.After(time.Now()) {
		harvest(uintptr(r.epfd))
		return n
	}
	// A deadline that has passed makes Read fail before it looks, so it is set anew each time.
	_ = r.epoll.SetReadDeadline(due)
	if err := r.poll.Read(harvest); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		// Only a closed file gets here, and only the loop closes it.
		panic("reaper: epoll: " + err.Error())
	}
	return n
}

// nextDue is when the loop must run without an event; zero: never.
func (r *Reaper) nextDue() time.Time {
	due := r.orphans.nextDue(r.scanWanted.Load())
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := range r.held {
		if !g.deadline.IsZero() && (due.IsZero() || g.deadline.Before(due)) {
			due = g.deadline
		}
	}
	return due
}

func (r *Reaper) drain() {
	var count [8]byte
	_, _ = unix.Read(r.eventfd, count[:])
}

// lookup finds the watch that an event is about. gen keeps a late event of an earlier holder of the
// number away from its successor.
func (r *Reaper) lookup(pid int, gen uint32) *watch {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.watches[pid]; w != nil && w.gen == gen {
		return w
	}
	return nil
}

// reap takes one dead process and tells its exit.
func (r *Reaper) reap(w *watch) {
	r.mu.Lock()
	if w.kept > 0 {
		r.unreaped[w] = struct{}{}
		r.mu.Unlock()
		return
	}
	e, ok := r.collect(w)
	r.mu.Unlock()
	if !ok {
		return
	}
	if g := e.Group; g != nil && g.opts.OOMKills != nil {
		e.OOMKills = g.opts.OOMKills()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.start.exited(e)
}

// collect reaps and takes the watch out of the registry in one go under r.mu: the number is free
// for a new process the moment waitid returns, and that process may be registered at once. False:
// not dead, or a tracer still has it.
func (r *Reaper) collect(w *watch) (Exit, bool) {
	var usage unix.Rusage
	info, err := waitid(unix.P_PIDFD, w.fd, 0, &usage)
	if err == nil && info.pid == 0 {
		r.unreaped[w] = struct{}{}
		return Exit{}, false
	}
	s := w.start
	e := Exit{Group: s.group, Kind: s.kind, Name: s.name, Pid: w.pid, Time: time.Now()}
	if err == nil {
		e.Status, e.Usage = info.waitStatus(), usageOf(&usage)
	} else if status, ok := exitInfo(w.fd); ok {
		e.Status = status // somebody reaped it, but the kernel remembers
	} else {
		e.Err = err
	}
	r.unwatch(w)
	return e, true
}

// unwatch forgets a process. Closing our duplicate would not take it out of epoll as long as the
// caller's descriptor keeps the same open file alive. Caller holds r.mu.
func (r *Reaper) unwatch(w *watch) {
	_ = unix.EpollCtl(r.epfd, unix.EPOLL_CTL_DEL, w.fd, nil)
	_ = unix.Close(w.fd)
	delete(r.watches, w.pid)
	delete(r.unreaped, w)
}

// vacate says whether pid is free in the registry. If its holder was reaped behind our back and
// the number has a new process already, the holder's exit is told first. Caller holds r.mu.
func (r *Reaper) vacate(pid int) bool {
	old := r.watches[pid]
	if old == nil {
		return true
	}
	if _, err := pidOf(old.fd); !errors.Is(err, unix.ESRCH) {
		return false
	}
	if e, ok := r.collect(old); ok {
		old.start.exited(e)
	}
	return true
}

// expireHolds tells held inits whose limit has come. False: the Reaper is closed.
func (r *Reaper) expireHolds(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for g := range r.held {
		if !g.deadline.IsZero() && !now.Before(g.deadline) {
			g.release()
		}
	}
	return !r.closed
}

// letGo gives back what the loop holds.
func (r *Reaper) letGo(forwarded <-chan struct{}) {
	signal.Stop(r.signals)
	close(r.signals)
	<-forwarded
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.watches {
		r.unwatch(w)
	}
	for _, c := range r.orphans.candidates {
		r.orphans.drop(c)
	}
	r.pinned = 0
	_ = r.closePoll()
}
