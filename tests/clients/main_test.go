package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runack/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// A feature is a row of the table: what a client is asked to do, and the test of it.
type feature[C any] struct {
	name string
	test func(C)
}

// run runs features one after the other, each on a copy of the client that reports to its own test.
// after looks for what the feature left behind.
func run[C any](t *testing.T, list []feature[C], on func(testing.TB) C, after func(C)) {
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			t.Cleanup(func() {
				if !t.Skipped() {
					after(on(t))
				}
			})
			f.test(on(t))
		})
	}
}

// Where `deps clients` unpacks packages that are not installed, as they would be below /.
func unpacked(path string) string {
	return filepath.Join(filepath.Dir(harness.ProbePath()), "clients", "root", path)
}

// Where clients are looked for. Not in $PATH as it is: /usr/local may have a foreign one that
// drives a virtual machine or another host.
func clientPath() string {
	path := strings.Join([]string{unpacked("usr/sbin"), unpacked("usr/bin"), "/usr/sbin:/usr/bin:/sbin:/bin",
		filepath.Join(filepath.Dir(harness.ProbePath()), "crictl"), // where make builds it
		filepath.Dir(harness.RuntimePath()),                        // for containerd, which looks for our shim
	}, ":")
	if dir := os.Getenv("RUNACK_CLIENTS"); dir != "" {
		path = dir + ":" + path
	}
	return path
}

// clientEnv is what a client needs in its environment wherever it comes from.
func clientEnv() []string {
	env := []string{"PATH=" + clientPath(), "LD_LIBRARY_PATH=" + libraryPath()}
	if plugins, _ := filepath.Glob(unpacked("usr/lib/*-linux-gnu/xtables")); plugins != nil {
		env = append(env, "XTABLES_LIBDIR="+plugins[0])
	}
	return env
}

// libraryPath is where unpacked clients find their libraries; "" if nothing had to be unpacked.
func libraryPath() string {
	dirs, _ := filepath.Glob(unpacked("usr/lib/*-linux-gnu"))
	return strings.Join(dirs, ":")
}

// program finds a client's program, or skips the test.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(clientPath()) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	t.Skipf("%s is not there: tests/tools/deps clients fetches it", name)
	return ""
}

// version notes for the table whose features a test tries, in which version.
func version(t testing.TB, client, versions string) { t.Logf("client: %s: %s", client, versions) }

// imageTar makes the image of all tests: a tar file of busybox and the probe, as a root file system.
func imageTar(e *harness.Env) string {
	e.T.Helper()
	rootfs := e.Bundle().Rootfs
	// A program that may not be executed, for exit code 126.
	if err := os.WriteFile(filepath.Join(rootfs, "bin/noexec"), []byte("#!/bin/sh\n"), 0o644); err != nil {
		e.T.Fatal(err)
	}
	tar := filepath.Join(e.Dir, "image.tar")
	e.Command("tar", "-C", rootfs, "-cf", tar, ".").OK()
	return tar
}

// exitCodes are those to try: all of them in the long form.
func exitCodes() []int {
	if !harness.Soak() {
		return []int{0, 1, 42, 125, 127, 255}
	}
	codes := make([]int, 256)
	for i := range codes {
		codes[i] = i
	}
	return codes
}

// deadlySignals are signals that end a process by default: all of them in the long form.
func deadlySignals() []int {
	if !harness.Soak() {
		return []int{1, 9, 15, 64}
	}
	var list []int
	for n := 1; n <= 64; n++ {
		switch n {
		case 17, 18, 19, 20, 21, 22, 23, 28: // CHLD, CONT, the stopping ones, URG, WINCH
		case 32, 33: // libc's own
		default:
			list = append(list, n)
		}
	}
	return list
}

func wantEqual(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func wantCode(t testing.TB, r harness.Result, want int) {
	t.Helper()
	if r.Code != want {
		t.Errorf("want exit code %d: %s", want, r)
	}
}

func wantContains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s does not say %q: %s", what, p, text)
		}
	}
}

// lines gives the lines of a text, without the empty one at its end.
func lines(text string) []string {
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// together runs f n times at once and reports what failed.
func together(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// exactly says how a result differs from what was wanted, nil if it does not.
func exactly(r harness.Result, code int, stdout string) error {
	if r.Code != code || r.Stdout != stdout {
		return fmt.Errorf("want exit code %d and %q: %s", code, stdout, r)
	}
	return nil
}

func listDir(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
