package reaper

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// kernels runs a test on every path: with the best the kernel has, and without.
func kernels(t *testing.T, test func(t *testing.T)) {
	for _, row := range []struct {
		name            string
		children, pidfs bool
	}{{"children files, pidfs", true, true}, {"children files, fdinfo", true, false}, {"list of processes, pidfs", false, true}} {
		t.Run(row.name, func(t *testing.T) {
			withoutChildrenFiles, withoutPidfs = !row.children, !row.pidfs
			defer func() { withoutChildrenFiles, withoutPidfs = false, false }()
			test(t)
		})
	}
}

// orphan makes a process whose parent ends at once, so that it becomes ours, and then ends with code.
func orphan(t testing.TB, r *Reaper, code byte) {
	t.Helper()
	s := r.Starting("parent")
	p := fork(t, "fx"+string([]byte{code}), false)
	defer p.close()
	started(t, s, p)
}

func TestOrphansAreReapedAndCounted(t *testing.T) {
	kernels(t, func(t *testing.T) {
		const n = 300
		r := newReaper(t, Options{Subreaper: true, TellOrphans: true})
		sub := r.Subscribe()
		defer sub.Close()
		codes := map[int]int{}
		for i := range n {
			orphan(t, r, byte(1+i%100))
		}
		for range 2 * n {
			if e := next(t, sub); e.Kind == Orphan {
				codes[e.Code()]++
			}
		}
		for code := 1; code <= 100; code++ {
			if codes[code] != n/100 {
				t.Errorf("%d orphans with code %d, want %d", codes[code], code, n/100)
			}
		}
		if st := r.Stats(); st.Orphans != n || st.Undecided != 0 || st.Trouble != nil {
			t.Errorf("stats %+v", st)
		}
		noChildren(t)
	})
}

func noChildren(t *testing.T) {
	t.Helper()
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != unix.ECHILD {
		t.Errorf("children are left: %v", err)
	}
}

// TestOrphansFromBefore: what died before the Reaper was there has sent its signal to nobody.
func TestOrphansFromBefore(t *testing.T) {
	first := newReaper(t, Options{Subreaper: true})
	blocker := first.Starting("keeps the first one from deciding")
	p := fork(t, "fx\x01", false)
	started(t, first.Starting("parent"), p)
	waitUntil(t, "the orphan is pinned", func() bool { return first.Stats().Undecided == 1 })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	blocker.Failed() // after Close: harmless
	p.close()
	r := newReaper(t, Options{})
	waitUntil(t, "the orphan is reaped", func() bool { return r.Stats().Orphans == 1 })
	noChildren(t)
}

// TestOpenStartProtects: a raw fork without a pidfd, as in a stage that clones for us, is safe from
// the moment its start is announced; later starts do not put the decision off.
func TestOpenStartProtects(t *testing.T) {
	kernels(t, func(t *testing.T) {
		r := newReaper(t, Options{})
		raw := r.Starting("raw")
		pid, err := syscall.ForkExec(childPath, []string{"child", "x\x04"}, &syscall.ProcAttr{Files: []uintptr{uintptr(devNull)}})
		if err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "the zombie is pinned", func() bool { return r.Stats().Undecided == 1 })
		scans := r.Stats().Scans
		waitUntil(t, "it was looked at again", func() bool { return r.Stats().Scans > scans+3 })
		var status unix.WaitStatus
		if got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); got != pid || err != nil || status.ExitStatus() != 4 {
			t.Errorf("stolen: %d, %v, %v", got, status, err)
		}
		raw.Failed()
		waitUntil(t, "nothing is undecided", func() bool { return r.Stats().Undecided == 0 })
		if n := r.Stats().Orphans; n != 0 {
			t.Errorf("%d orphans", n)
		}
	})
}

// TestStreamOfStarts: with a start open at every moment, an orphan is still reaped, because it was
// dead before the newer starts began.
func TestStreamOfStarts(t *testing.T) {
	r := newReaper(t, Options{Subreaper: true})
	current := r.Starting("0")
	orphan(t, r, 1)
	waitUntil(t, "the orphan is pinned", func() bool { return r.Stats().Undecided == 1 })
	for i := 1; r.Stats().Orphans == 0; i++ {
		if i > 100000 {
			t.Fatal("starved")
		}
		newer := r.Starting(strconv.Itoa(i))
		current.Failed()
		current = newer
		_, _ = unix.Poll(nil, 1)
	}
	current.Failed()
}

// TestClaimedLate: a zombie that was a candidate already is registered by its owner after all.
func TestClaimedLate(t *testing.T) {
	r := newReaper(t, Options{})
	s := r.Starting("late")
	pid, err := syscall.ForkExec(childPath, []string{"child", "x\x06"}, &syscall.ProcAttr{Files: []uintptr{uintptr(devNull)}})
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "the zombie is pinned", func() bool { return r.Stats().Undecided == 1 })
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := s.Started(pidfd, 0); err != nil {
		t.Fatal(err)
	}
	if e, err := s.Wait(limit(t)); err != nil || e.Code() != 6 || e.Pid != pid {
		t.Fatalf("got %v, %v", e, err)
	}
	waitUntil(t, "nothing is undecided", func() bool { return r.Stats().Undecided == 0 })
}

// TestAbandonedHandle: an os.Process that nobody waits for is protected while it exists, and an orphan
// when it has been released.
func TestAbandonedHandle(t *testing.T) {
	kernels(t, func(t *testing.T) {
		r := newReaper(t, Options{})
		p, err := os.StartProcess(childPath, []string{"child", "x\x01"}, &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "the zombie is pinned", func() bool { return r.Stats().Undecided == 1 })
		scans := r.Stats().Scans
		waitUntil(t, "it was looked at again", func() bool { return r.Stats().Scans > scans+3 })
		if n := r.Stats().Orphans; n != 0 {
			t.Fatalf("%d orphans", n)
		}
		if err := p.Release(); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "it is reaped", func() bool { return r.Stats().Orphans == 1 })
		noChildren(t)
	})
}

// TestTwoReapers in one process leave each other's children alone.
func TestTwoReapers(t *testing.T) {
	a, b := newReaper(t, Options{Subreaper: true}), newReaper(t, Options{})
	for i := range 200 {
		s := a.Starting("")
		p := fork(t, "x\x07", false)
		started(t, s, p)
		p.close() // only the Reaper's own descriptor is left
		if e, err := s.Wait(limit(t)); err != nil || e.Err != nil || e.Code() != 7 {
			t.Fatalf("child %d: %v, %v", i, e, err)
		}
	}
	if n := b.Stats().Orphans; n != 0 {
		t.Errorf("%d stolen", n)
	}
}

// TestBesideOSExec: thousands of os/exec children, announced by nobody, among orphans and watched
// processes: no Wait may find its child gone, and no orphan may stay.
func TestBesideOSExec(t *testing.T) {
	kernels(t, func(t *testing.T) {
		const workers, each = 8, 300
		r := newReaper(t, Options{Subreaper: true})
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range each {
					if err := mixed(r, w, i); err != nil {
						t.Errorf("worker %d, round %d: %v", w, i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		const orphans = workers * each / 3
		// A zombie that its owner took after the last look counts as undecided until the next.
		waitUntil(t, "all is decided", func() bool { st := r.Stats(); return st.Orphans == orphans && st.Undecided == 0 })
		if st := r.Stats(); st.Undecided != 0 || st.Watched != 0 || st.Trouble != nil {
			t.Errorf("stats %+v", st)
		}
		noChildren(t)
	})
}

// mixed runs one child by os/exec, one by the Reaper, and sometimes leaves an orphan behind.
func mixed(r *Reaper, w, i int) error {
	code := byte(1 + (w*31+i)%200)
	cmd := exec.Command(childPath, "x"+string([]byte{code}))
	if err := cmd.Start(); err != nil {
		return err
	}
	s := r.Starting("")
	defer s.Failed()
	script := "x" + string([]byte{code})
	if i%3 == 0 {
		script = "fx" + string([]byte{code})
		code = 0
	}
	p, err := tryFork(script, false)
	if err != nil {
		return err
	}
	err = s.Started(p.pidfd, p.pid)
	p.close()
	if err != nil {
		return err
	}
	e, err := s.Wait(ctxForever)
	if err != nil || e.Err != nil || e.Code() != int(code) {
		return fmt.Errorf("want code %d: %v, %w", code, e, err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1+(w*31+i)%200 {
		return fmt.Errorf("os/exec: %v", err)
	}
	return nil
}
