package cgroupjoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestCreateMakesEveryDirectory(t *testing.T) {
	for _, test := range []struct{ name, path string }{
		{"absolute", "/" + name()}, {"deep", "/" + name() + "/a/b"}, {"relative", name() + "/a"}, {"empty", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCgroupAt(t, Config{Path: test.path})
			if c.Exists() {
				t.Error("exists before Create")
			}
			if err := c.Create(); err != nil {
				t.Fatal(err)
			}
			if !c.Exists() {
				t.Error("does not exist after Create")
			}
			for controller, dir := range c.Paths() {
				if info, err := os.Stat(dir); err != nil || !info.IsDir() {
					t.Errorf("%s: %v", controller, err)
				}
			}
			if err := c.Undo(); err != nil {
				t.Fatal(err)
			}
			if left := leftovers(); len(left) > 0 {
				t.Errorf("Undo left %q", left)
			}
		})
	}
}

// A cpuset without CPUs or memory nodes takes no process: each directory has its parent's.
func TestCpusetIsUsable(t *testing.T) {
	for _, test := range []struct{ name, cpus, want string }{{"inherited", "", ""}, {"asked for", "0", "0"}} {
		t.Run(test.name, func(t *testing.T) {
			c := newCgroupAt(t, Config{Path: "/" + name() + "/a/b",
				Resources: &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: test.cpus}}})
			defer func() { _ = c.Undo() }()
			if err := c.Create(); err != nil {
				t.Fatal(err)
			}
			needController(t, c, "cpuset")
			if c.Layout() == V2 {
				t.Skip("v2 cpusets inherit by themselves")
			}
			dir := c.Paths()["cpuset"]
			want := test.want
			if want == "" {
				want = read(t, filepath.Dir(dir), "cpuset.cpus")
			}
			if got := read(t, dir, "cpuset.cpus"); got != want || got == "" {
				t.Errorf("cpuset.cpus is %q, want %q", got, want)
			}
			for d := dir; filepath.Base(d) != "cpuset"; d = filepath.Dir(d) {
				if read(t, d, "cpuset.mems") == "" {
					t.Errorf("%s has no memory nodes", d)
				}
			}
		})
	}
}

func TestCreateRefusesNonEmpty(t *testing.T) {
	for _, where := range []string{"", "sub"} {
		t.Run("process in "+strings.TrimSpace("the cgroup "+where), func(t *testing.T) {
			first := created(t, nil)
			cmd := child(t)
			target := first.Target()
			if where != "" {
				for _, dir := range first.Paths() {
					if err := os.Mkdir(filepath.Join(dir, where), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				fillSubCpuset(t, first, where)
				var err error
				if target, err = first.ExecTarget(0, map[string]string{"": where}); err != nil {
					t.Fatal(err)
				}
			}
			if err := target.Attach(cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			second, err := New(Config{ID: "second", Path: first.saved.Path})
			if err != nil {
				t.Fatal(err)
			}
			err = second.Create()
			if !errors.Is(err, ErrNotEmpty) {
				t.Fatalf("Create in a cgroup with a process: %v", err)
			}
			wantClean(t, err)
			for _, want := range []string{"container's cgroup is not empty", "1 process(es) found", fmt.Sprintf("pid %d (cat)", cmd.Process.Pid)} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in: %v", want, err)
				}
			}
			if !first.Exists() || unix.Kill(cmd.Process.Pid, 0) != nil {
				t.Error("the refused Create has touched the cgroup")
			}
		})
	}
}

// fillSubCpuset makes a v1 sub-cgroup able to take processes.
func fillSubCpuset(t testing.TB, c *Cgroup, sub string) {
	t.Helper()
	if dir := c.Paths()["cpuset"]; dir != "" {
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			write(t, read(t, dir, file), dir, sub, file)
		}
	}
}

func TestCreateRefusesFrozen(t *testing.T) {
	for _, test := range []struct{ name, below string }{{"itself", ""}, {"by one above it", "/a/b"}} {
		t.Run(test.name, func(t *testing.T) {
			outer := created(t, nil)
			if err := outer.Freeze(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = outer.Thaw() }()
			c, err := New(Config{ID: "x", Path: outer.saved.Path + test.below})
			if err != nil {
				t.Fatal(err)
			}
			err = c.Create()
			if !errors.Is(err, ErrFrozen) || !strings.Contains(err.Error(), "container's cgroup unexpectedly frozen") {
				t.Errorf("Create in a frozen cgroup: %v", err)
			}
			if _, err := os.Stat(filepath.Join(outer.mainPath(), "a")); err == nil {
				t.Error("the refused Create has left a directory")
			}
			if !outer.Exists() {
				t.Error("the refused Create has removed what it had not made")
			}
		})
	}
}

// An empty cgroup that is there already may be used, and Undo leaves it.
func TestCreateTakesAnEmptyOne(t *testing.T) {
	first := created(t, nil)
	second, err := New(Config{ID: "second", Path: first.saved.Path})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Create(); err != nil {
		t.Fatal(err)
	}
	if err := second.Undo(); err != nil {
		t.Fatal(err)
	}
	if !first.Exists() {
		t.Error("Undo has removed a cgroup that was there before")
	}
}

// Undo takes the processes with it, and leaves a parent that somebody else uses.
func TestUndo(t *testing.T) {
	parent := "/" + name()
	c := newCgroupAt(t, Config{Path: parent + "/a/b"})
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	cmd := member(t, c)
	other := newCgroupAt(t, Config{Path: parent + "/other"})
	if err := other.Create(); err != nil {
		t.Fatal(err)
	}
	if err := c.Undo(); err != nil {
		t.Fatal(err)
	}
	if state := ended(t, cmd); state.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("the process has ended with %v", state)
	}
	wantGone(t, c)
	if !other.Exists() {
		t.Error("Undo has removed a parent in use")
	}
	if _, err := os.Stat(filepath.Dir(c.mainPath())); err == nil {
		t.Error("Undo has left a parent that nobody uses")
	}
	removeParents(t, other)
}

// removeParents removes what is above a container's own directory. Destroy leaves that: other
// containers may be made there any moment.
func removeParents(t testing.TB, c *Cgroup) {
	t.Helper()
	t.Cleanup(func() {
		_ = c.Destroy()
		for _, dir := range c.Paths() {
			_ = unix.Rmdir(filepath.Dir(dir))
		}
	})
}

// Containers that come and go below the same new parent do not disturb each other.
func TestCreateAndUndoAtOnce(t *testing.T) {
	needRoot(t)
	parent := "/" + name()
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for round := range rounds {
				c, err := New(Config{ID: "x", Path: fmt.Sprintf("%s/p/c%d-%d", parent, worker, round)})
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.Create(); err != nil {
					t.Errorf("Create: %v", err)
				}
				if err := c.Undo(); err != nil {
					t.Errorf("Undo: %v", err)
				}
			}
		})
	}
	group.Wait()
	// Whoever comes last takes the parents away: one that was made by a worker that lost a race for
	// removing it is removed here.
	c, err := New(Config{ID: "x", Path: parent + "/p/last"})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range c.Paths() {
		_ = unix.Rmdir(filepath.Dir(dir))
		_ = unix.Rmdir(filepath.Dir(filepath.Dir(dir)))
	}
}

// A refused limit, and Undo: nothing is left.
func TestRefusedLimitLeavesNothing(t *testing.T) {
	for _, test := range []struct {
		name       string
		r          specs.LinuxResources
		controller string
		v1, v2     string // file and value in the message; empty: accepted there
		errno      unix.Errno
	}{
		{"pids over the kernel's maximum", *pids(1<<40)(0, 0), "pids", `"1099511627776"` + "*pids.max", `"1099511627776"` + "*pids.max", unix.EINVAL},
		{"cpu quota under a millisecond", *cpu(specs.LinuxCPU{Quota: ptr(int64(10))})(0, 0), "cpu", `"10"*cpu.cfs_quota_us`, `"10 100000"*cpu.max`, unix.EINVAL},
		{"no such CPU", *cpu(specs.LinuxCPU{Cpus: "8191"})(0, 0), "cpuset", `"8191"*cpuset.cpus`, "", unix.EINVAL},
		{"cpus that are none", *cpu(specs.LinuxCPU{Cpus: "first"})(0, 0), "cpuset", `"first"*cpuset.cpus`, `"first"*cpuset.cpus`, unix.EINVAL},
		{"no such memory node", *cpu(specs.LinuxCPU{Mems: "63"})(0, 0), "cpuset", `"63"*cpuset.mems`, "", unix.EINVAL},
		{"swap below memory", *memory(specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(32 << 20))})(0, 0), "memory",
			`"33554432"*memory.memsw.limit_in_bytes`, `"33554432"*memory.swap.max`, unix.EINVAL},
		{"swappiness", *memory(specs.LinuxMemory{Swappiness: ptr(uint64(101))})(0, 0), "memory", `"101"*memory.swappiness`, "", unix.EINVAL},
		{"shares", *cpu(specs.LinuxCPU{Shares: ptr(uint64(1))})(0, 0), "cpu", `"1"*cpu.shares`, "", unix.ERANGE},
		{"throttle of no device", specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{noDevice()}}},
			"blkio", `"4000:1 5"*blkio.throttle.read_bps_device`, "", unix.ENODEV},
		{"throttle of no device on v2", specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{noDevice()}}},
			"io", "", `"4000:1 rbps=5"*io.max`, unix.ENODEV},
		{"no such page size", specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}},
			"hugetlb", `"1"*hugetlb.3MB.limit_in_bytes`, `"1"*hugetlb.3MB.max`, unix.ENOENT},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCgroupAt(t, Config{Path: "/" + name() + "/sub", Resources: &test.r})
			want := test.v1
			if c.Layout() == V2 {
				want = test.v2
			}
			if want == "" {
				t.Skipf("%s has no such refusal", c.Layout())
			}
			err := c.Create()
			if err == nil {
				if !hasController(c, test.controller) {
					_ = c.Undo()
					t.Skipf("this host (%s) has no %s controller", c.Layout(), test.controller)
				}
				err = c.Set(nil)
			}
			if err == nil {
				t.Fatal("the kernel took it")
			}
			wantClean(t, err)
			value, file, _ := strings.Cut(want, "*")
			if !errors.Is(err, test.errno) && !errors.Is(err, unix.ERANGE) {
				t.Errorf("errno of %v, want %v", err, test.errno)
			}
			for _, part := range []string{value, "/" + file, unix.ErrnoName(errnoOf(err)) + " ("} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s is missing in: %v", part, err)
				}
			}
			if err := c.Undo(); err != nil {
				t.Fatal(err)
			}
			if left := leftovers(); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func noDevice() specs.LinuxThrottleDevice {
	d := specs.LinuxThrottleDevice{Rate: 5}
	d.Major, d.Minor = 4000, 1
	return d
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	errors.As(err, &errno)
	return errno
}

// On a read-only cgroup file system nothing can be made, and the error says where.
func TestReadOnlyHierarchy(t *testing.T) {
	needRoot(t)
	if os.Getenv("RUNACK_VIEW") != "" {
		t.Skip("the read-only view is made from the host as it is")
	}
	out, err := roleInView("ro", "read-only")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"create cgroup", "EROFS (30)", testPrefix + "ro"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in: %s", want, out)
		}
	}
	if left := leftovers(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// roleInView runs a role of this binary in a view and gives what it prints.
func roleInView(view, name string, args ...string) (string, error) {
	cmd := role(name, append([]string{testPrefix}, args...)...)
	cmd.Env = append(cmd.Env, "RUNACK_VIEW="+view)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func init() {
	roles["read-only"] = func(args []string) error {
		c, err := New(Config{ID: "x", Path: "/" + args[0] + "ro/a"})
		if err != nil {
			return err
		}
		err = c.Create()
		if err == nil {
			return errors.New("Create worked on a read-only hierarchy")
		}
		fmt.Println(err)
		if errors.Is(err, unix.EROFS) {
			return c.Destroy() // of nothing, on a read-only mount
		}
		return err
	}
}

// Controllers that are mounted together have one directory. A rootless container that may not make it
// does without it for all of them.
func TestCreateWithoutACommonDirectory(t *testing.T) {
	needRoot(t)
	dir := "/sys/kernel/" + name() // where nobody may
	c, err := Load(Saved{Layout: V1, Rootless: true, Paths: map[string]string{"cpu": dir, "cpuacct": dir}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	if files, err := c.JoinFDs(); len(c.Paths()) != 0 || len(files) != 0 || err != nil {
		t.Errorf("paths %v, descriptors %v, %v", c.Paths(), files, err)
	}
}
