package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"runack/tests/harness"
)

// docker's state directory is so long that a socket's path in it exceeds the 107 bytes of
// sockaddr_un.
func TestARootAsLongAsDockers(t *testing.T) {
	e := harness.New(t)
	e.Root = filepath.Join(e.Dir, strings.Repeat("d", 60), "runtime-runack", "moby")
	long := e.ID(strings.Repeat("c", 64))
	if path := filepath.Join(e.Root, long, "start.sock"); len(path) <= 107 {
		t.Fatalf("%s has only %d bytes", path, len(path))
	}
	b := e.Bundle(harness.Probe("wait"))
	e.OK("create", "-b", b.Dir, long)
	wantStatus(e, long, "created")
	e.OK("start", long)
	wantStatus(e, long, "running")
	wantEqual(t, "exec", e.OK("exec", long, "echo", "in"), "in\n")
	remove(e, long)
}

func TestABundleInALongAndOddPath(t *testing.T) {
	e := harness.New(t)
	odd := filepath.Join(e.Dir, strings.Repeat("long ", 30), `with "quotes", commas=and:colons`)
	b := e.BundleIn(odd, harness.Shell("echo ok"))
	wantEqual(t, "output", e.OK("run", "-b", b.Dir, e.ID("c")), "ok\n")
}
