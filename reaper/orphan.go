package reaper

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// How often unknown zombies are looked for. doc.go has the rule by which they are told apart.
const (
	scanShare    = 50              // a scan that took t is followed by no other for scanShare*t,
	scanPauseMax = 2 * time.Second // nor for longer than this
	recheckMin   = 2 * time.Millisecond
	recheckMax   = time.Second
	pinMax       = 256 // candidates at a time; each holds a descriptor
	peekMax      = 64
)

// A candidate is an unknown zombie child, kept from changing its meaning by our pidfd.
type candidate struct {
	pid   int
	fd    int
	epoch uint64 // the newest Start when it was first seen: only that or an older one can own it
}

// orphanage is what the loop remembers between scans. The loop's alone.
type orphanage struct {
	candidates map[int]*candidate // by pid, which the zombie keeps taken
	notBefore  time.Time          // the budget
	recheck    time.Time          // look again without being asked; zero: no need
	backoff    time.Duration
}

func (o *orphanage) due(wanted bool, now time.Time) bool {
	due := o.nextDue(wanted)
	return !due.IsZero() && !now.Before(due)
}

// nextDue is when the next scan should be; zero: not until it is wanted.
func (o *orphanage) nextDue(wanted bool) time.Time {
	switch {
	case wanted:
		return o.notBefore
	case o.recheck.IsZero():
		return time.Time{}
	case o.recheck.Before(o.notBefore):
		return o.notBefore
	}
	return o.recheck
}

func (o *orphanage) drop(c *candidate) {
	_ = unix.Close(c.fd)
	delete(o.candidates, c.pid)
}

// scan looks for unknown zombies and decides what it can. While there are any, it comes again by
// itself: the owner of one may take it without a signal, and the lists of /proc may have missed one.
func (r *Reaper) scan() {
	o := &r.orphans
	begin := time.Now()
	r.scanWanted.Store(false) // before looking: a child that dies from here on asks again
	r.retryUnreaped()
	var trouble error
	zombies := r.peek()
	if zombies || len(o.candidates) > 0 {
		found, err := r.pin()
		trouble = errors.Join(err, r.judge())
		if found > 0 {
			o.backoff = 0
		}
		zombies = r.peek()
	}
	now := time.Now()
	o.plan(now, now.Sub(begin), zombies || len(o.candidates) > 0 || r.hasUnreaped())
	r.account(now.Sub(begin), trouble)
}

// plan sets when to look again after a scan that ended now and took cost.
func (o *orphanage) plan(now time.Time, cost time.Duration, again bool) {
	o.notBefore = now.Add(min(scanShare*cost, scanPauseMax))
	if !again {
		o.backoff, o.recheck = 0, time.Time{}
		return
	}
	o.backoff = min(max(2*o.backoff, recheckMin), recheckMax)
	o.recheck = now.Add(o.backoff)
}

func (r *Reaper) account(cost time.Duration, trouble error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pinned = len(r.orphans.candidates)
	// A Start that was settled while we looked saw the old number of candidates.
	if r.pinned > 0 && r.settledSince {
		r.scanWanted.Store(true)
	}
	r.settledSince = false
	r.stats.Scans++
	r.stats.ScanTime += cost
	r.stats.Trouble = trouble
}

func (r *Reaper) hasUnreaped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.unreaped) > 0
}

// retryUnreaped asks again for those who were not let go.
func (r *Reaper) retryUnreaped() {
	r.mu.Lock()
	var again []*watch
	for w := range r.unreaped {
		again = append(again, w)
	}
	clear(r.unreaped)
	r.mu.Unlock()
	for _, w := range again {
		if r.lookup(w.pid, w.gen) == w {
			r.reap(w)
		}
	}
}

// peek says whether there may be a zombie child that is not in the registry: one system call, where
// there is none. Known ones that the kernel shows first are reaped on the way.
func (r *Reaper) peek() bool {
	for range peekMax {
		info, err := waitid(unix.P_ALL, 0, unix.WNOWAIT, nil)
		if err != nil || info.pid == 0 { // ECHILD: no children, the normal end
			return false
		}
		r.mu.Lock()
		w := r.watches[int(info.pid)]
		hides := w == nil || w.kept > 0 // the kernel shows no other before this one is reaped
		r.mu.Unlock()
		if hides {
			return true
		}
		r.reap(w)
	}
	r.scanWanted.Store(true)
	return false
}

// pin makes candidates of unknown zombies. It returns how many are new.
func (r *Reaper) pin() (int, error) {
	pids, err := Children()
	if err != nil {
		return 0, err
	}
	found := 0
	for _, pid := range r.unknown(pids) {
		if len(r.orphans.candidates) >= pinMax {
			break
		}
		if info, err := waitid(unix.P_PID, pid, unix.WNOWAIT, nil); err != nil || info.pid == 0 {
			continue
		}
		ok, err := r.pinOne(pid)
		if err != nil {
			return found, err
		}
		if ok {
			found++
		}
	}
	return found, nil
}

// unknown leaves out what is in the registry or a candidate already.
func (r *Reaper) unknown(pids []int) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := pids[:0]
	for _, pid := range pids {
		if r.watches[pid] == nil && r.orphans.candidates[pid] == nil {
			left = append(left, pid)
		}
	}
	return left
}

// pinOne opens the pidfd first and asks through it afterwards whether it is a zombie child, since
// the number may have changed hands in between.
func (r *Reaper) pinOne(pid int) (bool, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	info, err := waitid(unix.P_PIDFD, fd, unix.WNOWAIT, nil)
	if err != nil || info.pid == 0 {
		return false, unix.Close(fd)
	}
	r.mu.Lock()
	epoch := r.startSeq
	r.mu.Unlock()
	r.orphans.candidates[pid] = &candidate{pid: pid, fd: fd, epoch: epoch}
	return true, nil
}

// judge reaps those candidates that can be nobody's.
func (r *Reaper) judge() error {
	var free []*candidate
	for _, c := range r.orphans.candidates {
		info, err := waitid(unix.P_PIDFD, c.fd, unix.WNOWAIT, nil)
		switch {
		case err != nil || info.pid == 0:
			r.orphans.drop(c) // its owner has taken it
		case r.claimed(c):
		default:
			free = append(free, c)
		}
	}
	if len(free) == 0 {
		return nil
	}
	wanted, err := pidfdsElsewhere(free)
	if err != nil {
		return err // in doubt, nothing is reaped
	}
	for _, c := range free {
		if !wanted[c] {
			r.adopt(c)
		}
	}
	return nil
}

// claimed: registered meanwhile, or possibly the process of an open start.
func (r *Reaper) claimed(c *candidate) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watches[c.pid] != nil || len(r.open) > 0 && r.open[0].seq <= c.epoch
}

// adopt reaps an orphan.
func (r *Reaper) adopt(c *candidate) {
	var usage unix.Rusage
	info, err := waitid(unix.P_PIDFD, c.fd, 0, &usage)
	r.orphans.drop(c)
	if err != nil || info.pid == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Orphans++
	if r.opts.TellOrphans {
		r.publish(Exit{Kind: Orphan, Pid: c.pid, Status: info.waitStatus(), Usage: usageOf(&usage), Time: time.Now()})
	}
}
