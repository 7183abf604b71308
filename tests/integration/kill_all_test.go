package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

type pidNamespace struct {
	name string
	edit func(e *harness.Env) harness.Edit
}

// Where a container's processes are: in a PID namespace of its own, in another container's, in the
// host's. In the latter two init's death takes nobody with it.
var pidNamespaces = []pidNamespace{
	{"private", func(*harness.Env) harness.Edit { return func(*spec) {} }},
	{"shared", func(e *harness.Env) harness.Edit {
		b := e.Bundle(harness.Probe("wait"))
		file := filepath.Join(e.Dir, "pid-owner")
		e.OK("run", "-d", "--pid-file", file, "-b", b.Dir, e.ID("owner"))
		return harness.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", e.ReadPid(file)))
	}},
	{"the host's", func(*harness.Env) harness.Edit { return harness.WithoutNamespace(specs.PIDNamespace) }},
}

// someNamespaces are all of them, and on an emulated machine the one that needs the cgroup most.
func someNamespaces() []pidNamespace {
	if harness.Slow() {
		return pidNamespaces[1:2]
	}
	return pidNamespaces
}

// family runs a container with three more processes beside init, one of them in a sub-cgroup, and
// gives all pids.
func family(e *harness.Env, edits ...harness.Edit) (id string, init int, all []int) {
	e.T.Helper()
	cgroup := e.Cgroup("c")
	id, init = detached(e, append(edits, harness.CgroupsPath(cgroup))...)
	for range 2 {
		e.OK("exec", "-d", id, "/bin/probe", "wait")
	}
	e.OK("exec", "-d", "--cgroup", subCgroup(e.T, cgroup), id, "/bin/probe", "wait")
	if all = processes(e, id); len(all) != 4 {
		e.T.Fatalf("pids %v; want four", all)
	}
	return id, init, all
}

func processes(e *harness.Env, id string) (pids []int) {
	e.T.Helper()
	if err := json.Unmarshal([]byte(e.OK("ps", "-f", "json", id)), &pids); err != nil {
		e.T.Fatal(err)
	}
	return pids
}

func wantEnded(e *harness.Env, pids []int, sig syscall.Signal) {
	e.T.Helper()
	for _, pid := range pids {
		if status := e.WaitExit(pid); status.Signal() != sig {
			e.T.Errorf("pid %d ended with %#x, want signal %v", pid, status, sig)
		}
	}
}

// kill --all reaches every process, whoever's namespace they are in, and a paused one too.
func TestKillAll(t *testing.T) {
	for _, ns := range someNamespaces() {
		for _, paused := range []bool{true, false} {
			if !paused && harness.Slow() {
				continue // the easier half
			}
			t.Run(fmt.Sprintf("%s, paused %v", ns.name, paused), func(t *testing.T) {
				e := harness.New(t)
				id, _, all := family(e, ns.edit(e))
				if paused {
					needFreezer(e)
					e.OK("pause", id)
				}
				e.OK("kill", "--all", id, "KILL")
				wantEnded(e, all, syscall.SIGKILL)
				wantStatus(e, id, "stopped")
				e.OK("kill", "--all", id, "KILL") // as the caller wants it
				e.OK("delete", id)
				e.OK("delete", "-f", e.ID("owner"))
			})
		}
	}
}

func TestKillAllByAnySignal(t *testing.T) {
	e := harness.New(t)
	cgroup := e.Cgroup("c")
	id, _ := detached(e, harness.CgroupsPath(cgroup), harness.WithoutNamespace(specs.PIDNamespace), harness.Args("sleep", "1000"))
	e.OK("exec", "-d", id, "sleep", "1000")
	e.OK("exec", "-d", "--cgroup", subCgroup(t, cgroup), id, "sleep", "1000")
	all := processes(e, id)
	e.OK("kill", "--all", id, "HUP")
	wantEnded(e, all, syscall.SIGHUP)
	e.OK("delete", id)
}

// The cgroup of a container that has ended may be gone, as a scope of systemd is: then nothing runs.
func TestKillWithoutItsCgroup(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runc 1.1 stumbles")
	cgroup := e.Cgroup("c")
	id, pid := detached(e, harness.CgroupsPath(cgroup), harness.WithoutNamespace(specs.PIDNamespace))
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		dirs, _ := filepath.Glob(pattern + cgroup)
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	e.OK("kill", "--all", id, "KILL")
	harness.OneLine(t, e.Fails(1, "kill", id, "KILL"), "not running")
	e.OK("delete", id)
}

// Without --all, SIGKILL takes what init's death leaves behind as well: nobody else would.
func TestKillAllOfASharedNamespaceByKILL(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runc 1.1 leaves them to delete")
	id, _, all := family(e, pidNamespaces[2].edit(e))
	e.OK("kill", id, "KILL")
	wantEnded(e, all, syscall.SIGKILL)
	e.OK("delete", id)
}

// delete ends what init has left behind, forced or not.
func TestDeleteForceEndsEveryProcess(t *testing.T) {
	for _, ns := range someNamespaces() {
		for _, how := range []string{"init ended", "init runs", "paused"} {
			t.Run(ns.name+", "+how, func(t *testing.T) {
				e := harness.New(t)
				id, init, all := family(e, ns.edit(e))
				args := []string{"delete", "-f", id}
				switch how {
				case "init ended":
					if err := syscall.Kill(init, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
					e.WaitExit(init)
					all = without(all, init)
					args = []string{"delete", id}
				case "paused":
					needFreezer(e)
					e.OK("pause", id)
				}
				e.OK(args...)
				wantEnded(e, all, syscall.SIGKILL)
				e.OK("delete", "-f", e.ID("owner"))
			})
		}
	}
}

func without(pids []int, one int) (rest []int) {
	for _, pid := range pids {
		if pid != one {
			rest = append(rest, pid)
		}
	}
	return rest
}

// An init that cannot die is named, with what holds it, in bounded time. When it is let go a second
// delete does it. The v1 freezer of a cgroup further up makes such an init; on v2 a frozen process
// dies.
func TestDeleteForceNamesWhoDoesNotDie(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's own")
	if os.Getenv("RUNACK_VIEW") != "" || !harness.HasController("freezer") {
		t.Skip("needs the v1 freezer, and takes ten seconds: once is enough")
	}
	cgroup := e.Cgroup("c")
	id, pid := detached(e, harness.CgroupsPath(cgroup))
	above := filepath.Join("/sys/fs/cgroup/freezer", filepath.Dir(cgroup))
	freeze := func(state string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(above, "freezer.state"), []byte(state), 0); err != nil {
			t.Fatal(err)
		}
	}
	freeze("FROZEN")
	defer freeze("THAWED")
	harness.OneLine(t, e.Fails(1, "delete", "-f", id), "container init still running after 10s",
		fmt.Sprintf("still there: pid %d (probe, state D), frozen by %s", pid, above))
	freeze("THAWED")
	e.OK("delete", "-f", id)
	if strings.Contains(e.OK("list", "-q"), id) {
		t.Error("the container is still listed")
	}
}
