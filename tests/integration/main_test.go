package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"runack/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// state is what `state` prints.
type state struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     string            `json:"created"`
	Annotations map[string]string `json:"annotations"`
}

func stateOf(e *harness.Env, id string) state {
	e.T.Helper()
	var s state
	if err := json.Unmarshal([]byte(e.OK("state", id)), &s); err != nil {
		e.T.Fatalf("state: %v", err)
	}
	return s
}

func wantStatus(e *harness.Env, id, want string) {
	e.T.Helper()
	if got := stateOf(e, id).Status; got != want {
		e.T.Fatalf("the container is %s, want %s", got, want)
	}
}

// What all packages of tests share, by shorter names.
var (
	wantField    = harness.WantField
	wantEqual    = harness.WantEqual
	wantContains = harness.WantContains
	mountsOf     = harness.ReadMounts
	sh           = harness.Shell
	amount       = harness.Amount
	parallel     = harness.Parallel
)

func run(e *harness.Env, edits ...harness.Edit) string { e.T.Helper(); return e.Run(edits...) }

func detached(e *harness.Env, edits ...harness.Edit) (id string, pid int) {
	e.T.Helper()
	return e.Detached(edits...)
}

func remove(e *harness.Env, id string) { e.T.Helper(); e.Remove(id) }

// procExe is the name of the program that a process of the host runs.
func procExe(t testing.TB, pid int) string {
	t.Helper()
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(exe)
}
