package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An Env is what one test has to itself: a state directory for the runtime, names, bundles. When
// the test ends, the Env fails it for everything that is left behind.
type Env struct {
	T    testing.TB
	Dir  string // for the test's files
	Root string // the runtime's --root
	Temp string // the runtime's TMPDIR

	// Vars are added to the environment of every runtime that the Env starts.
	Vars []string

	*envState
}

// What all copies of an Env share (see On).
type envState struct {
	marker  string
	before  snapshot
	mu      sync.Mutex
	bundles int
	files   int
	cgroups []string // parents that Cgroup has handed out

	pipes []*pipe // what piped commands are read from

	patience time.Duration // for processes that are about to end when the test does
}

// One Env at a time: the checker looks at the whole process.
var (
	envInUse sync.Mutex
	envCount int
)

// New makes an Env, or skips the test where containers cannot run at all. The check for leftovers
// is the last of the test's cleanups, so whatever those clear up is not held against it.
func New(t testing.TB) *Env {
	t.Helper()
	if shared.skip != "" {
		t.Skip(shared.skip)
	}
	if shared.dir == "" {
		t.Fatal("harness: this package's TestMain does not call harness.Main")
	}
	if !envInUse.TryLock() {
		t.Fatal("harness: another test of this process has an Env; those run one after the other, subtests use Env.On")
	}
	t.Cleanup(envInUse.Unlock)
	envCount++
	e := &Env{T: t, envState: &envState{
		marker:   fmt.Sprintf("%s-%d-", shared.marker, envCount),
		patience: Deadline(5 * time.Second),
	}}
	e.Dir = filepath.Join(shared.dir, fmt.Sprint(envCount))
	e.Root, e.Temp = filepath.Join(e.Dir, "state"), filepath.Join(e.Dir, "tmp")
	for _, dir := range []string{e.Dir, e.Temp} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	children.reset()
	e.before = e.look()
	t.Cleanup(e.finish)
	return e
}

// On is the same Env for a subtest.
func (e *Env) On(t testing.TB) *Env {
	c := *e
	c.T = t
	return &c
}

func (e *Env) look() snapshot {
	return take(shared.marker, map[string]string{e.Root: "state", e.Temp: "file"})
}

// finish checks for leftovers and removes them.
func (e *Env) finish() {
	e.T.Helper()
	e.removeCgroupParents()
	for _, p := range e.pipes {
		p.close()
	}
	limit := e.patience
	if e.T.Failed() {
		limit = 0 // a failed test need not have cleared up
	}
	left := settle(e.before, func() snapshot {
		e.removeCgroupParents() // emptied by what was about to end
		return e.look()
	}, limit)
	for _, l := range left {
		if e.T.Failed() {
			e.T.Logf("left behind by the failed test: %s", l)
		} else {
			e.T.Logf("left behind: %s", l)
		}
	}
	if len(left) > 0 && !e.T.Failed() {
		e.T.Errorf("%d things left behind", len(left))
	}
	thaw(left)
	for _, err := range dropAll(left) {
		e.T.Logf("could not be removed: %v", err)
	}
	children.reap()
	e.removeCgroupParents()
	if err := os.RemoveAll(e.Dir); err != nil {
		e.T.Errorf("the test's directory: %v", err)
	}
}

// ID makes a container id that no other test has.
func (e *Env) ID(name string) string { return e.marker + name }

// Cgroup makes a value for linux.cgroupsPath below a parent that is this test's alone. The parent
// is removed when the test ends; what a runtime left in it is not, and counts as left behind.
func (e *Env) Cgroup(name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	parent := "/" + e.marker + "cg"
	if !slices.Contains(e.cgroups, parent) {
		e.cgroups = append(e.cgroups, parent)
	}
	return parent + "/" + name
}

func (e *Env) removeCgroupParents() {
	v1, v2 := cgroupMounts()
	for _, top := range append(v1, v2...) {
		for _, parent := range e.cgroups {
			_ = unix.Rmdir(top + parent) // not there, or not empty: the check tells
		}
	}
}

// IsRunack tells whether runack is under test, and not another runtime for comparison.
func IsRunack() bool { return shared.name == "runack" }

// RuntimeName is the base name of the runtime under test.
func RuntimeName() string { return shared.name }

// RunackOnly skips the test for other runtimes, for a reason that says how they differ.
func (e *Env) RunackOnly(reason string) {
	e.T.Helper()
	if !IsRunack() {
		e.T.Skipf("%s: %s", shared.name, reason)
	}
}

// WaitExit waits until an adopted process, such as the init of a detached container, has ended,
// and gives its status.
func (e *Env) WaitExit(pid int) syscall.WaitStatus {
	e.T.Helper()
	status, err := children.waitAdopted(pid, Deadline(30*time.Second))
	if err != nil {
		e.T.Fatal(err)
	}
	return status
}

// File writes a file into the test's directory and returns its path.
func (e *Env) File(name, content string) string {
	e.T.Helper()
	path := filepath.Join(e.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		e.T.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		e.T.Fatal(err)
	}
	return path
}

// Read reads a file.
func (e *Env) Read(path string) string {
	e.T.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		e.T.Fatal(err)
	}
	return string(b)
}

// ReadPid reads a pid file.
func (e *Env) ReadPid(path string) int {
	e.T.Helper()
	var pid int
	text := e.Read(path)
	if _, err := fmt.Sscanf(text, "%d", &pid); err != nil || strings.TrimSpace(text) != fmt.Sprint(pid) {
		e.T.Fatalf("pid file %s holds %q", path, text)
	}
	return pid
}

// AssertClean fails the test at once if anything has been left behind so far, for tests that look
// after each of many steps.
func (e *Env) AssertClean() {
	e.T.Helper()
	left := settle(e.before, e.look, e.patience)
	for _, l := range left {
		e.T.Errorf("left behind: %s", l)
	}
	if len(left) > 0 {
		e.T.FailNow()
	}
}

// Rebase makes what there is now count as having been there before: containers that live through a
// test of many steps.
func (e *Env) Rebase() { e.before = e.look() }

// FailpointsPath is runack built with failpoints (act/failpoints.go).
func FailpointsPath() string { return filepath.Join(shared.repo, "build", "runack-failpoints") }

// RuntimePath is the runtime under test, for hooks that call it.
func RuntimePath() string { return shared.runtime }
