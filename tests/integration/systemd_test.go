package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"runack/tests/harness"
)

// needSystemd skips where systemd is not in charge. The virtual machine has it.
func needSystemd(e *harness.Env) {
	e.T.Helper()
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		e.T.Skip("systemd does not run this host")
	}
}

// withSystemd is a command of the runtime that lets systemd make the cgroups.
func withSystemd(e *harness.Env, args ...string) *harness.Cmd {
	return e.Runtime(append([]string{"--systemd-cgroup"}, args...)...)
}

func unitState(e *harness.Env, unit string) string {
	e.T.Helper()
	return strings.TrimSpace(e.Command("systemctl", "show", "--value", "-p", "LoadState", "-p", "ActiveState", unit).OK())
}

// A whole life in a scope of systemd's, with every verb that touches the cgroup.
func TestSystemdScopeFromCreateToDelete(t *testing.T) {
	e := harness.New(t)
	needSystemd(e)
	for _, row := range []struct{ name, path, unit, slice string }{
		{"slice, prefix and name", "system.slice:runack-test:" + e.ID("c"), "runack-test-" + e.ID("c") + ".scope", "/system.slice/"},
		{"the default path", "", "runc-" + e.ID("c") + ".scope", "/system.slice/"},
		{"a slice of its own", "runack-a.slice:x:" + e.ID("c"), "x-" + e.ID("c") + ".scope", "/runack.slice/runack-a.slice/"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := e.On(t)
			id := e.ID("c")
			b := e.Bundle(harness.Probe("wait"), harness.CgroupsPath(row.path), pidsLimit(17), memoryLimit(64<<20))
			withSystemd(e, "create", "-b", b.Dir, id).OK()
			wantStatus(e, id, "created")
			pid := stateOf(e, id).Pid
			e.OK("start", id)
			dir := "/sys/fs/cgroup" + row.slice + row.unit
			wantEqual(t, "cgroup of init", strings.TrimSpace(e.Read(fmt.Sprintf("/proc/%d/cgroup", pid))), "0::"+row.slice+row.unit)
			wantEqual(t, "the unit", unitState(e, row.unit), "loaded\nactive")
			wantEqual(t, "pids.max", e.Read(filepath.Join(dir, "pids.max")), "17\n")
			wantEqual(t, "cgroup of an exec", e.OK("exec", id, "cat", "/proc/self/cgroup"), e.OK("exec", id, "cat", "/proc/1/cgroup"))
			e.OK("update", "--pids-limit", "18", "--memory", "96m", "--memory-swap", "96m", id)
			e.Command("systemctl", "daemon-reload").OK() // it must not undo the update
			wantEqual(t, "pids.max", e.Read(filepath.Join(dir, "pids.max")), "18\n")
			wantEqual(t, "memory.max", e.Read(filepath.Join(dir, "memory.max")), "100663296\n")
			e.OK("pause", id)
			wantStatus(e, id, "paused")
			e.OK("resume", id)
			wantContains(t, "events", e.OK("events", "--stats", id), `"limit":18`)
			wantEqual(t, "processes", e.OK("ps", "-f", "json", id), fmt.Sprintf("[%d]\n", pid))
			e.OK("kill", "--all", id, "KILL")
			e.WaitExit(pid)
			e.OK("kill", "--all", id, "KILL") // the scope may be gone
			harness.OneLine(t, e.Fails(1, "kill", id, "TERM"), "not running")
			e.OK("delete", id)
			wantEqual(t, "the unit after delete", unitState(e, row.unit), "not-found\ninactive")
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is still there", dir)
			}
		})
	}
	e.Command("systemctl", "stop", "runack.slice").OK()
}

// A container that was killed for want of memory can be started again under its name: the failed
// scope does not stay. 100 times in `make soak`.
func TestSystemdScopeAfterOOM(t *testing.T) {
	e := harness.New(t)
	needSystemd(e)
	b := e.Bundle(harness.Args(hog...), memoryLimit(smallMemory), harness.CgroupsPath("system.slice:runack-test:"+e.ID("c")))
	for range amount(100, 10) {
		if r := withSystemd(e, "run", "-b", b.Dir, e.ID("c")).Do(); r.Code != 128+int(syscall.SIGKILL) || r.Signal != 0 {
			t.Fatalf("want the exit code 137: %s", r)
		}
	}
	wantEqual(t, "the unit", unitState(e, "runack-test-"+e.ID("c")+".scope"), "not-found\ninactive")
}

// Without the bus root still reaches systemd by its private socket. What fails names the unit.
func TestSystemdScopeWithoutABus(t *testing.T) {
	e := harness.New(t)
	needSystemd(e)
	b := e.Bundle(harness.Args("/bin/true"), harness.CgroupsPath("system.slice:runack-test:"+e.ID("c")))
	withSystemd(e, "run", "-b", b.Dir, e.ID("c")).Env("DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere").OK()
	b.Edit(annotate("org.systemd.property.NoSuchThing", "true"))
	harness.OneLine(t, withSystemd(e, "run", "-b", b.Dir, e.ID("c")).Fails(1), "start unit runack-test-"+e.ID("c")+".scope", "NoSuchThing")
	e.AssertClean()
}

// A container whose state is damaged runs in a scope nevertheless, and delete --force finds it.
func TestSystemdScopeOfADamagedState(t *testing.T) {
	e := harness.New(t)
	needSystemd(e)
	for name, path := range map[string]string{"the default path": "", "a path": "system.slice:runack-test:" + e.ID("c")} {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			id, pidFile := e.ID("c"), filepath.Join(e.Dir, "pid")
			b := e.Bundle(harness.Probe("wait"), harness.CgroupsPath(path))
			withSystemd(e, "run", "-d", "--pid-file", pidFile, "-b", b.Dir, id).OK()
			if err := os.WriteFile(filepath.Join(e.Root, id, "state.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
			e.OK("delete", "-f", id)
			e.WaitExit(e.ReadPid(pidFile))
		})
	}
}

// Root of a user namespace, as in a system container, is served by its systemd as root.
func TestSystemdScopeByRootOfAUserNamespace(t *testing.T) {
	e := harness.New(t)
	needSystemd(e)
	b := e.Bundle(harness.Args("cat", "/proc/self/cgroup"), harness.CgroupsPath("system.slice:runack-test:"+e.ID("c")), harness.WithoutNamespace("cgroup"), func(s *spec) {
		for i := range s.Mounts { // of the groups there is only root's
			s.Mounts[i].Options = slices.DeleteFunc(s.Mounts[i].Options, func(o string) bool { return o == "gid=5" })
		}
	})
	out := e.Command("unshare", "-Ur", harness.RuntimePath(), "--root", e.Root, "--systemd-cgroup", "run", "-b", b.Dir, e.ID("c")).OK()
	wantEqual(t, "the cgroup", out, "0::/system.slice/runack-test-"+e.ID("c")+".scope\n")
}

// A user without privilege, in a login session, gets scopes of his own manager's, with limits.
func TestSystemdUserSession(t *testing.T) {
	e := harness.New(t)
	needSystemd(e)
	if err := e.Command("id", "rootless").Do(); err.Code != 0 {
		t.Skip("needs the user rootless of the virtual machine")
	}
	dir := filepath.Join(e.Dir, "rootless")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e.Bare("spec", "--rootless", "-b", dir).OK()
	b := e.BundleIn(filepath.Join(e.Dir, "b"), harness.Shell("cat /sys/fs/cgroup/pids.max; exec cat /proc/self/cgroup"), pidsLimit(17))
	var less spec
	if err := json.Unmarshal([]byte(e.Read(filepath.Join(dir, "config.json"))), &less); err != nil {
		t.Fatal(err)
	}
	b.Edit(func(s *spec) {
		s.Linux.Namespaces, s.Linux.UIDMappings, s.Linux.GIDMappings, s.Mounts = less.Linux.Namespaces, less.Linux.UIDMappings, less.Linux.GIDMappings, less.Mounts
		s.Linux.UIDMappings[0].HostID, s.Linux.GIDMappings[0].HostID = 1000, 1000
		s.Linux.CgroupsPath = "user.slice:runack-test:" + e.ID("c")
	})
	out := e.Command("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--uid=rootless", "-p", "PAMName=login", "-p", "Delegate=yes",
		harness.RuntimePath(), "--systemd-cgroup", "run", "-b", b.Dir, e.ID("c")).OK()
	if lines := strings.Split(out, "\n"); len(lines) < 2 || lines[0] != "17" || !strings.HasPrefix(lines[1], "0::/") {
		t.Errorf("the limit and the cgroup, as the container sees them: %q", out)
	}
}
