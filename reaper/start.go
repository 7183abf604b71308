package reaper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Start is a process from before its fork to its exit. Open one before forking and settle it with
// Started or Failed. While it is open, no zombie that could be its process is taken for an
// orphan, and, for an exec, the init's exit is not told.
type Start struct {
	r     *Reaper
	group *Group // nil: loose
	kind  Kind
	name  string
	seq   uint64 // order among the starts of the Reaper

	// Guarded by r.mu.
	settled bool
	watch   *watch        // set by Started
	exit    *Exit         // set when the exit was told
	done    chan struct{} // made by Wait if it comes first; closed by told
}

// watch is a process in the registry: from Started until it is reaped.
type watch struct {
	start *Start
	pid   int
	fd    int    // our own duplicate of the pidfd
	gen   uint32 // tells an epoll event of this watch from one of an earlier holder of the number
	kept  int    // calls of Keep that have not been taken back
}

// Starting announces a process outside of any group. name is for messages.
func (r *Reaper) Starting(name string) *Start {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starting(&Start{kind: Loose, name: name})
}

// StartingInit announces the init of a container.
func (g *Group) StartingInit() *Start {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	return g.r.starting(&Start{kind: Init, group: g})
}

// Starting announces an exec. Errors: ErrInitExited if the container's init has been reaped.
func (g *Group) Starting(name string) (*Start, error) {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	if g.init == initHeld || g.init == initTold {
		return nil, fmt.Errorf("container %s: exec %s: %w", g.id, name, ErrInitExited)
	}
	s := g.r.starting(&Start{kind: Exec, group: g, name: name})
	g.open = append(g.open, s)
	return s, nil
}

// Init registers an init that needs no announcement because it existed before: after a restart, or
// in tests. Arguments and errors are those of Started.
func (g *Group) Init(pidfd, pid int) (*Start, error) {
	s := g.StartingInit()
	if err := s.Started(pidfd, pid); err != nil {
		s.Failed()
		return nil, err
	}
	return s, nil
}

// starting numbers an announcement and keeps it among the open ones. Caller holds r.mu.
func (r *Reaper) starting(s *Start) *Start {
	r.startSeq++
	s.r, s.seq = r, r.startSeq
	r.open = append(r.open, s)
	return s
}

// settle ends the announcement. Caller holds r.mu.
func (s *Start) settle() {
	s.settled = true
	if i := slices.Index(s.r.open, s); i >= 0 {
		s.r.open = slices.Delete(s.r.open, i, i+1)
	}
	// Candidates may have waited for this one; a scan that is going on may be finding some.
	s.r.settledSince = true
	if s.r.pinned > 0 && !s.r.closed {
		s.r.scanWanted.Store(true)
		s.r.kick()
	}
}

// Started hands the process over to the loop, from where its exit is told. The pidfd stays the
// caller's (the Reaper duplicates it); pid is checked against it, 0 asks the kernel. Errors leave
// the announcement open: ESRCH if the process has been reaped already, EBADF if it is no pidfd.
func (s *Start) Started(pidfd, pid int) error {
	real, err := pidOf(pidfd)
	if err != nil {
		return fmt.Errorf("watch %s %s: %w", s.kind, s.name, err)
	}
	if pid != 0 && pid != real {
		return fmt.Errorf("watch %s %s: pidfd %d is of pid %d, not %d: %w", s.kind, s.name, pidfd, real, pid, unix.EINVAL)
	}
	fd, err := unix.FcntlInt(uintptr(pidfd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("watch %s %s: duplicate pidfd: %w", s.kind, s.name, err)
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if err := s.register(&watch{start: s, pid: real, fd: fd}); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("watch %s %s: %w", s.kind, s.name, err)
	}
	return nil
}

// register puts the watch into the registry and into epoll. A process that is dead already makes
// its pidfd readable at once, so nothing can come too late. Caller holds r.mu.
func (s *Start) register(w *watch) error {
	r := s.r
	switch {
	case r.closed:
		return ErrClosed
	case s.settled:
		return fmt.Errorf("settled before: %w", unix.EALREADY)
	case s.kind == Init && s.group.init != initUnknown:
		return fmt.Errorf("container %s has an init: %w", s.group.id, unix.EEXIST)
	case !r.vacate(w.pid):
		return fmt.Errorf("pid %d is watched already: %w", w.pid, unix.EEXIST)
	}
	r.gen++
	w.gen = r.gen
	// Edge-triggered: a traced zombie stays readable while its tracer has not let go, and must
	// not turn the loop into a spin.
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(w.pid), Pad: int32(w.gen)}
	if err := unix.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, w.fd, &ev); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	r.watches[w.pid] = w
	s.watch = w
	if s.kind == Init {
		s.group.init = initRunning
	}
	s.settle()
	return nil
}

// Keep leaves the process, once it is dead, unreaped until the function that it returns is called: as
// long as it is a zombie, /proc tells whether it ever executed a program. For a process that has been
// Started and may end at any moment; of one that has been reaped it keeps nothing.
func (s *Start) Keep() (letGo func()) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	w := s.watch
	if w == nil {
		return func() {}
	}
	w.kept++
	return sync.OnceFunc(func() {
		s.r.mu.Lock()
		defer s.r.mu.Unlock()
		w.kept--
		if _, dead := s.r.unreaped[w]; dead && !s.r.closed {
			s.r.scanWanted.Store(true)
			s.r.kick()
		}
	})
}

// Failed ends the announcement: there is no process, or the caller has reaped it. After Started, or
// a second time, it does nothing, so it can be deferred.
func (s *Start) Failed() {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.settled {
		return
	}
	s.settle()
	if s.done != nil {
		close(s.done)
	}
	if s.kind == Exec {
		s.group.leave(s)
	}
}

// exited routes the exit of a reaped process. Caller holds r.mu.
func (s *Start) exited(e Exit) {
	switch s.kind {
	case Init:
		s.group.initExited(s, e)
	case Exec:
		e.Late = s.group.init == initTold
		s.told(s.r.publish(e))
		s.group.leave(s)
	case Loose, Orphan:
		s.told(s.r.publish(e))
	}
}

// told makes the exit available to Wait. Caller holds r.mu.
func (s *Start) told(e Exit) {
	s.exit = &e
	if s.done != nil {
		close(s.done)
	}
}

// Wait returns the process's exit once it has been told. Errors: the context's; ErrClosed if the
// Reaper was closed before; EINVAL if the start failed.
func (s *Start) Wait(ctx context.Context) (Exit, error) {
	if e, err := s.outcome(); !errors.Is(err, errPending) {
		return e, err
	}
	select {
	case <-s.whenDone():
	case <-s.r.stopped:
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
	e, err := s.outcome()
	if errors.Is(err, errPending) {
		err = ErrClosed
	}
	return e, err
}

var errPending = errors.New("reaper: pending")

func (s *Start) outcome() (Exit, error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	switch {
	case s.exit != nil:
		return *s.exit, nil
	case s.settled && s.watch == nil:
		return Exit{}, fmt.Errorf("wait for %s %s: never started: %w", s.kind, s.name, unix.EINVAL)
	}
	return Exit{}, errPending
}

// whenDone makes the channel only for those who wait: most exits are read from a subscription.
func (s *Start) whenDone() <-chan struct{} {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.exit != nil || s.settled && s.watch == nil {
			close(s.done)
		}
	}
	return s.done
}
