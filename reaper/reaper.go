package reaper

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Options of a Reaper.
type Options struct {
	// Subreaper makes this process the parent of orphaned descendants
	// (PR_SET_CHILD_SUBREAPER), until Close. It does not reach into a PID namespace below: there
	// the kernel hands orphans to the namespace's init.
	Subreaper bool
	// TellOrphans puts reaped orphans into the stream too; they are counted anyway.
	TellOrphans bool
}

// Stats is a snapshot of a Reaper's work.
type Stats struct {
	Exits       uint64 // told so far
	Orphans     uint64 // reaped so far
	Watched     int    // processes in the registry
	Open        int    // announced starts that are neither started nor failed
	Held        int    // inits whose exit waits for execs
	Undecided   int    // zombies that may be somebody else's
	Subscribers int
	Scans       uint64        // looks for unknown zombies
	ScanTime    time.Duration // spent on them
	Trouble     error         // why orphans could not be looked for at the last scan; nil normally
}

// Reaper is the loop and its registry. All methods may be called concurrently. One process may
// have several; they do not take each other's children.
type Reaper struct {
	opts      Options
	subreaper int // the attribute's former value

	epfd    int
	epoll   *os.File // epfd in Go's network poller
	poll    syscall.RawConn
	eventfd int // wakes the loop
	signals chan os.Signal
	stopped chan struct{} // closed when the loop has ended

	scanWanted atomic.Bool // a child may have died that nobody told us about

	mu           sync.Mutex
	closed       bool                // guarded by mu, as all below
	gen          uint32              // last watch.gen
	watches      map[int]*watch      // by pid; from Started until reaped, so a number means one process
	unreaped     map[*watch]struct{} // dead, but a tracer or a Keep has not let go
	open         []*Start            // announced and not settled, oldest first
	pinned       int                 // candidates after the last scan
	settledSince bool                // a Start was settled since then
	held         map[*Group]*Start   // groups with a held init, and the init
	subs         map[*Subscription]struct{}
	tail         *node // the stream's last
	stats        Stats

	startSeq uint64 // last Start.seq

	orphans orphanage // the loop's alone
}

// New starts the loop: two goroutines, two descriptors, and os/signal's handling of SIGCHLD.
func New(o Options) (*Reaper, error) {
	r := &Reaper{
		opts:     o,
		signals:  make(chan os.Signal, 1), // one is enough: a signal is a hint, not a count
		stopped:  make(chan struct{}),
		watches:  map[int]*watch{},
		unreaped: map[*watch]struct{}{},
		held:     map[*Group]*Start{},
		subs:     map[*Subscription]struct{}{},
		tail:     &node{},
		orphans:  orphanage{candidates: map[int]*candidate{}, notBefore: time.Now()},
	}
	if err := r.openPoll(); err != nil {
		return nil, err
	}
	if o.Subreaper {
		if err := r.becomeSubreaper(); err != nil {
			return nil, errors.Join(err, r.closePoll())
		}
	}
	// os/signal unblocks SIGCHLD in a thread of its own, whatever mask the process came with.
	signal.Notify(r.signals, unix.SIGCHLD)
	r.scanWanted.Store(true) // what died before Notify
	forwarded := make(chan struct{})
	go r.forward(forwarded)
	go r.loop(forwarded)
	return r, nil
}

// openPoll puts our epoll instance into the one of the Go runtime: an epoll descriptor is itself
// pollable, so that the loop is a parked goroutine and not a blocked thread.
func (r *Reaper) openPoll() (err error) {
	if r.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("reaper: epoll: %w", err)
	}
	if r.eventfd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return errors.Join(fmt.Errorf("reaper: eventfd: %w", err), unix.Close(r.epfd))
	}
	// os.NewFile registers with the poller only what is non-blocking.
	if err = unix.SetNonblock(r.epfd, true); err == nil {
		r.epoll = os.NewFile(uintptr(r.epfd), "epoll")
		err = r.epoll.SetReadDeadline(time.Time{}) // fails if the poller did not take it
	}
	if err == nil {
		r.poll, err = r.epoll.SyscallConn()
	}
	if err == nil {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeEvent}
		err = unix.EpollCtl(r.epfd, unix.EPOLL_CTL_ADD, r.eventfd, &ev)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("reaper: epoll: %w", err), r.closePoll())
	}
	return nil
}

func (r *Reaper) closePoll() error {
	err := unix.Close(r.eventfd)
	if r.epoll == nil {
		return errors.Join(err, unix.Close(r.epfd))
	}
	return errors.Join(err, r.epoll.Close())
}

func (r *Reaper) becomeSubreaper() error {
	var was int32
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0, 0, 0); err != nil {
		return fmt.Errorf("reaper: read subreaper attribute: %w", err)
	}
	r.subreaper = int(was)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("reaper: become subreaper: %w", err)
	}
	return nil
}

// forward turns signals into wake-ups of the loop.
func (r *Reaper) forward(done chan<- struct{}) {
	defer close(done)
	for range r.signals {
		r.scanWanted.Store(true)
		r.kick()
	}
}

// kick makes the loop look around. The counter cannot overflow in practice, and EAGAIN would mean
// that a wake-up is pending.
func (r *Reaper) kick() {
	one := [8]byte{1, 1, 1, 1, 1, 1, 1, 0} // any non-zero value, whatever the byte order
	_, _ = unix.Write(r.eventfd, one[:])
}

// Stats are consistent among themselves.
func (r *Reaper) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Watched, s.Open, s.Held = len(r.watches), len(r.open), len(r.held)
	s.Undecided, s.Subscribers = r.pinned, len(r.subs)
	return s
}

// Close ends the loop and waits for it. Watched processes go on and are the caller's again; what was
// published can still be read; what was held is told first, with the names of whom it overtook.
// The subreaper attribute is as before New.
func (r *Reaper) Close() error {
	r.mu.Lock()
	first := !r.closed
	if first {
		r.closed = true
		for g := range r.held {
			g.release()
		}
		r.kick()
	}
	r.mu.Unlock()
	<-r.stopped
	if !first || !r.opts.Subreaper || r.subreaper != 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("reaper: give up being subreaper: %w", err)
	}
	return nil
}
