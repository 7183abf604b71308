package cgroupjoin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mkSub makes a sub-cgroup in every hierarchy, as a container with its own cgroup manager would.
func mkSub(t testing.TB, c *Cgroup, sub string) *Target {
	t.Helper()
	for _, dir := range c.dirs() {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fillSubCpuset(t, c, sub)
	target, err := c.ExecTarget(0, map[string]string{"": sub})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func killedBy(state *os.ProcessState) unix.Signal {
	return state.Sys().(syscall.WaitStatus).Signal()
}

func TestPids(t *testing.T) {
	c := created(t, nil)
	outer := member(t, c)
	inner := child(t)
	if err := mkSub(t, c, "sub").Attach(inner.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		all  bool
		want []int
	}{{false, []int{outer.Process.Pid}}, {true, []int{outer.Process.Pid, inner.Process.Pid}}} {
		got, err := c.Pids(test.all)
		slices.Sort(got)
		slices.Sort(test.want)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("Pids(%v) = %v, %v; want %v", test.all, got, err, test.want)
		}
	}
}

func TestKill(t *testing.T) {
	for _, test := range []struct {
		name   string
		sig    unix.Signal
		freeze bool
	}{{"KILL", unix.SIGKILL, false}, {"KILL while frozen", unix.SIGKILL, true}, {"TERM", unix.SIGTERM, false}, {"USR1", unix.SIGUSR1, false}} {
		t.Run(test.name, func(t *testing.T) {
			c := created(t, nil)
			outer, inner := member(t, c), child(t)
			if err := mkSub(t, c, "sub").Attach(inner.Process.Pid); err != nil {
				t.Fatal(err)
			}
			if test.freeze {
				if err := c.Freeze(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Kill(test.sig); err != nil {
				t.Fatal(err)
			}
			for _, cmd := range []*exec.Cmd{outer, inner} {
				if got := killedBy(ended(t, cmd)); got != test.sig {
					t.Errorf("died of %v, want %v", got, test.sig)
				}
			}
			if frozen(t, c) && c.freezerV1() {
				t.Error("frozen after Kill")
			}
		})
	}
}

// A signal other than KILL finds a paused container paused, and leaves it so.
func TestKillKeepsAPausedContainerPaused(t *testing.T) {
	c := created(t, nil)
	cmd := member(t, c)
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !frozen(t, c) {
		t.Error("thawed by SIGTERM")
	}
	if err := c.Thaw(); err != nil {
		t.Fatal(err)
	}
	if got := killedBy(ended(t, cmd)); got != unix.SIGTERM {
		t.Errorf("died of %v", got)
	}
}

func TestKillWithoutACgroup(t *testing.T) {
	c := newCgroup(t, nil)
	err := c.Kill(unix.SIGKILL)
	if !errors.Is(err, unix.ENOENT) {
		t.Fatalf("Kill in what is not there: %v", err)
	}
	wantClean(t, err)
}

// Nothing outruns Kill.
func TestKillForker(t *testing.T) {
	c := created(t, nil)
	var cmds []*exec.Cmd
	for range 3 {
		cmds = append(cmds, forker(t, c))
	}
	if err := c.Kill(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range cmds {
		ended(t, cmd)
	}
	if err := c.Destroy(); err != nil {
		t.Fatal(err)
	}
}

// signal must not take the 0 of a process out of sight for our own process group.
func TestSignalSkipsZero(t *testing.T) {
	if err := signal([]int{0, -1}, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The test process is still here to say so.
}

func TestDestroy(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup func(t *testing.T, c *Cgroup) []*exec.Cmd
	}{
		{"of what was never made", nil},
		{"empty", func(t *testing.T, c *Cgroup) []*exec.Cmd { return nil }},
		{"with a process", func(t *testing.T, c *Cgroup) []*exec.Cmd { return []*exec.Cmd{member(t, c)} }},
		{"frozen, empty", func(t *testing.T, c *Cgroup) []*exec.Cmd {
			if err := c.Freeze(); err != nil {
				t.Fatal(err)
			}
			return nil
		}},
		{"frozen, with a process", func(t *testing.T, c *Cgroup) []*exec.Cmd {
			cmd := member(t, c)
			if err := c.Freeze(); err != nil {
				t.Fatal(err)
			}
			return []*exec.Cmd{cmd}
		}},
		{"with sub-cgroups, processes in them", func(t *testing.T, c *Cgroup) []*exec.Cmd {
			outer := member(t, c)
			inner, innermost := child(t), child(t)
			if err := mkSub(t, c, "sub").Attach(inner.Process.Pid); err != nil {
				t.Fatal(err)
			}
			for _, dir := range c.dirs() {
				if err := os.Mkdir(filepath.Join(dir, "sub/sub"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			fillSubCpuset2(t, c)
			target, err := c.ExecTarget(0, map[string]string{"": "sub/sub"})
			if err != nil {
				t.Fatal(err)
			}
			if err := target.Attach(innermost.Process.Pid); err != nil {
				t.Fatal(err)
			}
			return []*exec.Cmd{outer, inner, innermost}
		}},
		{"with a frozen sub-cgroup", func(t *testing.T, c *Cgroup) []*exec.Cmd {
			inner := child(t)
			target := mkSub(t, c, "sub")
			if err := target.Attach(inner.Process.Pid); err != nil {
				t.Fatal(err)
			}
			sub := &Cgroup{saved: Saved{Layout: c.saved.Layout, Paths: target.paths}}
			if err := sub.Freeze(); err != nil {
				t.Fatal(err)
			}
			return []*exec.Cmd{inner}
		}},
		{"while it forks", func(t *testing.T, c *Cgroup) []*exec.Cmd { return []*exec.Cmd{forker(t, c), forker(t, c)} }},
		{"in one hierarchy only", func(t *testing.T, c *Cgroup) []*exec.Cmd {
			if c.Layout() == V2 {
				t.Skip("v2 has one hierarchy")
			}
			cmd := child(t)
			if err := writePid(c.Paths()["memory"], cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			return []*exec.Cmd{cmd}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCgroup(t, nil)
			var cmds []*exec.Cmd
			if test.setup != nil {
				if err := c.Create(); err != nil {
					t.Fatal(err)
				}
				cmds = test.setup(t, c)
			}
			start := time.Now()
			if err := c.Destroy(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > destroyTimeout {
				t.Errorf("took %v", took)
			}
			wantGone(t, c)
			for _, cmd := range cmds {
				if got := killedBy(ended(t, cmd)); got != unix.SIGKILL {
					t.Errorf("a process died of %v", got)
				}
			}
			if err := c.Destroy(); err != nil {
				t.Errorf("the second Destroy: %v", err)
			}
		})
	}
}

// A runtime that died before it had looked at the cgroup leaves a record behind that says so. What is
// in the cgroup then is another's.
func TestDestroySparesWhatIsNotOurs(t *testing.T) {
	defer func(old time.Duration) { unmadeTimeout = old }(unmadeTimeout)
	unmadeTimeout = 50 * time.Millisecond
	theirs := created(t, nil)
	cmd := member(t, theirs)
	ours, err := New(Config{ID: "ours", Path: theirs.saved.Path})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(ours.Saved())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, state := procStat(cmd.Process.Pid); state == "Z" || state == "" || !theirs.Exists() {
		t.Fatal("another's process was killed")
	}
	again.Adopt()
	if err := again.Destroy(); err != nil {
		t.Fatal(err)
	}
	ended(t, cmd)
	wantGone(t, theirs)
}

// A runtime that was started in the container's own cgroup must not freeze or kill itself: it would
// not come back. Here another process of this binary plays it.
func TestNothingIsDoneFromInside(t *testing.T) {
	c := created(t, nil)
	cmd := role("inside", c.saved.Path)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	onHold(t, c, cmd)()
	ended(t, cmd)
	for _, step := range []string{"freeze cgroup", "kill processes", "remove cgroup"} {
		if !strings.Contains(out.String(), step+": ") {
			t.Errorf("%s is missing in: %s", step, out.String())
		}
	}
	if strings.Count(out.String(), "EDEADLK (35): this process itself is in the cgroup") != 3 {
		t.Errorf("want three refusals: %s", out.String())
	}
}

func init() {
	roles["inside"] = func(args []string) error {
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return err
		}
		c, err := New(Config{ID: "x", Path: args[0]})
		if err != nil {
			return err
		}
		c.Adopt()
		fmt.Println(c.Freeze())
		fmt.Println(c.Kill(unix.SIGKILL))
		fmt.Println(c.Destroy())
		return nil
	}
}

// An empty one, made by a runtime that died at once, is removed.
func TestDestroyWhatWasHardlyMade(t *testing.T) {
	c := newCgroup(t, nil)
	before := c.Saved()
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	again, err := Load(before)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Destroy(); err != nil {
		t.Fatal(err)
	}
	wantGone(t, c)
}

func fillSubCpuset2(t testing.TB, c *Cgroup) {
	t.Helper()
	if dir := c.Paths()["cpuset"]; dir != "" {
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			write(t, read(t, dir, "sub", file), dir, "sub/sub", file)
		}
	}
}

// A process that cannot die (here: held by the freezer of a cgroup further up) is named, in bounded
// time, and when it has been let go a second Destroy does it.
func TestDestroyNamesSurvivors(t *testing.T) {
	needRoot(t)
	outer := created(t, nil)
	if !outer.freezerV1() {
		t.Skipf("on %s a frozen process dies of SIGKILL", outer.Layout())
	}
	inner := newCgroupAt(t, Config{Path: outer.saved.Path + "/inner"})
	if err := inner.Create(); err != nil {
		t.Fatal(err)
	}
	cmd := member(t, inner)
	if err := outer.Freeze(); err != nil {
		t.Fatal(err)
	}
	defer func(old time.Duration) { destroyTimeout = old }(destroyTimeout)
	destroyTimeout = 300 * time.Millisecond
	start := time.Now()
	err := inner.Destroy()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if err == nil {
		t.Fatal("Destroy of a cgroup with a process that cannot die")
	}
	wantClean(t, err)
	for _, want := range []string{"remove cgroup", fmt.Sprintf("still there: pid %d (cat", cmd.Process.Pid), "ETIMEDOUT (110)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if err := outer.Thaw(); err != nil {
		t.Fatal(err)
	}
	destroyTimeout = 10 * time.Second
	if err := inner.Destroy(); err != nil {
		t.Errorf("Destroy after the thaw: %v", err)
	}
	ended(t, cmd)
}

// Processes whose parent does not reap them do not keep a cgroup.
func TestDestroyWithZombies(t *testing.T) {
	c := created(t, nil)
	cmd := member(t, c) // reaped in the test's cleanup only
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Destroy(); err != nil {
		t.Fatal(err)
	}
	wantGone(t, c)
}

func TestDescribe(t *testing.T) {
	var many []int
	for i := range 10 {
		many = append(many, 1<<30+i)
	}
	if got := describe(many); !strings.HasPrefix(got, "pid 1073741824, pid 1073741825,") || !strings.HasSuffix(got, "and 2 more") {
		t.Errorf("describe = %q", got)
	}
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killLater(t, cmd)
	// It answers, so it is cat: the name comes a moment after the execve that Start waits for.
	if _, err := stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if got, want := describe([]int{cmd.Process.Pid}), fmt.Sprintf("pid %d (cat)", cmd.Process.Pid); got != want {
		t.Errorf("describe = %q, want %q", got, want)
	}
}
