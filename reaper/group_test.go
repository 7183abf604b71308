package reaper

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// container starts a group with an init that waits to be told its exit code.
func container(t *testing.T, r *Reaper, o GroupOptions) (*Group, proc) {
	t.Helper()
	g := r.Container("c1", o)
	p := fork(t, "r", true)
	t.Cleanup(p.close)
	if _, err := g.Init(p.pidfd, p.pid); err != nil {
		t.Fatal(err)
	}
	return g, p
}

func startExec(t *testing.T, g *Group, name string) proc {
	t.Helper()
	s, err := g.Starting(name)
	if err != nil {
		t.Fatal(err)
	}
	p := fork(t, "r", true)
	t.Cleanup(p.close)
	started(t, s, p)
	return p
}

func end(t *testing.T, p proc, code byte) {
	t.Helper()
	if err := p.exitWith(code); err != nil {
		t.Fatal(err)
	}
}

func isHeld(r *Reaper) func() bool { return func() bool { return r.Stats().Held == 1 } }

// story reads n exits and writes them down as "name=code", the init as "init".
func story(t *testing.T, sub *Subscription, n int) []string {
	t.Helper()
	var list []string
	for range n {
		e := next(t, sub)
		name := e.Name
		if e.Kind == Init {
			name = "init"
		}
		line := fmt.Sprintf("%s=%d", name, e.Code())
		if e.Late {
			line += " late"
		}
		list = append(list, line)
	}
	return list
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestInitIsToldLast(t *testing.T) {
	r := newReaper(t, Options{})
	sub := r.Subscribe()
	defer sub.Close()
	g, init := container(t, r, GroupOptions{})
	a, b := startExec(t, g, "a"), startExec(t, g, "b")
	end(t, init, 1)
	waitUntil(t, "init is held", isHeld(r))
	want := []string{fmt.Sprintf("a (pid %d)", a.pid), fmt.Sprintf("b (pid %d)", b.pid)}
	if got := g.Waiting(); !slices.Equal(got, want) {
		t.Errorf("waiting for %q, want %q", got, want)
	}
	if _, err := g.Starting("c"); !errors.Is(err, ErrInitExited) || !strings.Contains(err.Error(), "container c1: exec c") {
		t.Errorf("a start after the init's end: %v", err)
	}
	end(t, b, 3)
	end(t, a, 2)
	got := story(t, sub, 3)
	slices.Sort(got[:2])
	expect(t, got, "a=2", "b=3", "init=1")
	if _, err := g.Starting("d"); !errors.Is(err, ErrInitExited) {
		t.Errorf("a start after the init was told: %v", err)
	}
}

// TestExecBeingStarted: the init waits for one whose process does not exist yet (containerd #9719).
func TestExecBeingStarted(t *testing.T) {
	t.Run("that starts, and ends before it is registered", func(t *testing.T) {
		r := newReaper(t, Options{})
		sub := r.Subscribe()
		defer sub.Close()
		g, init := container(t, r, GroupOptions{})
		s, err := g.Starting("quick")
		if err != nil {
			t.Fatal(err)
		}
		end(t, init, 0)
		waitUntil(t, "init is held", isHeld(r))
		if got := g.Waiting(); !slices.Equal(got, []string{"quick (starting)"}) {
			t.Errorf("waiting for %q", got)
		}
		p := fork(t, "x\x05", false)
		defer p.close()
		awaitZombie(t, p.pid)
		started(t, s, p)
		expect(t, story(t, sub, 2), "quick=5", "init=0")
	})
	t.Run("that fails", func(t *testing.T) {
		r := newReaper(t, Options{})
		sub := r.Subscribe()
		defer sub.Close()
		g, init := container(t, r, GroupOptions{})
		a, _ := g.Starting("a")
		b, _ := g.Starting("b")
		end(t, init, 7)
		waitUntil(t, "init is held", isHeld(r))
		a.Failed()
		if r.Stats().Exits != 0 {
			t.Error("told before the second start was settled")
		}
		b.Failed()
		expect(t, story(t, sub, 1), "init=7")
	})
}

// awaitZombie waits for a child's death and leaves it unreaped.
func awaitZombie(t *testing.T, pid int) {
	t.Helper()
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}

// TestSharedPIDs: the init's end does not end the execs, so somebody is told who has to be ended.
func TestSharedPIDs(t *testing.T) {
	r := newReaper(t, Options{})
	sub := r.Subscribe()
	defer sub.Close()
	holds := make(chan Hold, 2)
	g, init := container(t, r, GroupOptions{SharedPIDs: true, Held: func(h Hold) { holds <- h }})
	a := startExec(t, g, "a")
	end(t, init, 1)
	h := <-holds
	want := fmt.Sprintf("container c1: exit of init is held, at most 10s, for [a (pid %d)]", a.pid)
	if h.String() != want || h.Exit.Pid != init.pid || h.Group != g {
		t.Errorf("held: %s\nwant  %s", h, want)
	}
	if err := a.kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	expect(t, story(t, sub, 2), "a=137", "init=1")
	if len(holds) != 0 {
		t.Error("held twice")
	}
}

func TestHoldLimit(t *testing.T) {
	r := newReaper(t, Options{})
	sub := r.Subscribe()
	defer sub.Close()
	const limit = 50 * time.Millisecond
	g, init := container(t, r, GroupOptions{SharedPIDs: true, HoldLimit: limit})
	a := startExec(t, g, "a")
	s, err := g.Starting("b")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	end(t, init, 1)
	e := next(t, sub)
	want := []string{fmt.Sprintf("a (pid %d)", a.pid), "b (starting)"}
	if e.Kind != Init || !slices.Equal(e.Overtook, want) {
		t.Fatalf("got %v, overtook %q; want %q", e, e.Overtook, want)
	}
	if time.Since(begin) < limit {
		t.Error("told before its limit")
	}
	end(t, a, 2)
	expect(t, story(t, sub, 1), "a=2 late")
	b := fork(t, "x\x03", false)
	defer b.close()
	started(t, s, b)
	expect(t, story(t, sub, 1), "b=3 late")
}

func TestOneInit(t *testing.T) {
	r := newReaper(t, Options{})
	g, init := container(t, r, GroupOptions{})
	other := fork(t, "p", false)
	defer other.close()
	if _, err := g.Init(other.pidfd, other.pid); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a second init: %v", err)
	}
	if n := r.Stats().Open; n != 0 {
		t.Errorf("%d starts open", n)
	}
	if err := other.kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(other.pid, nil, 0, nil); err != nil {
		t.Error(err)
	}
	end(t, init, 0)
}

func TestOOMKillsAreReadAtTheExit(t *testing.T) {
	r := newReaper(t, Options{})
	sub := r.Subscribe()
	defer sub.Close()
	var kills uint64
	g, init := container(t, r, GroupOptions{OOMKills: func() uint64 { kills++; return kills }})
	a := startExec(t, g, "a")
	end(t, init, 0) // reaped first, told last
	waitUntil(t, "init is held", isHeld(r))
	end(t, a, 0)
	first, second := next(t, sub), next(t, sub)
	if first.Name != "a" || first.OOMKills != 2 || second.Kind != Init || second.OOMKills != 1 {
		t.Errorf("got %v with %d, %v with %d", first, first.OOMKills, second, second.OOMKills)
	}
}

// TestOwnPIDNamespace: here the kernel does the ordering. The init's death kills the exec, and the
// init becomes a zombie only when the exec has been reaped, so no hold is ever needed.
func TestOwnPIDNamespace(t *testing.T) {
	r := newReaper(t, Options{})
	sub := r.Subscribe()
	defer sub.Close()
	held := make(chan Hold, 1)
	for range 20 {
		g := r.Container("c1", GroupOptions{Held: func(h Hold) { held <- h }})
		init, execs := pidNamespace(t, g, 3)
		if err := init.kill(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		got := story(t, sub, 4)
		slices.Sort(got[:3])
		expect(t, got, "e0=137", "e1=137", "e2=137", "init=137")
		init.close()
		for _, p := range execs {
			p.close()
		}
	}
	if len(held) != 0 {
		t.Errorf("the kernel's order needed a hold: %v", <-held)
	}
}

// pidNamespace makes an init in a PID namespace of its own and execs beside it.
func pidNamespace(t *testing.T, g *Group, n int) (init proc, execs []proc) {
	t.Helper()
	files := []uintptr{uintptr(devNull)}
	var err error
	init = proc{stdin: -1}
	init.pid, err = syscall.ForkExec(childPath, []string{"child", "p"}, &syscall.ProcAttr{Files: files,
		Sys: &syscall.SysProcAttr{PidFD: &init.pidfd, Cloneflags: unix.CLONE_NEWPID}})
	if errors.Is(err, unix.EPERM) {
		t.Skip("skipped: making a PID namespace needs root")
	}
	if err == nil {
		_, err = g.Init(init.pidfd, init.pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { // a thread of its own: its children are born in the namespace
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Setns(init.pidfd, unix.CLONE_NEWPID); err != nil {
				return err
			}
			for i := range n {
				s, err := g.Starting(fmt.Sprintf("e%d", i))
				if err != nil {
					return err
				}
				p, err := tryFork("p", false)
				if err != nil {
					return err
				}
				execs = append(execs, p)
				if err := s.Started(p.pidfd, p.pid); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return init, execs
}

func TestStrings(t *testing.T) {
	g := &Group{id: "c1"}
	for _, row := range []struct {
		e    Exit
		want string
	}{
		{Exit{Group: g, Kind: Init, Pid: 4, Status: 3 << 8}, "container c1: init (pid 4): exit status 3"},
		{Exit{Group: g, Kind: Exec, Name: "e", Pid: 4, Status: 9}, "container c1: exec e (pid 4): killed by SIGKILL (9)"},
		{Exit{Pid: 4, Kind: Orphan, Status: 11 | 0x80}, "orphan (pid 4): killed by SIGSEGV (11)"},
		{Exit{Pid: 4, Err: unix.ECHILD}, "process (pid 4): status unknown: " + unix.ECHILD.Error()},
	} {
		if got := row.e.String(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}
