// Package cgotest runs tests that need cgo, as libcontainer's packages do, from a build without it: the
// project's tests are built as the project is.
package cgotest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Run builds the calling package's tests with cgo and runs those named.
func Run(t *testing.T, names ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a test binary with cgo, which -short leaves out")
	}
	for _, tool := range []string{"go", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the comparison with libcontainer needs cgo, and %s is not here", tool)
		}
	}
	if _, err := os.Stat("../go.mod"); err != nil {
		t.Skip("the sources are not here")
	}
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "^("+strings.Join(names, "|")+")$", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range names {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass:\n%s", name, out)
		}
	}
}
