package clients

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"runack/tests/harness"
)

// needSystemd skips a client's test where systemd is not in charge. The virtual machine has it; podman
// works on the machine itself there.
func needSystemd(e *harness.Env, client string) {
	e.T.Helper()
	version(e.T, client, "")
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		e.T.Skip("systemd does not run this host; `make test-vm` tests it on one that it does run")
	}
}

// What podman and systemd do together.
var podmanSystemd = []feature[podman]{
	{"a scope of systemd's", func(p podman) {
		id := p.waiter("--network", "none", "--pids-limit", "33", "--memory", "64m")
		path := p.inspect(id, "{{.State.CgroupPath}}")
		unit := "libpod-" + id + ".scope"
		wantContains(p.T, "the cgroup", path, "/"+unit)
		dir := filepath.Join("/sys/fs/cgroup", path)
		wantEqual(p.T, "pids.max", p.Read(filepath.Join(dir, "pids.max")), "33\n")
		wantEqual(p.T, "memory.max", p.Read(filepath.Join(dir, "memory.max")), "67108864\n")
		wantEqual(p.T, "init's cgroup", p.Read("/proc/"+p.inspect(id, "{{.State.Pid}}")+"/cgroup"), "0::"+path+"\n")
		wantEqual(p.T, "an exec's cgroup", p.exec(id, "cat", "/proc/self/cgroup"), p.exec(id, "cat", "/proc/1/cgroup"))
		p.ok("pause", id)
		p.ok("unpause", id)
		p.ok("stop", id)
		wantEqual(p.T, "its end", p.inspect(id, "{{.State.ExitCode}}"), "0")
		if _, err := os.Stat(dir); err == nil {
			p.T.Errorf("%s is still there", dir)
		}
	}},
	{"OOMKilled", func(p podman) {
		id := p.start(with("--network", "none", "--memory", "16m", "--memory-swap", "16m"), "tail", "/dev/zero")
		wantEqual(p.T, "exit code", strings.TrimSpace(p.ok("wait", id)), "137")
		if p.inspect(id, "{{.State.OOMKilled}}") != "true" {
			p.T.Skip("podman 4.3 shows false where systemd has made the cgroup, with runc too: only the exit code 137 tells of the OOM")
		}
	}},
}

func TestPodmanWithSystemd(t *testing.T) {
	e := harness.New(t)
	const client = "podman, systemd cgroup manager"
	needSystemd(e, client)
	p := newPodman(e, podmanSetup{systemd: true})
	p.versions(client)
	run(t, podmanSystemd, p.on, podman.clean)
}

// The user has a login session, whose manager delegates controllers to it.
func TestPodmanRootlessWithSystemd(t *testing.T) {
	e := harness.New(t)
	const client = "podman, rootless, systemd cgroup manager"
	needSystemd(e, client)
	const name = "rootless" // of the virtual machine
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("needs the virtual machine's user: %v", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	e.File("bin/runack", e.Read(harness.RuntimePath()))
	p := newPodman(e, podmanSetup{systemd: true, uid: uid, user: []string{
		"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--uid=" + name, "-p", "PAMName=login", "-p", "Delegate=yes", "--",
		"env", "HOME=" + u.HomeDir, "USER=" + name, "XDG_RUNTIME_DIR=/run/user/" + u.Uid,
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/" + u.Uid + "/bus",
	}})
	e.T.Cleanup(p.leave)
	p.versions(client)
	run(t, podmanSystemd, p.on, podman.clean)
}
