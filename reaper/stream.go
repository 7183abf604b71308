package reaper

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// ErrClosed is the end of a subscription: the Reaper or the subscription was closed.
var ErrClosed = errors.New("reaper: closed")

// A node of the stream. The Reaper holds the last one, each subscription the one it has read last;
// what all of them have passed is garbage. So an exit is stored once for all subscribers.
type node struct {
	exit Exit
	next atomic.Pointer[node]
}

// Subscription is one reader's place in the stream. Its methods may be called concurrently.
type Subscription struct {
	r      *Reaper
	wake   chan struct{} // capacity 1: there may be news
	closed chan struct{}

	mu   sync.Mutex
	last *node // guarded by mu; nil once closed
}

// Subscribe begins with the next exit that is told. Close it, or every later exit stays in memory.
func (r *Reaper) Subscribe() *Subscription {
	s := &Subscription{r: r, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.last = r.tail
	r.subs[s] = struct{}{}
	return s
}

// Next returns exits in order, waiting for the next one if need be. Errors: the context's, and
// ErrClosed after Close of the subscription, or when everything before Close of the Reaper was read.
func (s *Subscription) Next(ctx context.Context) (Exit, error) {
	for {
		if e, ok, err := s.take(); ok || err != nil {
			return e, err
		}
		select {
		case <-s.wake:
		case <-s.closed:
		case <-ctx.Done():
			return Exit{}, ctx.Err()
		case <-s.r.stopped:
			// What was published before the end is still to be read.
			if e, ok, err := s.take(); ok || err != nil {
				return e, err
			}
			return Exit{}, ErrClosed
		}
	}
}

// take never waits. Several goroutines may share a subscription, so the one that took an exit and
// sees another passes the wake-up on.
func (s *Subscription) take() (Exit, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return Exit{}, false, ErrClosed
	}
	n := s.last.next.Load()
	if n == nil {
		return Exit{}, false, nil
	}
	s.last = n
	if n.next.Load() != nil {
		s.nudge()
	}
	return n.exit, true, nil
}

func (s *Subscription) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close lets go of everything unread and ends waiting calls of Next.
func (s *Subscription) Close() {
	s.r.mu.Lock()
	delete(s.r.subs, s)
	s.r.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil {
		s.last = nil
		close(s.closed)
	}
}

// publish appends to the stream. Caller holds r.mu, which makes the stream one sequence.
func (r *Reaper) publish(e Exit) Exit {
	r.stats.Exits++
	e.Seq = r.stats.Exits
	n := &node{exit: e}
	r.tail.next.Store(n)
	r.tail = n
	for s := range r.subs {
		s.nudge()
	}
	return e
}
