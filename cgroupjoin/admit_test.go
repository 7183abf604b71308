package cgroupjoin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// limited gives a cgroup with a limit of pids and one process in it.
func limited(t testing.TB, limit int64) *Cgroup {
	t.Helper()
	c := created(t, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}})
	needController(t, c, "pids")
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	member(t, c)
	return c
}

func TestPidsLimit(t *testing.T) {
	c := limited(t, 7)
	limit, current, err := c.PidsLimit()
	if limit != 7 || current != 1 || err != nil {
		t.Errorf("PidsLimit = %d, %d, %v; want 7, 1", limit, current, err)
	}
	unlimited := created(t, nil)
	if limit, current, err = unlimited.PidsLimit(); limit != 0 || current != 0 || err != nil {
		t.Errorf("PidsLimit without a limit = %d, %d, %v", limit, current, err)
	}
	if limit, _, err = (&Cgroup{}).PidsLimit(); limit != 0 || err != nil {
		t.Errorf("PidsLimit without a cgroup = %d, %v", limit, err)
	}
}

// One at a time: as many as there are slots, then none, in the words that the design gives.
func TestAdmit(t *testing.T) {
	for limit := int64(1); limit <= 5; limit++ {
		t.Run(fmt.Sprintf("limit %d", limit), func(t *testing.T) {
			c, dir := limited(t, limit), t.TempDir()
			for n := int64(2); n <= limit; n++ {
				cmd := child(t)
				if err := c.Target().Admit(dir, cmd.Process.Pid); err != nil {
					t.Fatalf("process %d of %d: %v", n, limit, err)
				}
				if err := c.Attach(cmd.Process.Pid); err != nil {
					t.Fatal(err)
				}
			}
			late := child(t)
			err := c.Target().Admit(dir, late.Process.Pid)
			var full *PidsLimitError
			if !errors.As(err, &full) || err.Error() != fmt.Sprintf("pids limit reached (%d of %d in use)", limit, limit) {
				t.Errorf("one too many: %v", err)
			}
			// By default it is admitted all the same: the kernel allows an attach.
			if err := c.Attach(late.Process.Pid); err != nil {
				t.Errorf("attach over the limit: %v", err)
			}
			err = c.Target().Admit(dir, child(t).Process.Pid)
			if err == nil || err.Error() != fmt.Sprintf("pids limit reached (%d of %d in use)", limit+1, limit) {
				t.Errorf("over the limit: %v", err)
			}
		})
	}
}

// Who has been admitted counts before the join, and no longer when the process has ended.
func TestAdmitCountsPromises(t *testing.T) {
	c, dir := limited(t, 2), t.TempDir()
	first, second := child(t), child(t)
	if err := c.Target().Admit(dir, first.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := c.Target().Admit(dir, first.Process.Pid); err != nil {
		t.Errorf("the same process again: %v", err)
	}
	if err := c.Target().Admit(dir, second.Process.Pid); err == nil || err.Error() != "pids limit reached (2 of 2 in use)" {
		t.Errorf("the promised slot was given away: %v", err)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended(t, first)
	if err := c.Target().Admit(dir, second.Process.Pid); err != nil {
		t.Errorf("the slot of a process that has ended: %v", err)
	}
}

// Members need no admission: a child born in the cgroup was counted by the kernel.
func TestAdmitOfAMember(t *testing.T) {
	c := limited(t, 1)
	pids, err := c.Pids(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Target().Admit(t.TempDir(), pids[0]); err != nil {
		t.Error(err)
	}
}

// 8 at the same time, into every number of free slots: as many are admitted as there are slots, no
// more and no fewer, and the kernel's count agrees.
func TestAdmitAtOnce(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	for free := int64(0); free <= 9; free++ {
		t.Run(fmt.Sprintf("%d free", free), func(t *testing.T) {
			for range rounds {
				admitAtOnce(t, free)
			}
		})
	}
}

func admitAtOnce(t *testing.T, free int64) {
	const execs = 8
	c, dir := limited(t, free+1), t.TempDir()
	var cmds [execs]*exec.Cmd
	for i := range cmds {
		cmds[i] = child(t)
	}
	start := make(chan struct{})
	var group sync.WaitGroup
	var errs [execs]error
	for i, cmd := range cmds {
		group.Go(func() {
			<-start
			if errs[i] = c.Target().Admit(dir, cmd.Process.Pid); errs[i] == nil {
				errs[i] = c.Attach(cmd.Process.Pid)
			}
		})
	}
	close(start)
	group.Wait()
	admitted := int64(0)
	for _, err := range errs {
		var full *PidsLimitError
		switch {
		case err == nil:
			admitted++
		case !errors.As(err, &full):
			t.Errorf("neither admitted nor refused: %v", err)
		}
	}
	if want := min(free, execs); admitted != want {
		t.Errorf("%d of %d were admitted into %d free slots: %v", admitted, execs, free, errs)
	}
	if _, current, err := c.PidsLimit(); err != nil || current != uint64(1+admitted) {
		t.Errorf("the kernel counts %d, %v; want %d", current, err, 1+admitted)
	}
	if err := c.Destroy(); err != nil {
		t.Error(err)
	}
}

// The limit of a cgroup further up counts as well, as it does for the kernel.
func TestAdmitBelowALimit(t *testing.T) {
	outer := limited(t, 2)
	inner := newCgroupAt(t, Config{Path: outer.saved.Path + "/inner"})
	if err := inner.Create(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := child(t)
	if err := inner.Target().Admit(dir, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := inner.Attach(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	err := inner.Target().Admit(dir, child(t).Process.Pid)
	if err == nil || !strings.HasPrefix(err.Error(), "pids limit reached (2 of 2 in use) of /sys/fs/cgroup") {
		t.Errorf("over the outer limit: %v", err)
	}
	if err := inner.Destroy(); err != nil {
		t.Error(err)
	}
}

// On v2 a sub-cgroup has no limit of its own where the controller is not on for it.
func TestAdmitIntoASubCgroup(t *testing.T) {
	c := limited(t, 2)
	if err := os.Mkdir(c.file("pids/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	target, err := c.ExecTarget(0, map[string]string{"pids": "sub"})
	if c.Layout() == V2 {
		target, err = c.ExecTarget(0, map[string]string{"": "sub"})
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	first := child(t)
	if err := target.Admit(dir, first.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := target.Attach(first.Process.Pid); err != nil {
		t.Fatal(err)
	}
	err = target.Admit(dir, child(t).Process.Pid)
	if err == nil || !strings.HasPrefix(err.Error(), "pids limit reached (2 of 2 in use) of "+c.dirOf("pids")) {
		t.Errorf("over the container's limit: %v", err)
	}
}

// What a crash leaves in the file does no harm.
func TestAdmitReadsAnyFile(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"empty", ""}, {"cut short", "12"}, {"noise", "\x00\xff\n\n 1 2 3\n"},
		{"a pid that is another's by now", fmt.Sprintf("%d 1\n", os.Getpid())},
		{"a process that is gone", "4194303 7\n"}, {"a negative pid", "-1 7\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := limited(t, 2), t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, admissionFile), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.Target().Admit(dir, child(t).Process.Pid); err != nil {
				t.Error(err)
			}
			if err := c.Target().Admit(dir, child(t).Process.Pid); err == nil {
				t.Error("two were admitted into one slot")
			}
		})
	}
}

func TestAdmitWithoutALimit(t *testing.T) {
	c := created(t, nil)
	for range 3 {
		if err := c.Target().Admit(t.TempDir(), child(t).Process.Pid); err != nil {
			t.Error(err)
		}
	}
}

// The kernel itself refuses a birth over the limit, with EAGAIN. Below the limit it takes no notice of what
// Admit has promised, so that a strict exec is not born in the cgroup.
func TestBirthOverTheLimit(t *testing.T) {
	c := limited(t, 1)
	if c.Layout() != V2 {
		t.Skipf("on %s nobody is born in the pids cgroup", c.Layout())
	}
	birth, err := c.BirthFD()
	if err != nil {
		t.Fatal(err)
	}
	defer birth.Close()
	if cmd, err := joiner(t, nil, birth); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("born over the limit: %v, %v; want EAGAIN", cmd, err)
	}
	strict := c.Target()
	strict.CountByAdmit()
	if birth, err := strict.BirthFD(); birth != nil || err != nil {
		t.Errorf("BirthFD for a strict exec = %v, %v; want none", birth, err)
	}
}
