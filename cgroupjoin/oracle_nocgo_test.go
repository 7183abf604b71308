//go:build !cgo

package cgroupjoin

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestSpecconv builds and runs the tests of oracle_cgo_test.go: the project's tests are built as the
// project is, without cgo.
func TestSpecconv(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a test binary with cgo, which -short leaves out")
	}
	if os.Getenv("RUNACK_VIEW") != "" {
		t.Skip("a conversion has nothing to do with the view")
	}
	for _, tool := range []string{"go", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("runc's conversion needs cgo, and %s is not here", tool)
		}
	}
	if _, err := os.Stat("go.mod"); err != nil {
		if _, err := os.Stat("../go.mod"); err != nil {
			t.Skip("the sources are not here")
		}
	}
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "^(TestSpecconv|TestOwnerIsRuncs)$", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestSpecconv") ||
		!strings.Contains(string(out), "--- PASS: TestOwnerIsRuncs") {
		t.Errorf("%v\n%s", err, out)
	}
}
