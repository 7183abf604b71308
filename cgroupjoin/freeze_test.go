package cgroupjoin

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func frozen(t testing.TB, c *Cgroup) bool {
	t.Helper()
	f, err := c.Frozen()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFreezeAndThaw(t *testing.T) {
	c := created(t, nil)
	cmd := member(t, c)
	if frozen(t, c) {
		t.Error("frozen from the start")
	}
	for range 2 { // both are idempotent
		if err := c.Freeze(); err != nil {
			t.Fatal(err)
		}
		if !frozen(t, c) {
			t.Error("not frozen after Freeze")
		}
	}
	if c.freezerV1() {
		c.wantFile(t, "freezer/freezer.state", "FROZEN")
	} else {
		c.wantFile(t, "/cgroup.events", "populated 1 frozen 1")
	}
	for range 2 {
		if err := c.Thaw(); err != nil {
			t.Fatal(err)
		}
		if frozen(t, c) {
			t.Error("frozen after Thaw")
		}
	}
	// It runs again, and so dies of a signal.
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ended(t, cmd)
}

// A container below a frozen cgroup is not itself paused, but nothing may be started in it.
func TestFrozenByAnAncestor(t *testing.T) {
	outer := created(t, nil)
	inner := newCgroupAt(t, Config{Path: outer.saved.Path + "/inner"})
	if err := inner.Create(); err != nil {
		t.Fatal(err)
	}
	if err := outer.Freeze(); err != nil {
		t.Fatal(err)
	}
	if frozen(t, inner) {
		t.Error("Frozen of a cgroup that only its parent freezes")
	}
	if stuck, err := inner.stuck(); err != nil || !stuck {
		t.Errorf("stuck = %v, %v; want true", stuck, err)
	}
	if err := outer.Thaw(); err != nil {
		t.Fatal(err)
	}
	if stuck, err := inner.stuck(); err != nil || stuck {
		t.Errorf("stuck = %v, %v after Thaw; want false", stuck, err)
	}
	if err := inner.Destroy(); err != nil {
		t.Fatal(err)
	}
}

func TestFreezeWithoutACgroup(t *testing.T) {
	c := &Cgroup{}
	for _, err := range []error{c.Freeze(), c.Thaw()} {
		if err == nil || !strings.Contains(err.Error(), ErrNoCgroup.Error()) {
			t.Errorf("got %v, want %v", err, ErrNoCgroup)
		}
	}
	if frozen(t, c) {
		t.Error("no cgroup, but frozen")
	}
}

// A cgroup that is gone is not frozen, and thawing it is no error: somebody was faster.
func TestFreezerOfACgroupThatIsGone(t *testing.T) {
	c := newCgroup(t, nil)
	if frozen(t, c) {
		t.Error("frozen without being there")
	}
	if err := c.Thaw(); err != nil {
		t.Errorf("Thaw: %v", err)
	}
	if err := c.Freeze(); err == nil {
		t.Error("Freeze of what is not there")
	} else {
		wantClean(t, err)
	}
}

// What keeps forking is frozen as well.
func TestFreezeWhileForking(t *testing.T) {
	c := created(t, nil)
	cmd := forker(t, c)
	for range 5 {
		if err := c.Freeze(); err != nil {
			t.Fatal(err)
		}
		if !frozen(t, c) {
			t.Fatal("not frozen")
		}
		if err := c.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	if _, state := procStat(cmd.Process.Pid); state == "Z" || state == "" {
		t.Error("the forking process has ended")
	}
}

// forker starts a shell in c that starts a process after the other.
func forker(t testing.TB, c *Cgroup) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", "read go; while :; do /bin/true; done")
	onHold(t, c, cmd)()
	return cmd
}

func TestPollUntil(t *testing.T) {
	start := time.Now()
	if err := pollUntil(nil, start.Add(20*time.Millisecond)); !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("got %v, want ETIMEDOUT", err)
	}
	if waited := time.Since(start); waited < 20*time.Millisecond {
		t.Errorf("gave up after %v", waited)
	}
}
