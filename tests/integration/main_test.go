package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// run runs a container in the foreground and returns what it wrote.
func run(e *harness.Env, edits ...harness.Edit) string {
	e.T.Helper()
	return e.OK("run", "-b", e.Bundle(edits...).Dir, e.ID("c"))
}

// detached starts a container that waits for SIGTERM, and returns its id and the pid of its init.
func detached(e *harness.Env, edits ...harness.Edit) (id string, pid int) {
	e.T.Helper()
	b := e.Bundle(append([]harness.Edit{harness.Probe("wait")}, edits...)...)
	id = e.ID("d")
	pidFile := filepath.Join(e.Dir, "pid-"+id)
	e.OK("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id)
	return id, e.ReadPid(pidFile)
}

// remove ends and deletes a container. It is what the end of most tests looks like.
func remove(e *harness.Env, id string) {
	e.T.Helper()
	e.OK("delete", "-f", id)
}

// field finds the value of a "Key:\tvalue" line, as in /proc/PID/status.
func field(t testing.TB, text, key string) string {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	t.Fatalf("no %s in:\n%s", key, text)
	return ""
}

func wantField(t testing.TB, text, key, want string) {
	t.Helper()
	if got := field(t, text, key); got != want {
		t.Errorf("%s is %q, want %q", key, got, want)
	}
}

func wantEqual(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
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

// procExe is the name of the program that a process of the host runs.
func procExe(t testing.TB, pid int) string {
	t.Helper()
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(exe)
}
