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
	dir := filepath.Join(filepath.Dir(harness.ControlFile("devices", path, "cgroup.procs", "cgroup.procs")), "sub")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if harness.CgroupVersion() == "v2" {
		return "sub"
	}
	return "devices:sub"
}

// A v1 cpuset without processors takes no process. The error names the file.
func TestExecIntoASubCgroupThatTakesNone(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's own")
	if harness.CgroupVersion() == "v2" {
		t.Skip("a cpuset of v2 has its parent's processors")
	}
	needController(e, "cpuset")
	path := e.Cgroup("c")
	id, _ := detached(e, harness.CgroupsPath(path))
	sub := harness.ControlFile("cpuset", path, "sub", "")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	harness.OneLine(t, e.Fails(255, "exec", "--cgroup", "cpuset:sub", id, "true"), "stage-1: join cgroup: "+sub+"/tasks: ENOSPC (28)")
	remove(e, id)
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

// An exec that is frozen and does not die, since on v1 SIGKILL waits for the thaw, ends at its deadline all
// the same.
func TestExecIntoAPauseComesToItsDeadline(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("others wait for ever")
	needFreezer(e)
	id, _ := detached(e)
	e.OK("pause", id)
	stderr := e.Runtime("exec", "--ignore-paused", id, "true").Env("RUNACK_TIMEOUT=1s").Fails(255)
	harness.OneLine(t, stderr, "stage-1", "no answer within 1s")
	if harness.CgroupVersion() != "v2" {
		wantContains(t, "what is left", stderr, "SIGKILL is pending")
	}
	e.OK("resume", id)
	remove(e, id)
}
