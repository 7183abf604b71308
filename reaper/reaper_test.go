package reaper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func started(t testing.TB, s *Start, p proc) {
	t.Helper()
	if err := s.Started(p.pidfd, p.pid); err != nil {
		t.Fatal(err)
	}
}

func TestWaitForOne(t *testing.T) {
	r := newReaper(t, Options{})
	s := r.Starting("x")
	defer s.Failed()
	p := fork(t, "x\x07", false)
	defer p.close()
	started(t, s, p)
	e, err := s.Wait(limit(t))
	if err != nil || e.Code() != 7 || e.Pid != p.pid {
		t.Fatalf("got %v, %v", e, err)
	}
	if _, err := unix.Wait4(p.pid, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Fatalf("process is still there: %v", err)
	}
}

// TestStatusOfEveryEnd covers the domain whole: all codes, and all signals that end a process.
func TestStatusOfEveryEnd(t *testing.T) {
	r := newReaper(t, Options{})
	wait := func(p proc, want int) {
		s := r.Starting("")
		started(t, s, p)
		e, err := s.Wait(limit(t))
		if err != nil || e.Err != nil || e.Code() != want {
			t.Errorf("want %d: %v, %v", want, e, err)
		}
		p.close()
	}
	for code := range 256 {
		p := fork(t, "r", true)
		if err := p.exitWith(byte(code)); err != nil {
			t.Fatal(err)
		}
		wait(p, code)
	}
	ignored := map[unix.Signal]bool{unix.SIGCHLD: true, unix.SIGCONT: true, unix.SIGURG: true, unix.SIGWINCH: true,
		unix.SIGSTOP: true, unix.SIGTSTP: true, unix.SIGTTIN: true, unix.SIGTTOU: true}
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if ignored[sig] {
			continue
		}
		p := fork(t, "p", false)
		// Go's fork hands on no handler, but the kernel needs the execve to be over before
		// the default applies; ForkExec returns only then.
		if err := p.kill(sig); err != nil {
			t.Fatal(err)
		}
		wait(p, 128+int(sig))
	}
}

// TestManyExitsOneWakeUp: signals and events merge, exits must not.
func TestManyExitsOneWakeUp(t *testing.T) {
	const n = 400
	r := newReaper(t, Options{})
	sub := r.Subscribe()
	defer sub.Close()
	procs := map[int]proc{}
	for range n {
		s := r.Starting("")
		p := fork(t, "p", false)
		defer p.close()
		started(t, s, p)
		procs[p.pid] = p
	}
	for _, p := range procs {
		if err := p.kill(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int]bool{}
	for i := range n {
		e := next(t, sub)
		if _, ok := procs[e.Pid]; !ok || seen[e.Pid] || e.Status.Signal() != unix.SIGKILL || e.Seq != uint64(i+1) {
			t.Fatalf("exit %d: %v", i, e)
		}
		seen[e.Pid] = true
	}
	// The test still holds the pidfds, so nothing leaves epoll by itself.
	if n := inEpoll(t, r); n != 1 {
		t.Errorf("%d descriptors in epoll, want the eventfd alone", n)
	}
	if st := r.Stats(); st.Watched != 0 || st.Orphans != 0 || st.Trouble != nil {
		t.Errorf("stats %+v", st)
	}
}

func TestRegistrationIsChecked(t *testing.T) {
	r := newReaper(t, Options{})
	alive := fork(t, "p", false)
	defer alive.close()
	other := r.Starting("other")
	started(t, other, alive)

	gone := fork(t, "r", false)
	defer gone.close()
	if _, err := unix.Wait4(gone.pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name       string
		pidfd, pid int
		is         error
		says       string
	}{
		{"watched already", alive.pidfd, alive.pid, unix.EEXIST, "is watched already"},
		{"another's number", alive.pidfd, alive.pid + 1, unix.EINVAL, "not"},
		{"reaped", gone.pidfd, gone.pid, unix.ESRCH, "gone"},
		{"no pidfd", devNull, alive.pid, unix.EBADF, "not a pidfd"},
		{"closed descriptor", 19999, alive.pid, unix.ENOENT, "watch process late"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := r.Starting("late")
			err := s.Started(row.pidfd, row.pid)
			if !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v", err)
			}
			if n := r.Stats().Open; n != 1 {
				t.Errorf("%d starts open, want 1: the failed one", n)
			}
			s.Failed()
			s.Failed() // harmless
			if _, err := s.Wait(limit(t)); !errors.Is(err, unix.EINVAL) {
				t.Errorf("wait after Failed: %v", err)
			}
		})
	}
	if err := alive.kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e, err := other.Wait(limit(t)); err != nil || e.Name != "other" {
		t.Fatalf("got %v, %v", e, err)
	}
	if err := other.Started(alive.pidfd, 0); err == nil {
		t.Error("a start was used twice")
	}
}

// TestReapedByAnother: the exit is told all the same, with what the kernel still knows.
func TestReapedByAnother(t *testing.T) {
	r := newReaper(t, Options{})
	s := r.Starting("stolen")
	p := fork(t, "r", true)
	defer p.close()
	started(t, s, p)
	// With the lock held the loop cannot be first.
	r.mu.Lock()
	if err := p.exitWith(9); err != nil {
		t.Fatal(err)
	}
	_, err := unix.Wait4(p.pid, nil, 0, nil)
	r.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.Wait(limit(t))
	if err != nil || e.Pid != p.pid {
		t.Fatalf("got %v, %v", e, err)
	}
	if _, known := exitInfo(p.pidfd); known && e.Code() != 9 {
		t.Errorf("the kernel knows the status, but: %v", e)
	} else if !known && !errors.Is(e.Err, unix.ECHILD) {
		t.Errorf("status unknown, but: %v", e)
	}
}

// TestNotOurChild: a process of another parent is watched too, only its status may be unknown.
func TestNotOurChild(t *testing.T) {
	pid, pidfd := grandchild(t)
	defer unix.Close(pidfd)
	r := newReaper(t, Options{})
	s := r.Starting("foreign")
	if err := s.Started(pidfd, pid); err != nil {
		t.Fatal(err)
	}
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	e, err := s.Wait(limit(t))
	if err != nil || e.Pid != pid {
		t.Fatalf("got %v, %v", e, err)
	}
	if e.Err != nil && (!errors.Is(e.Err, unix.ECHILD) || e.Code() != 255) || e.Err == nil && e.Status.Signal() != unix.SIGKILL {
		t.Errorf("got %v", e)
	}
}

// staysUnreaped fails if a dead process is reaped, or if the loop spins meanwhile.
func staysUnreaped(t *testing.T, r *Reaper, s *Start, otherwise string) {
	t.Helper()
	scans, cpu := r.Stats().Scans, cpuTime(t)
	select {
	case <-s.whenDone():
		t.Fatal(otherwise)
	case <-time.After(300 * time.Millisecond): // not for synchronisation: a spin needs time to show
	}
	if n, d := r.Stats().Scans-scans, cpuTime(t)-cpu; n > 50 || d > 150*time.Millisecond {
		t.Errorf("%d scans and %s of CPU time in 300 ms", n, d)
	}
}

// TestTracedZombie: while a tracer keeps a dead process, waiting for it fails although its pidfd
// is readable. The loop must neither spin nor forget it.
func TestTracedZombie(t *testing.T) {
	r := newReaper(t, Options{})
	s := r.Starting("traced")
	p := fork(t, "p", false)
	defer p.close()
	started(t, s, p)
	letGo := trace(t, p.pid)
	if err := p.kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the loop has met the traced zombie", r.hasUnreaped)
	staysUnreaped(t, r, s, "reaped from under its tracer")
	letGo()
	if e, err := s.Wait(limit(t)); err != nil || e.Status.Signal() != unix.SIGKILL {
		t.Fatalf("got %v, %v", e, err)
	}
}

// TestKeptZombie: a dead process stays a zombie until it is let go, without a spin and without holding
// up what else dies, orphans included.
func TestKeptZombie(t *testing.T) {
	r := newReaper(t, Options{Subreaper: true})
	s, other := r.Starting("kept"), r.Starting("other")
	p, q := fork(t, "p", false), fork(t, "p", false)
	defer p.close()
	defer q.close()
	started(t, s, p)
	started(t, other, q)
	first, second := s.Keep(), s.Keep()
	if err := p.kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the loop has met the kept zombie", r.hasUnreaped)
	if info, err := waitid(unix.P_PIDFD, p.pidfd, unix.WNOWAIT, nil); err != nil || int(info.pid) != p.pid {
		t.Fatalf("not a zombie any more: %+v, %v", info, err)
	}
	if err := q.kill(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e, err := other.Wait(limit(t)); err != nil || e.Status.Signal() != unix.SIGTERM {
		t.Fatalf("the other: %v, %v", e, err)
	}
	orphan, pidfd := grandchild(t)
	err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	if err = errors.Join(err, unix.Close(pidfd)); err != nil { // a pidfd of ours would make it ours
		t.Fatal(err)
	}
	waitUntil(t, fmt.Sprintf("orphan %d is reaped", orphan), func() bool { return r.Stats().Orphans == 1 })
	first()
	first() // counts once
	staysUnreaped(t, r, s, "reaped although it is kept")
	second()
	if e, err := s.Wait(limit(t)); err != nil || e.Status.Signal() != unix.SIGKILL {
		t.Fatalf("got %v, %v", e, err)
	}
	s.Keep()() // of one that is gone: nothing
}

// TestNumberReused: the exits of two processes with one pid are told apart, even if the first was
// reaped behind the loop's back and the second is registered before the loop has noticed.
func TestNumberReused(t *testing.T) {
	r := newReaper(t, Options{})
	sub := r.Subscribe()
	defer sub.Close()
	first := r.Starting("first")
	a := fork(t, "r", true)
	defer a.close()
	started(t, first, a)
	second := r.Starting("second")

	r.mu.Lock() // the loop stands still
	if err := a.exitWith(1); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(a.pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	b, ok := forkAs(t, a.pid)
	if !ok {
		r.mu.Unlock()
		second.Failed()
		t.Skip("skipped: the kernel or other processes do not let us choose a pid (ns_last_pid)")
	}
	defer b.close()
	fd, err := unix.FcntlInt(uintptr(b.pidfd), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = second.register(&watch{start: second, pid: b.pid, fd: fd})
	}
	r.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, sub); e.Name != "first" || e.Err == nil && e.Code() != 1 {
		t.Fatalf("got %v", e)
	}
	if err := b.exitWith(2); err != nil {
		t.Fatal(err)
	}
	if e := next(t, sub); e.Name != "second" || e.Pid != a.pid || e.Code() != 2 {
		t.Fatalf("got %v", e)
	}
}

func TestSubscribers(t *testing.T) {
	const n = 500
	r := newReaper(t, Options{})
	early, never := r.Subscribe(), r.Subscribe()
	defer early.Close()
	defer never.Close()
	shared := r.Subscribe() // read by several goroutines at once
	defer shared.Close()
	var (
		mu   sync.Mutex
		seqs = map[uint64]int{}
		wg   sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(limit(t))
	defer cancel()
	for range 4 {
		wg.Go(func() {
			for {
				e, err := shared.Next(ctx)
				if err != nil {
					return
				}
				mu.Lock()
				seqs[e.Seq]++
				if len(seqs) == n {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	var late *Subscription
	for i := range n {
		if i == n/2 {
			for j := range n / 2 { // the first half has been told
				if e := next(t, early); e.Seq != uint64(j+1) {
					t.Fatalf("early: got %d, want %d", e.Seq, j+1)
				}
			}
			late = r.Subscribe()
			defer late.Close()
		}
		s := r.Starting("")
		p := fork(t, "r", false)
		started(t, s, p)
		p.close()
	}
	wg.Wait()
	if len(seqs) != n {
		t.Errorf("shared subscription: %d exits, want %d", len(seqs), n)
	}
	for seq, times := range seqs {
		if times != 1 {
			t.Errorf("exit %d came %d times", seq, times)
		}
	}
	for i := n / 2; i < n; i++ {
		if a, b := next(t, early), next(t, late); a.Seq != uint64(i+1) || b.Seq != a.Seq || b.Pid != a.Pid {
			t.Fatalf("early %v, late %v, want %d", a, b, i+1)
		}
	}
	short, stop := context.WithCancel(context.Background())
	stop()
	if _, err := early.Next(short); !errors.Is(err, context.Canceled) {
		t.Errorf("context over: %v", err)
	}
	for i := range n { // the one that never read has lost nothing
		if e := next(t, never); e.Seq != uint64(i+1) {
			t.Fatalf("never: got %d, want %d", e.Seq, i+1)
		}
	}
	waiting := make(chan error)
	go func() { _, err := early.Next(context.Background()); waiting <- err }()
	early.Close()
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestClose(t *testing.T) {
	warm, err := New(Options{}) // what os/signal and the poller keep for good
	if err != nil || warm.Close() != nil {
		t.Fatal(err)
	}
	fds, goroutines := descriptors(t), runtime.NumGoroutine()

	r, err := New(Options{Subreaper: true})
	if err != nil {
		t.Fatal(err)
	}
	if !isSubreaper(t) {
		t.Error("not a subreaper")
	}
	sub := r.Subscribe()
	g := r.Container("c1", GroupOptions{})
	initProc, execProc := fork(t, "r", true), fork(t, "p", false)
	ex, err := g.Starting("e1")
	if err != nil {
		t.Fatal(err)
	}
	started(t, ex, execProc)
	if _, err := g.Init(initProc.pidfd, initProc.pid); err != nil {
		t.Fatal(err)
	}
	if err := initProc.exitWith(5); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "init is held", func() bool { return r.Stats().Held == 1 })
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if e := next(t, sub); e.Kind != Init || e.Code() != 5 || len(e.Overtook) != 1 || !strings.HasPrefix(e.Overtook[0], "e1 (pid ") {
		t.Errorf("told at Close: %v, %q", e, e.Overtook)
	}
	if _, err := sub.Next(limit(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := ex.Wait(limit(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("wait: %v", err)
	}
	if err := r.Starting("x").Started(execProc.pidfd, execProc.pid); !errors.Is(err, ErrClosed) {
		t.Errorf("start: %v", err)
	}
	if isSubreaper(t) {
		t.Error("still a subreaper")
	}
	// The exec is the caller's again.
	if err := execProc.kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(execProc.pid, nil, 0, nil); err != nil {
		t.Errorf("wait for what was left: %v", err)
	}
	initProc.close()
	execProc.close()
	if n := descriptors(t); n != fds {
		t.Errorf("descriptors: %d before, %d after", fds, n)
	}
	waitUntil(t, "goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func inEpoll(t *testing.T, r *Reaper) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", r.epfd))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "tfd:")
}

// TestLateEvent: one that was fetched before its process was reaped means nothing to the next holder of
// the number.
func TestLateEvent(t *testing.T) {
	r := newReaper(t, Options{})
	p := fork(t, "r", true)
	defer p.close()
	s := r.Starting("")
	started(t, s, p)
	if r.lookup(p.pid, s.watch.gen) == nil || r.lookup(p.pid, s.watch.gen-1) != nil {
		t.Error("generations are not told apart")
	}
	if err := p.exitWith(0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wait(limit(t)); err != nil {
		t.Fatal(err)
	}
}

func descriptors(t testing.TB) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
