package cgroupjoin

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// cgroupsOf gives where a process is, by controller, as absolute directories.
func cgroupsOf(t testing.TB, pid int) map[string]string {
	t.Helper()
	host, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	lines, err := readOwn("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, l := range lines {
		if len(l.controllers) == 0 {
			l.controllers = []string{""}
		}
		for _, controller := range l.controllers {
			if mount, ok := host.Mounts[controller]; ok {
				out[controller] = filepath.Join(mount, l.path)
			}
		}
	}
	return out
}

func wantIn(t testing.TB, pid int, paths map[string]string) {
	t.Helper()
	got := cgroupsOf(t, pid)
	for controller, want := range paths {
		if got[controller] != want {
			t.Errorf("pid %d: controller %q: in %s, want %s", pid, controller, got[controller], want)
		}
	}
}

// joiner starts a single-threaded process that writes 0 to each descriptor it gets, says so, and
// stays. With birth it is born in that directory.
func joiner(t testing.TB, files []*os.File, birth *os.File) (*exec.Cmd, error) {
	t.Helper()
	script := fmt.Sprintf(`for fd in $(seq 3 %d); do echo 0 >&$fd || exit 9; done; echo joined; read end`, 2+len(files))
	cmd := exec.Command("bash", "-c", script)
	keepOpen(t, cmd)
	cmd.ExtraFiles = files
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if birth != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(birth.Fd())}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	killLater(t, cmd)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "joined\n" {
		return nil, fmt.Errorf("the joining process says %q, %w", line, err)
	}
	return cmd, nil
}

// The stage's way: descriptors from the runtime, "0" from a process with one thread.
func TestJoinByDescriptor(t *testing.T) {
	c := created(t, sampleResources())
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	files, err := c.JoinFDs()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	if len(files) != len(c.dirs()) {
		t.Errorf("%d descriptors for %d directories", len(files), len(c.dirs()))
	}
	if last := filepath.Dir(files[len(files)-1].Name()); c.freezerV1() && last != c.Paths()["freezer"] {
		t.Errorf("the last to be joined is %s, want the freezer", last)
	}
	for _, f := range files {
		want := "tasks"
		if filepath.Dir(f.Name()) == c.Paths()[""] {
			want = "cgroup.procs"
		}
		if filepath.Base(f.Name()) != want {
			t.Errorf("descriptor of %s, want %s", f.Name(), want)
		}
		flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_ACCMODE != unix.O_WRONLY {
			t.Errorf("%s: flags %#x, %v; want write-only", f.Name(), flags, err)
		}
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s is not close-on-exec", f.Name())
		}
	}
	cmd, err := joiner(t, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantIn(t, cmd.Process.Pid, c.Paths())
}

// CLONE_INTO_CGROUP: on v2 there is nothing left to join, on a hybrid host the v1 hierarchies are.
func TestBirth(t *testing.T) {
	c := created(t, nil)
	birth, err := c.BirthFD()
	if err != nil {
		t.Fatal(err)
	}
	if c.Layout() == V1 {
		if birth != nil {
			t.Fatal("v1 has no cgroup to be born in")
		}
		return
	}
	defer birth.Close()
	files, err := c.Enter(0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	for _, f := range files {
		if filepath.Base(f.Name()) != "tasks" {
			t.Errorf("a child born in the v2 hierarchy is to write to %s", f.Name())
		}
	}
	if c.Layout() == V2 && len(files) != 0 {
		t.Errorf("%d descriptors are left on v2", len(files))
	}
	cmd, err := joiner(t, files, birth)
	if err != nil {
		t.Fatal(err)
	}
	wantIn(t, cmd.Process.Pid, c.Paths())
}

// A child that could not be born in its cgroup gets there all the same.
func TestEnterUnborn(t *testing.T) {
	c := created(t, nil)
	cmd := child(t)
	files, err := c.Enter(cmd.Process.Pid, false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	if c.Layout() == V2 {
		if len(files) != 0 {
			t.Errorf("%d descriptors; on v2 the runtime moves the child", len(files))
		}
	} else {
		if cmd, err = joiner(t, files, nil); err != nil {
			t.Fatal(err)
		}
	}
	wantIn(t, cmd.Process.Pid, c.Paths())
}

func TestAttach(t *testing.T) {
	c := created(t, nil)
	cmd := member(t, c)
	wantIn(t, cmd.Process.Pid, c.Paths())
	err := c.Attach(1 << 22)
	if !errors.Is(err, unix.ESRCH) {
		t.Fatalf("Attach of no process: %v", err)
	}
	wantClean(t, err)
	if want := `write "4194304" to `; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "ESRCH (3)") {
		t.Errorf("%q is missing in: %v", want, err)
	}
}

func TestJoinWhatIsNotThere(t *testing.T) {
	c := newCgroup(t, nil)
	files, err := c.JoinFDs()
	if !errors.Is(err, unix.ENOENT) || len(files) != 0 {
		t.Fatalf("JoinFDs = %d files, %v; want ENOENT", len(files), err)
	}
	wantClean(t, err)
	before := openDescriptors(t)
	_, _ = c.JoinFDs()
	for fd := range openDescriptors(t) { // what an earlier test left may go meanwhile
		if !before[fd] {
			t.Errorf("a JoinFDs that failed left descriptor %s", fd)
		}
	}
	if c.Layout() == V2 {
		if _, err := c.BirthFD(); !errors.Is(err, unix.ENOENT) {
			t.Errorf("BirthFD = %v; want ENOENT", err)
		}
	}
}

// openDescriptors are the numbers of this process's descriptors, each with what it is of.
func openDescriptors(t testing.TB) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]bool{}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not the one that listed them
			open[e.Name()+" of "+target] = true
		}
	}
	return open
}

// exec --cgroup.
func TestSubCgroup(t *testing.T) {
	c := created(t, nil)
	mkSub(t, c, "sub")
	some := c.dirs()[0]
	var controller string
	for name, dir := range c.Paths() {
		if dir == some {
			controller = name
		}
	}
	for _, test := range []struct {
		name string
		sub  map[string]string
		err  string
	}{
		{"all of them", map[string]string{"": "sub"}, ""},
		{"itself", map[string]string{"": "/"}, ""},
		{"one controller", map[string]string{controller: "sub"}, ""},
		{"not there", map[string]string{"": "other"}, "ENOENT (2)"},
		{"out of it", map[string]string{"": "../x"}, "bad sub cgroup path"},
		{"a neighbour", map[string]string{"": "../" + filepath.Base(some) + "x"}, "bad sub cgroup path"},
		{"no such controller", map[string]string{"coffee": "sub"}, "unknown controller coffee"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := child(t)
			target, err := c.ExecTarget(0, test.sub)
			if err == nil {
				err = target.Attach(cmd.Process.Pid)
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got %v, want %q", err, test.err)
				}
				wantClean(t, err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := c.Paths()
			for name := range want {
				sub, ok := test.sub[name]
				if !ok {
					sub = test.sub[""]
				}
				want[name] = filepath.Join(want[name], sub)
			}
			wantIn(t, cmd.Process.Pid, want)
		})
	}
	if len(c.Paths()) == 0 {
		t.Error("ExecTarget has changed the cgroup")
	}
}

// kind, docker in docker, systemd inside: init has moved down and switched a controller on, so that
// v2 answers EBUSY to whoever wants to be beside it.
func TestExecWhereInitHasMoved(t *testing.T) {
	c := created(t, nil)
	if c.Layout() != V2 {
		t.Skipf("only v2 keeps processes out of inner cgroups; this is %s", c.Layout())
	}
	dir := c.Paths()[""]
	controllers := strings.Fields(read(t, dir, "cgroup.controllers"))
	i := slices.IndexFunc(controllers, func(name string) bool { return name == "memory" || name == "hugetlb" || name == "io" })
	if i < 0 {
		t.Skipf("no domain controller here: %q", controllers)
	}
	init := member(t, c)
	target, err := c.ExecTarget(init.Process.Pid, nil)
	if err != nil {
		t.Fatal(err)
	}
	if target.paths[""] != dir {
		t.Errorf("before the move the target is %s", target.paths[""])
	}

	sub := mkSub(t, c, "init")
	if err := sub.Attach(init.Process.Pid); err != nil {
		t.Fatal(err)
	}
	write(t, "+"+controllers[i], dir, "cgroup.subtree_control")
	other := child(t)
	if err := c.Attach(other.Process.Pid); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("the container's own cgroup: %v, want EBUSY", err)
	}
	if target, err = c.ExecTarget(init.Process.Pid, nil); err != nil {
		t.Fatal(err)
	}
	birth, err := target.BirthFD()
	if err != nil {
		t.Fatal(err)
	}
	defer birth.Close()
	born, err := joiner(t, nil, birth)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Attach(other.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{born.Process.Pid, other.Process.Pid} {
		wantIn(t, pid, map[string]string{"": filepath.Join(dir, "init")})
	}
	// A target of before the move leads there too.
	late := child(t)
	stale := c.Target()
	stale.init = init.Process.Pid
	if err := stale.Attach(late.Process.Pid); err != nil {
		t.Error(err)
	}
	wantIn(t, late.Process.Pid, map[string]string{"": filepath.Join(dir, "init")})
	again, err := c.InitTarget(init.Process.Pid)
	if err != nil || again.paths[""] != target.paths[""] {
		t.Errorf("InitTarget = %v, %v", again, err)
	}
}

// Threaded controllers are no hindrance.
func TestThreadedControllersDoNotRefuse(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		on   string
		want bool
	}{{"", false}, {"cpu pids\n", false}, {"cpuset perf_event", false}, {"cpu memory", true}, {"hugetlb", true}} {
		write(t, test.on, touch(t, dir, "cgroup.subtree_control"))
		if got := refusesProcesses(dir); got != test.want {
			t.Errorf("refusesProcesses with %q on = %v", test.on, got)
		}
	}
	if !refusesProcesses(filepath.Join(dir, "gone")) {
		t.Error("a cgroup that is gone takes no process")
	}
}

func touch(t testing.TB, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
