package cgroupjoin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The tests work on real cgroups, as root, under names that begin with testPrefix: on the host as it
// is, and (views_test.go) in private views of it. The test binary plays all other parts as well:
// RUNACK_TEST_ROLE picks one of roles.
var (
	testPrefix = fmt.Sprintf("runack-test-%d-", os.Getpid())
	testNumber atomic.Int64
)

var roles = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	if err := enterView(os.Getenv("RUNACK_VIEW")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if role := os.Getenv("RUNACK_TEST_ROLE"); role != "" {
		if err := roles[role](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	for _, dir := range leftovers() {
		fmt.Fprintln(os.Stderr, "left behind:", dir)
		code = 1
	}
	os.Exit(code)
}

// leftovers looks where this process could have made cgroups: below every mount, and below its own
// cgroup in each.
func leftovers() []string {
	var found []string
	host, err := Detect()
	if err != nil {
		return []string{err.Error()}
	}
	for controller, mount := range host.Mounts {
		places := []string{mount}
		if own, err := v1OwnDir(host, controller); err == nil && own != mount {
			places = append(places, own, filepath.Dir(own))
		}
		for _, place := range places {
			dirs, _ := filepath.Glob(filepath.Join(place, testPrefix+"*"))
			found = append(found, dirs...)
		}
	}
	return found
}

func v1OwnDir(h Host, controller string) (string, error) {
	own, err := readOwn("/proc/self/cgroup")
	if err != nil || controller == "" {
		return h.Mounts[controller], err
	}
	return ownDir(h.Mounts[controller], controller, own)
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	host, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	if host.Layout == None {
		t.Skip("no cgroup hierarchy is mounted")
	}
}

// name gives a name that no other test has.
func name() string { return fmt.Sprintf("%s%d", testPrefix, testNumber.Add(1)) }

// newCgroup gives a cgroup with a name of its own that is gone when the test ends, and asserts that.
func newCgroup(t testing.TB, r *specs.LinuxResources) *Cgroup {
	t.Helper()
	return newCgroupAt(t, Config{Path: "/" + name(), Resources: r})
}

func newCgroupAt(t testing.TB, cfg Config) *Cgroup {
	t.Helper()
	needRoot(t)
	if cfg.ID == "" {
		cfg.ID = name()
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Destroy(); err != nil {
			t.Errorf("Destroy: %v", err)
		}
		wantGone(t, c)
	})
	return c
}

// created is newCgroup with its directories made.
func created(t testing.TB, r *specs.LinuxResources) *Cgroup {
	t.Helper()
	c := newCgroup(t, r)
	if err := c.Create(); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return c
}

func wantGone(t testing.TB, c *Cgroup) {
	t.Helper()
	for _, dir := range c.Paths() {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is still there", dir)
		}
	}
}

// child starts a process that does nothing until the test ends.
func child(t testing.TB) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("cat")
	keepOpen(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killLater(t, cmd)
	return cmd
}

// role is this binary in one of roles.
func role(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "RUNACK_TEST_ROLE="+name)
	return cmd
}

// onHold starts a command in c that waits for a line on its stdin, which start gives it.
func onHold(t testing.TB, c *Cgroup, cmd *exec.Cmd) (start func()) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killLater(t, cmd)
	if err := c.Attach(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := stdin.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// killLater ends a process with the test. It does not wait: one that is frozen dies only when its
// cgroup is destroyed, later on.
func killLater(t testing.TB, cmd *exec.Cmd) {
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		go func() { _ = cmd.Wait() }()
	})
}

// keepOpen gives a command a stdin that says nothing.
func keepOpen(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = r
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
}

// member starts a process in c.
func member(t testing.TB, c *Cgroup) *exec.Cmd {
	t.Helper()
	cmd := child(t)
	if err := c.Attach(cmd.Process.Pid); err != nil {
		t.Fatalf("Attach: %v", err)
	}
	return cmd
}

func read(t testing.TB, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func write(t testing.TB, value string, parts ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(parts...), []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// ended waits until a process has ended, and fails the test if it does not.
func ended(t testing.TB, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := pollUntil([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, time.Now().Add(10*time.Second)); err != nil {
		t.Fatalf("pid %d has not ended: %v", cmd.Process.Pid, err)
	}
	_ = cmd.Wait()
	return cmd.ProcessState
}

// wantClean fails for the phrases that clients take for a statement about the container's program.
func wantClean(t testing.TB, err error) {
	t.Helper()
	for _, phrase := range []string{
		"no such file or directory", "permission denied", "is a directory", "not a directory",
		"executable file not found", "operation not permitted",
	} {
		if strings.Contains(err.Error(), phrase) {
			t.Errorf("error has %q in it: %v", phrase, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

func hasController(c *Cgroup, controller string) bool {
	if c.Layout() == V2 {
		on, _ := os.ReadFile(filepath.Join(c.Paths()[""], "cgroup.controllers"))
		for _, name := range strings.Fields(string(on)) {
			if name == controller {
				return true
			}
		}
		return false
	}
	return c.Paths()[controller] != ""
}

// needController skips a test on a host without one.
func needController(t testing.TB, c *Cgroup, controller string) {
	t.Helper()
	if !hasController(c, controller) {
		t.Skipf("this host (%s) has no %s controller", c.Layout(), controller)
	}
}

func ptr[T any](v T) *T { return &v }
