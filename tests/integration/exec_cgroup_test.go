package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runack/tests/harness"
)

// subCgroup makes one below the container's, and gives the argument of --cgroup for it.
func subCgroup(t testing.TB, path string) (argument string) {
	t.Helper()
	dir := filepath.Join(filepath.Dir(harness.ControlFile("pids", path, "cgroup.procs", "cgroup.procs")), "sub")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if harness.CgroupVersion() == "v2" {
		return "sub"
	}
	return "pids:sub"
}

func TestExecIntoASubCgroup(t *testing.T) {
	e := harness.New(t)
	path := e.Cgroup("c")
	id, _ := detached(e, harness.CgroupsPath(path), harness.WithoutNamespace("cgroup"))
	argument := subCgroup(t, path)
	out := e.OK("exec", "--cgroup", argument, id, "cat", "/proc/self/cgroup")
	inSub := 0
	for line := range strings.Lines(out) {
		if strings.HasSuffix(strings.TrimSpace(line), path+"/sub") {
			inSub++
		}
	}
	if inSub != 1 {
		t.Errorf("with --cgroup %s the process is in:\n%s", argument, out)
	}
	for _, wrong := range []string{strings.Replace(argument, "sub", "none", 1), "../x", "nosuch:sub"} {
		harness.OneLine(t, e.Fails(255, "exec", "--cgroup", wrong, id, "true"))
	}
	remove(e, id)
}

// In a paused container an exec waits, like everything in there; asked for, it is set up all the same.
func TestExecCanIgnoreAPause(t *testing.T) {
	e := harness.New(t)
	needFreezer(e)
	id, _ := detached(e)
	e.OK("pause", id)
	p := e.Runtime("exec", "--ignore-paused", id, "sh", "-c", "exit 5").Start()
	wantStatus(e, id, "paused")
	e.OK("resume", id)
	if r := p.Wait(); r.Code != 5 {
		t.Error(r)
	}
	remove(e, id)
}
