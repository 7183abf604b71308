package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the whole test process shares; set once by Main, before any test.
var shared struct {
	repo    string // root of the source tree
	runtime string // absolute path of the runtime under test
	name    string // its base name: runack, runc, crun
	dir     string // of this run, in the directory for temporary files
	marker  string // in every name that this run makes
	private bool   // we are in a mount namespace of our own
	skip    string // why no test of this process can run; "" if they can
	slow    int    // factor for deadlines
}

// Set for the process that runs the tests, by the one that watches over it.
const insideVar = "RUNACK_TEST_INSIDE"

// Main runs the tests of a package and leaves. It runs them in a child with a mount namespace of
// its own: there the mount table is nobody else's, so that it can be compared whole, and / can be
// shared as it is on a host with systemd. What stays behind is a janitor that clears up after a
// crashed or timed out test process.
func Main(m *testing.M) {
	if dir := os.Getenv(insideVar); dir != "" {
		os.Exit(inside(m, dir))
	}
	os.Exit(watch())
}

// watch is the janitor.
func watch() int {
	code, err := watchChild()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	return code
}

func watchChild() (int, error) {
	if err := becomeSubreaper(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "runack-test-")
	if err != nil {
		return 0, err
	}
	// Containers with users of their own must be able to get at their roots.
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), insideVar+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Pdeathsig is about the thread that forks, which must therefore stay.
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	// Handed on and not ignored: an ignored signal would stay ignored in every runtime under test.
	// SIGQUIT is what `go test` sends after its timeout, for the stacks.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	if err := cmd.Start(); err != nil {
		return 0, errors.Join(fmt.Errorf("start the test process: %w", err), os.RemoveAll(dir))
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	_ = cmd.Wait() // the status says it
	left := sweep(markerOf(dir), dir)
	for _, l := range left {
		_, _ = fmt.Fprintf(os.Stderr, "harness: cleared up after the test process: %s\n", l)
	}
	state := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if state.Signaled() {
		return 128 + int(state.Signal()), fmt.Errorf("the test process died of %v", state.Signal())
	}
	if len(left) > 0 && state.ExitStatus() == 0 {
		return 1, nil
	}
	return state.ExitStatus(), nil
}

func becomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	return nil
}

// markerOf makes the marker of a run from the unique part of its directory's name.
func markerOf(dir string) string {
	return "rt" + filepath.Base(dir)[len("runack-test-"):]
}

// inside runs the tests.
func inside(m *testing.M, dir string) int {
	if err := prepare(dir); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	code := m.Run()
	children.stop()
	return code
}

func prepare(dir string) error {
	shared.dir, shared.marker = dir, markerOf(dir)
	shared.slow = 1
	if n, err := strconv.Atoi(os.Getenv("RUNACK_SLOW")); err == nil && n > 0 {
		shared.slow = n
	}
	if err := findRuntime(); err != nil {
		return err
	}
	if err := becomeSubreaper(); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		shared.private = true
		// As systemd leaves it: what a runtime forgets to make private shows up out here.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
			return fmt.Errorf("share /: %w", err)
		}
		if err := enterView(os.Getenv("RUNACK_VIEW")); err != nil {
			return err
		}
	} else {
		shared.skip = "needs root"
	}
	// The file mode mask is inherited by everything that is started from here.
	unix.Umask(0o022)
	children.start()
	return warmUp()
}

// warmUp makes the Go runtime open the descriptors that it opens once and keeps (epoll, eventfd),
// so that no test is blamed for them.
func warmUp() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	if err := r.SetReadDeadline(time.Now()); err != nil {
		return err
	}
	_, _ = r.Read(make([]byte, 1)) // the deadline's error
	return nil
}

// findRuntime sets the binary under test.
func findRuntime() error {
	repo, err := findRepo()
	if err != nil {
		return err
	}
	shared.repo = repo
	path := filepath.Join(repo, "bin", "runack")
	if p := os.Getenv("RUNACK"); p != "" {
		path = p
	}
	if p := os.Getenv("RUNTIME"); p != "" && p != "runack" {
		if path, err = exec.LookPath(p); err != nil {
			return fmt.Errorf("RUNTIME=%s: %w", p, err)
		}
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no %s: run `make build` first", path)
	}
	shared.runtime, shared.name = path, filepath.Base(path)
	return nil
}

func findRepo() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("tests run inside the source tree: no go.mod above the working directory")
		}
		dir = up
	}
}

// Soak tells whether the long form of a test was asked for.
func Soak() bool { return os.Getenv("RUNACK_SOAK") == "1" }

// Slow tells whether this is an emulated machine (RUNACK_SLOW).
func Slow() bool { return shared.slow > 1 }

// Deadline is d on a real machine and longer on an emulated one.
func Deadline(d time.Duration) time.Duration { return d * time.Duration(shared.slow) }
