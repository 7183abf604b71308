package cgroupjoin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A hybrid host can be looked at as a pure one, in a private mount namespace:
//
//	"v1"  the unified hierarchy unmounted; on a pure v2 host the v1 hierarchies that can be mounted
//	"v2"  the unified hierarchy over /sys/fs/cgroup, with the few controllers it has
//	"ro"  every hierarchy read-only
//
// The library remembers what it saw first, so a view is a process of its own: the test binary again,
// with RUNACK_VIEW set.
func enterView(view string) error {
	if view == "" {
		return nil
	}
	switch os.Getenv("RUNACK_TEST_IN_NS") {
	case "":
		return reenter()
	case "made":
		return makeView(view)
	}
	return nil
}

// makeView changes the mounts and starts once more: the library has already looked at them, in its
// init.
func makeView(view string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	var err error
	switch view {
	case "v1":
		if isFS(cgroupRoot, unix.CGROUP2_SUPER_MAGIC) {
			err = mountOldHierarchies()
		} else {
			err = unix.Unmount(unifiedRoot, unix.MNT_DETACH)
		}
	case "v2":
		err = unix.Mount(unifiedRoot, cgroupRoot, "", unix.MS_BIND, "")
	case "ro":
		err = remountReadOnly()
	default:
		err = errors.New("no such view")
	}
	if err != nil {
		return fmt.Errorf("RUNACK_VIEW=%s: %w", view, err)
	}
	if err := os.Setenv("RUNACK_TEST_IN_NS", "seen"); err != nil {
		return err
	}
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

// mountOldHierarchies mounts what v2 does not have, or no cgroup of it makes use of.
func mountOldHierarchies() error {
	if err := unix.Mount("tmpfs", cgroupRoot, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, controller := range []string{"devices", "freezer", "net_cls", "net_prio", "hugetlb", "rdma"} {
		dir := filepath.Join(cgroupRoot, controller)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", dir, "cgroup", 0, controller); err != nil {
			return fmt.Errorf("the hierarchy %s: %w", controller, err)
		}
	}
	return nil
}

// reenter runs this binary again in a new mount namespace: mounting from here would be seen outside.
func reenter() error {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "RUNACK_TEST_IN_NS=made")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return err
	}
	os.Exit(cmd.ProcessState.ExitCode())
	return nil
}

func remountReadOnly() error {
	host, err := Detect()
	if err != nil {
		return err
	}
	for _, dir := range host.Mounts {
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("remount %s read-only: %w", dir, err)
		}
	}
	return nil
}

// isHybrid reports what the host is, apart from the view.
func isHybrid() bool {
	host, err := Detect()
	return err == nil && host.Layout == Hybrid
}

// TestViews runs all tests again in the pure views of a hybrid host.
func TestViews(t *testing.T) {
	if os.Getenv("RUNACK_VIEW") != "" {
		t.Skip("this is a view already")
	}
	needRoot(t)
	if !isHybrid() {
		t.Skip("the host is a pure one, tested as it is")
	}
	for _, view := range []string{"v1", "v2"} {
		t.Run(view, func(t *testing.T) { runView(t, view) })
	}
}

// runView gives each test of the other process a place in this one's report.
func runView(t *testing.T, view string) {
	args := []string{"-test.v", "-test.timeout=5m"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), "RUNACK_VIEW="+view)
	out, err := cmd.CombinedOutput()
	tests := parseVerbose(out)
	if len(tests) == 0 {
		t.Fatalf("no test ran in the view: %v\n%s", err, out)
	}
	failed := false
	for _, r := range tests {
		failed = failed || r.result == "FAIL"
		t.Run(r.name, func(t *testing.T) {
			switch r.result {
			case "FAIL":
				t.Errorf("failed in the %s view:\n%s", view, r.output)
			case "SKIP":
				t.Skipf("in the %s view: %s", view, r.output)
			}
		})
	}
	if err != nil && !failed {
		t.Errorf("the %s view: %v\n%s", view, err, out)
	}
}

type viewResult struct{ name, result, output string }

// parseVerbose reads top-level results out of `-test.v` output, each with what was logged before it:
// that is when a test logs, and its subtests too.
func parseVerbose(out []byte) []viewResult {
	var results []viewResult
	var log strings.Builder
	s := bufio.NewScanner(bytes.NewReader(out))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := s.Text()
		rest, isResult := strings.CutPrefix(line, "--- ")
		switch {
		case isResult:
			result, rest, _ := strings.Cut(rest, ": ")
			name, _, _ := strings.Cut(rest, " ")
			results = append(results, viewResult{name, result, log.String()})
			log.Reset()
		case !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(strings.TrimSpace(line), "--- "):
			log.WriteString(strings.TrimSpace(line) + "\n")
		}
	}
	return results
}
