package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(m) }

// found looks again and picks the leftovers of a kind whose text has a part.
func found(e *Env, kind, part string) []Leftover {
	var picked []Leftover
	for _, l := range e.look().since(e.before) {
		if l.Kind == kind && strings.Contains(l.What, part) {
			picked = append(picked, l)
		}
	}
	return picked
}

// mustFind fails unless exactly one leftover of the kind is found, and removes it.
func mustFind(t *testing.T, e *Env, kind, part string) {
	t.Helper()
	left := found(e, kind, part)
	if len(left) != 1 {
		t.Fatalf("found %d leftovers of kind %q with %q; there are:\n%v", len(left), kind, part, e.look().since(e.before))
	}
	thaw(left)
	for _, err := range dropAll(left) {
		t.Error(err)
	}
	children.reap()
	if again := found(e, kind, part); len(again) != 0 && left[0].drop != nil {
		t.Errorf("still there after it was removed: %v", again)
	}
}

func TestNothingIsLeftOfNothing(t *testing.T) {
	e := New(t)
	if left := e.look().since(e.before); len(left) != 0 {
		t.Errorf("found %v", left)
	}
}

func TestAnOrphanIsFound(t *testing.T) {
	e := New(t)
	// The shell leaves once its child is what it is to be found as.
	const named = ` & until read name </proc/$!/comm && [ "$name" = sleep ]; do :; done`
	e.Command("/bin/sh", "-c", "sleep 12345"+named).OK()
	mustFind(t, e, "process", "sleep 12345")
	e.Command("/bin/sh", "-c", "setsid sleep 54321"+named).OK()
	mustFind(t, e, "process", "sleep 54321")
}

func TestAZombieOfALivingParentIsFound(t *testing.T) {
	e := New(t)
	// What the shell becomes does not know the shell's child, which ends only then.
	p := e.Command("/bin/sh", "-c", "sleep 1000 & echo $!; exec cat /proc/self/comm -").Piped().Stdin(openPipe(t)).Start()
	pid := 0
	if _, err := fmt.Sscan(p.Line(), &pid); err != nil {
		t.Fatal(err)
	}
	if line := strings.TrimSpace(p.Line()); line != "cat" {
		t.Fatalf("what the shell became says %q", line)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !ended(pid, 5*time.Second) {
		t.Fatal("the child has not ended")
	}
	if left := found(e, "process", fmt.Sprintf("pid %d ", pid)); len(left) != 1 || !strings.Contains(left[0].What, "(Z, ") {
		t.Errorf("the zombie is not among %v", e.look().since(e.before))
	}
	p.Signal(syscall.SIGKILL)
	p.Wait()
}

// openPipe is something to read from that stays silent until the test ends.
func openPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
	return r
}

func TestAMountIsFound(t *testing.T) {
	e := New(t)
	dir := filepath.Join(e.Dir, "with space")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one on top of the other
		if err := unix.Mount("planted", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	left := found(e, "mount", "planted")
	if len(left) != 2 {
		t.Fatalf("found %v, want two mounts", left)
	}
	for _, err := range dropAll(left) {
		t.Error(err)
	}
	if left := found(e, "mount", ""); len(left) != 0 {
		t.Errorf("still there: %v", left)
	}
}

func plantMount(e *Env) (dir string) {
	e.T.Helper()
	dir = filepath.Join(e.Dir, "m")
	if err := os.Mkdir(dir, 0o755); err != nil {
		e.T.Fatal(err)
	}
	if err := unix.Mount("planted", dir, "tmpfs", 0, ""); err != nil {
		e.T.Fatal(err)
	}
	return dir
}

func TestAMountThatIsGoneOrChangedIsFound(t *testing.T) {
	e := New(t)
	dir := plantMount(e)
	before := e.look()
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if left := e.look().since(before); len(left) != 2 || !strings.HasPrefix(left[1].What, "gone from the host or changed") {
		t.Errorf("propagation changed, found %v", left)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if left := e.look().since(before); len(left) != 1 || !strings.HasPrefix(left[0].What, "gone from the host or changed") {
		t.Errorf("unmounted, found %v", left)
	}
}

// What others mount and remove beside the test is theirs.
func TestAMountOfSomebodyElsesIsNotMissed(t *testing.T) {
	e := New(t)
	dir := plantMount(e)
	before := e.look()
	// In a mount namespace in which nothing is mounted there.
	e.Command("busybox", "unshare", "-m", "busybox", "sh", "-c", `busybox umount "$0" && busybox rmdir "$0"`, dir).OK()
	if left := e.look().since(before); len(left) != 0 {
		t.Errorf("found %v", left)
	}
}

func TestACgroupIsFoundInEveryHierarchy(t *testing.T) {
	e := New(t)
	v1, v2 := cgroupMounts()
	if len(v1)+len(v2) == 0 {
		t.Skip("no cgroups on this machine")
	}
	for _, top := range append(v1, v2...) {
		t.Run(filepath.Base(top), func(t *testing.T) {
			if err := os.MkdirAll(filepath.Join(top, e.ID("planted"), "below"), 0o755); err != nil {
				t.Fatal(err)
			}
			mustFind(t, e, "cgroup", filepath.Join(top, e.ID("planted")))
		})
	}
}

func TestAFrozenProcessInItsCgroupIsFoundAndRemoved(t *testing.T) {
	e := New(t)
	dir, file, frozen := "", "", ""
	switch {
	case exists("/sys/fs/cgroup/freezer"):
		dir, file, frozen = filepath.Join("/sys/fs/cgroup/freezer", e.ID("frozen")), "freezer.state", "FROZEN"
	case exists("/sys/fs/cgroup/cgroup.controllers"):
		dir, file, frozen = filepath.Join("/sys/fs/cgroup", e.ID("frozen")), "cgroup.freeze", "1"
	default:
		t.Skip("no freezer on this machine")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e.Command("/bin/sh", "-c", "echo 0 >"+dir+"/cgroup.procs; sleep 12345 &").OK()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(frozen), 0); err != nil {
		t.Fatal(err)
	}
	left := e.look().since(e.before)
	if len(left) != 2 || left[0].Kind != "cgroup" || left[1].Kind != "process" {
		t.Fatalf("found %v, want the cgroup and the process", left)
	}
	thaw(left)
	for _, err := range dropAll(left) {
		t.Error(err)
	}
	children.reap()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestFilesAndStateAreFound(t *testing.T) {
	e := New(t)
	for kind, path := range map[string]string{
		"state": filepath.Join(e.Root, "container"),
		"file":  filepath.Join(e.Temp, "anything"),
	} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		mustFind(t, e, kind, path)
	}
	for _, dir := range []string{"/tmp", "/dev/shm", "/run"} {
		path := filepath.Join(dir, "x-"+e.ID("planted"))
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		mustFind(t, e, "file", path)
	}
}

func TestADescriptorIsFound(t *testing.T) {
	e := New(t)
	fd, err := unix.MemfdCreate("planted", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, e, "descriptor", "planted")
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

func TestAPinnedNetworkNamespaceIsFound(t *testing.T) {
	e := New(t)
	path := e.File("pinned", "")
	// The thread with the new namespace must not be used again: it dies with its goroutine.
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mustFind(t, e, "network namespace", path)
}

// A recorder stands for a test that is meant to fail.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	said     []string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Errorf(format string, args ...any) { r.Logf(format, args...); r.failed = true }
func (r *recorder) Failed() bool                      { return r.failed }
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Name() string                      { return "recorder" }

func (r *recorder) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

func TestALeftoverFailsTheTestAndIsRemoved(t *testing.T) {
	r := &recorder{TB: t}
	e := New(r)
	e.Command("/bin/sh", "-c", "sleep 12345 &").OK()
	if err := os.MkdirAll(filepath.Join(e.Root, "c1"), 0o755); err != nil {
		t.Fatal(err)
	}
	e.patience = 100 * time.Millisecond
	r.end()
	said := strings.Join(r.said, "\n")
	if !r.failed || !strings.Contains(said, "left behind: process:") || !strings.Contains(said, "sleep 12345") ||
		!strings.Contains(said, "left behind: state:") || !strings.Contains(said, "2 things left behind") {
		t.Errorf("failed: %v, said:\n%s", r.failed, said)
	}
	if left := e.look().since(e.before); len(left) != 0 {
		t.Errorf("still there: %v", left)
	}
	if exists(e.Dir) {
		t.Error("the test's directory is still there")
	}
}

func TestAProcessAboutToEndIsWaitedFor(t *testing.T) {
	r, until := &recorder{TB: t}, openPipeUntil(t, 300*time.Millisecond)
	e := New(r)
	p := e.Command("/bin/sh", "-c", "exec 3<&0; (read x <&3) & echo").Piped().Stdin(until).Start()
	p.Line()
	p.Wait()
	r.end()
	if r.failed {
		t.Errorf("said: %s", strings.Join(r.said, "\n"))
	}
}

// openPipeUntil is a pipe whose other end closes after a while.
func openPipeUntil(t *testing.T, d time.Duration) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = w.Close() })
	t.Cleanup(func() { timer.Stop(); _ = w.Close(); _ = r.Close() })
	return r
}

func TestACommandThatHangsIsExplainedAndEnded(t *testing.T) {
	e := New(t)
	_, err := e.Command("/bin/sleep", "12345").Within(300 * time.Millisecond).Try()
	if err == nil || !strings.Contains(err.Error(), "has not ended within") || !strings.Contains(err.Error(), "`/bin/sleep 12345`") {
		t.Errorf("got %v", err)
	}
}

// Orphans are reaped with their status while the commands of tests keep theirs.
func TestOrphansAreReapedAndCommandsAreNot(t *testing.T) {
	e := New(t)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			r, err := e.Command("/bin/sh", "-c", fmt.Sprintf("sh -c 'exit %d' & exit %d", i, i)).Try()
			if err != nil || r.Code != i {
				t.Errorf("%v, %v; want exit code %d", r, err, i)
			}
		})
	}
	group.Wait()
	p := e.Command("/bin/sh", "-c", "sh -c 'read x; exit 7' 0<&3 & echo $!").Files(openPipeUntil(t, 100*time.Millisecond)).Piped().Start()
	pid := 0
	if _, err := fmt.Sscan(p.Line(), &pid); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if status := e.WaitExit(pid); status.ExitStatus() != 7 {
		t.Errorf("the orphan's status is %v, want 7", status)
	}
}

const crashVar = "RUNACK_TEST_CRASH"

// The test runs itself in another process, and there leaves things behind and crashes.
func TestTheJanitorClearsUpAfterACrash(t *testing.T) {
	e := New(t)
	if os.Getenv(crashVar) != "" {
		leaveAndCrash(t, e)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := e.Command(exe, "-test.run=^TestTheJanitorClearsUpAfterACrash$").In(shared.repo+"/tests/harness").
		Env(crashVar+"=1", "RUNACK="+shared.runtime).Do()
	if r.Code == 0 || !strings.Contains(r.Stderr, "panic: crash") {
		t.Fatal(r)
	}
	for _, want := range []string{"cleared up after the test process: process:", "sleep 12345", "cleared up after the test process: cgroup:"} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("the janitor does not say %q: %s", want, r)
		}
	}
	_, after, _ := strings.Cut(r.Stderr, "directory ")
	dir, _, _ := strings.Cut(after, "\n")
	if dir == "" || exists(dir) {
		t.Errorf("the run's directory %q is still there", dir)
	}
}

func leaveAndCrash(t *testing.T, e *Env) {
	v1, v2 := cgroupMounts()
	for _, top := range append(v1, v2...)[:1] {
		if err := os.Mkdir(filepath.Join(top, e.ID("planted")), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	e.Command("/bin/sh", "-c", "sleep 12345 &").OK()
	_, _ = fmt.Fprintf(os.Stderr, "directory %s\n", shared.dir)
	go panic("crash")
	select {}
}
