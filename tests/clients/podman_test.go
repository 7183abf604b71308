package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runack/tests/harness"
)

// podman is the program with storage and configuration of the test's own.
type podman struct {
	*harness.Env
	host   host
	client string
	dir    string
	podmanSetup
}

// A podmanSetup says who uses podman, and how. Without anything it is root in a host of his own, with
// cgroups that podman makes.
type podmanSetup struct {
	prepare string   // what newHost does before anything else
	user    []string // program and arguments that make an ordinary user of the caller
	uid     int      // of that user
	systemd bool     // makes the cgroups, on the machine itself
}

// on is the same storage for a subtest.
func (p podman) on(t testing.TB) podman { p.Env = p.Env.On(t); return p }

// The engine's configuration. podman's own limits on files and processes take a root with
// CAP_SYS_RESOURCE, which not every root has.
const podmanConfig = `
[engine]
runtime = "runack"
cgroup_manager = %[6]q
events_logger = "file"
runtime_supports_json = ["runack"]
helper_binaries_dir = [%[1]q, %[2]q, "/usr/lib/podman", "/usr/libexec/podman", "/usr/bin"]
conmon_path = [%[3]q]
[engine.runtimes]
runack = [%[4]q]
[containers]
cgroups = %[7]q
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
init_path = %[5]q
`

// newPodman sets podman up.
func newPodman(e *harness.Env, setup podmanSetup) podman {
	e.T.Helper()
	p := podman{Env: e, client: program(e.T, "podman"), dir: filepath.Join(e.Dir, "podman"), podmanSetup: setup}
	conmon, catatonit := program(e.T, "conmon"), program(e.T, "catatonit")
	runtime, runroot := harness.RuntimePath(), "/run/podman"
	if p.user != nil {
		runtime, runroot = filepath.Join(e.Dir, "bin/runack"), fmt.Sprintf("/run/user/%d/podman", p.uid)
	}
	manager, cgroups := "cgroupfs", "no-conmon"
	if p.systemd {
		manager, cgroups = "systemd", "enabled"
	}
	e.File("podman/containers.conf", fmt.Sprintf(podmanConfig, unpacked("usr/lib/podman"), unpacked("usr/bin"), conmon, runtime, catatonit, manager, cgroups))
	e.File("podman/storage.conf", fmt.Sprintf("[storage]\ndriver = \"overlay\"\ngraphroot = %[1]q\nrootless_storage_path = %[1]q\nrunroot = %[2]q\n",
		filepath.Join(p.dir, "storage"), runroot))
	e.File("podman/policy.json", `{"default": [{"type": "insecureAcceptAnything"}]}`)
	if !p.systemd {
		p.host = newHost(e, p.prepare)
	}
	if p.user != nil {
		p.host.needsUserNamespaces(e, p.user)
		if !p.systemd {
			p.host.login(e)
		}
		if err := os.Chown(p.dir, p.uid, p.uid); err != nil {
			e.T.Fatal(err)
		}
		if r := p.cmd("--version").Do(); r.Code != 0 {
			e.T.Skipf("an ordinary user cannot run %s, which lies where only root can go: install podman, or move the checkout", p.client)
		}
	}
	p.cmd("import", "--signature-policy", filepath.Join(p.dir, "policy.json"), "--change", "ENV PATH=/bin",
		"--change", `CMD ["/bin/sh"]`, imageTar(e), image).OK()
	return p
}

func (p podman) cmd(args ...string) *harness.Cmd {
	env := append(clientEnv(),
		"CONTAINERS_CONF="+filepath.Join(p.dir, "containers.conf"),
		"CONTAINERS_STORAGE_CONF="+filepath.Join(p.dir, "storage.conf"))
	c := p.Command(p.client, args...).Through("env", env...) // a session has an environment of its own
	if p.user != nil {
		c = c.Through(p.user[0], p.user[1:]...)
	}
	return p.host.in(c)
}

func (p podman) ok(args ...string) string { p.T.Helper(); return p.cmd(args...).OK() }

// options are those of every `run` and `create`.
func (p podman) options(verb string, options []string) []string {
	all := []string{verb}
	if p.user == nil && !p.systemd {
		all = append(all, "--cgroup-parent", filepath.Dir(p.Cgroup("podman")))
	}
	return append(all, options...)
}

func (p podman) runCmd(options []string, args ...string) *harness.Cmd {
	return p.cmd(append(append(p.options("run", append([]string{"--rm"}, options...)), image), args...)...)
}

func (p podman) run(options []string, args ...string) harness.Result {
	p.T.Helper()
	return p.runCmd(options, args...).Do()
}

func (p podman) out(options []string, args ...string) string {
	p.T.Helper()
	return p.runCmd(options, args...).OK()
}

// start starts a container in the background, which goes with the test.
func (p podman) start(options []string, args ...string) (id string) {
	p.T.Helper()
	id = strings.TrimSpace(p.ok(append(append(p.options("run", append([]string{"--detach"}, options...)), image), args...)...))
	p.T.Cleanup(func() { p.cmd("rm", "--force", "--ignore", "--time", "1", id).Do() })
	return id
}

// waiter starts a container that writes "ready" and then waits for TERM.
func (p podman) waiter(options ...string) (id string) {
	p.T.Helper()
	id = p.start(options, "probe", "wait")
	p.logged(id, "ready")
	return id
}

// logged waits until a container has written a line.
func (p podman) logged(id, line string) {
	p.T.Helper()
	f := p.cmd("logs", "--follow", id).Piped().Start()
	for f.Line() != line {
	}
	f.Signal(endClient)
	f.Wait()
}

func (p podman) exec(id string, args ...string) string {
	p.T.Helper()
	return p.ok(append([]string{"exec", id}, args...)...)
}

func (p podman) inspect(id, template string) string {
	p.T.Helper()
	return strings.TrimSpace(p.ok("inspect", "--format", template, id))
}

// clean fails a feature that leaves a container or a pod behind.
func (p podman) clean() {
	p.T.Helper()
	for _, line := range lines(p.ok("ps", "--all", "--format", "{{.ID}} {{.Image}} {{.Command}} {{.Status}}")) {
		p.T.Errorf("container left behind: %s", line)
		p.cmd("rm", "--force", strings.Fields(line)[0]).Do()
	}
	for _, line := range lines(p.ok("pod", "ps", "--format", "{{.ID}}")) {
		p.T.Errorf("pod left behind: %s", line)
		p.cmd("pod", "rm", "--force", line).Do()
	}
}

func (p podman) versions(name string) {
	p.T.Helper()
	conmon := p.Command(program(p.T, "conmon"), "--version").Env(clientEnv()...).OK()
	runtime := lastLine(p.Bare("--version").OK())
	version(p.T, name, fmt.Sprintf("podman %s, %s, %s", strings.TrimSpace(p.ok("version", "--format", "{{.Client.Version}}")),
		lines(conmon)[0], strings.Replace(runtime, " version", "", 1)))
}

func TestPodman(t *testing.T) {
	e := harness.New(t)
	p := newPodman(e, podmanSetup{})
	p.versions("podman")
	run(t, append(append([]feature[podman]{}, podmanEverywhere...), podmanRoot...), p.on, podman.clean)
}

// What root and an ordinary user can ask for alike.
var podmanEverywhere = append(runs[podman](), []feature[podman]{
	{"missing program, program without permission", func(p podman) {
		for name, code := range map[string]int{"nosuch": 127, "/bin/nosuch": 127, "/bin/noexec": 126, "/tmp": 126} {
			r := p.run(with("--network", "none"), name)
			wantCode(p.T, r, code)
			wantContains(p.T, "the error", r.Stderr, name)
		}
	}},
	{"exec", func(p podman) {
		id := p.waiter("--env", "A=container", "--network", "none")
		wantEqual(p.T, "variables", p.ok("exec", "-e", "B=exec", id, "sh", "-c", "echo $A $B"), "container exec\n")
		wantEqual(p.T, "-w", p.ok("exec", "-w", "/tmp", id, "pwd"), "/tmp\n")
		wantEqual(p.T, "-u name", p.ok("exec", "-u", "web", id, "id", "-u"), "1000\n")
		wantEqual(p.T, "-i", p.cmd("exec", "-i", id, "cat").Stdin(strings.NewReader("in and out")).OK(), "in and out")
		p.ok("exec", "-d", id, "sh", "-c", "echo from a detached exec >/proc/1/fd/1")
		p.logged(id, "from a detached exec")
	}},
	{"exec -t", func(p podman) {
		id := p.waiter("--network", "none")
		tty := newTerminal(p.Env, 20, 99)
		client := p.cmd("exec", "-it", id, "sh", "-c", `
			tty
			size() { until [ "$(stty size)" = "$1" ]; do sleep 0.02; done; echo "size $1"; }
			size "20 99"; read a; echo "got $a"; exit 9`).TTY(tty.slave).Start()
		tty.expect("/dev/pts/0")
		tty.expect("size 20 99")
		tty.write("text\r")
		tty.expect("got text")
		wantCode(p.T, client.Wait(), 9)
	}},
	{"exec exit codes", func(p podman) {
		id := p.waiter("--network", "none")
		for _, code := range exitCodes() {
			wantCode(p.T, p.cmd("exec", id, "probe", "exit", fmt.Sprint(code)).Do(), code)
		}
		wantCode(p.T, p.cmd("exec", id, "probe", "die", "15").Do(), 128+15)
		wantCode(p.T, p.cmd("exec", id, "nosuch").Do(), 127)
		wantCode(p.T, p.cmd("exec", id, "/bin/noexec").Do(), 126)
	}},
	{"stop", func(p podman) {
		id := p.waiter("--network", "none")
		p.ok("stop", id)
		wantEqual(p.T, "after TERM", p.inspect(id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 0")
		id = p.start(with("--network", "none"), "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
		p.logged(id, "ready")
		p.ok("stop", "-t", "1", id)
		wantEqual(p.T, "after KILL", p.inspect(id, "{{.State.ExitCode}}"), "137")
	}},
	{"kill", func(p podman) {
		id := p.waiter("--network", "none")
		p.ok("kill", "-s", "USR1", id)
		p.logged(id, "signal 10")
		p.ok("kill", id)
		wantEqual(p.T, "exit code", strings.TrimSpace(p.ok("wait", id)), "137")
	}},
	{"rm", func(p podman) {
		id := p.waiter("--network", "none")
		wantContains(p.T, "rm of one that runs", p.cmd("rm", id).Fails(2), "running")
		p.ok("rm", "-f", "-t", "0", id)
	}},
	{"restart", func(p podman) {
		id := p.waiter("--network", "none")
		pid := p.inspect(id, "{{.State.Pid}}")
		p.ok("restart", "-t", "2", id)
		if again := p.inspect(id, "{{.State.Pid}}"); again == pid || again == "0" {
			p.T.Errorf("pid %s before and %s after", pid, again)
		}
	}},
	{"--init", func(p podman) {
		out := p.out(with("--init", "--network", "none"), "sh", "-c", "tr '\\0' '\\n' </proc/1/cmdline | head -n 1; [ $$ != 1 ] && echo not pid 1")
		wantContains(p.T, "the output", out, "init", "not pid 1")
	}},
	{"health check", func(p podman) {
		id := p.waiter("--network", "none", "--health-cmd", "test -e /tmp/well", "--health-interval", "disable", "--health-retries", "1")
		p.cmd("healthcheck", "run", id).Fails(1)
		p.exec(id, "touch", "/tmp/well")
		p.ok("healthcheck", "run", id)
		wantEqual(p.T, "the status", p.inspect(id, "{{.State.Health.Status}}"), "healthy")
	}},
	{"top", func(p podman) {
		id := p.waiter("--network", "none")
		wantContains(p.T, "top", p.ok("top", id, "pid", "args"), "probe wait")
	}},
	{"logs", func(p podman) {
		id := p.start(with("--network", "none"), "sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 4")
		wantEqual(p.T, "exit code", strings.TrimSpace(p.ok("wait", id)), "4")
		r := p.cmd("logs", id).Do()
		wantEqual(p.T, "standard output", r.Stdout, "out 1\nout 2\nout 3\n")
		wantEqual(p.T, "standard error", r.Stderr, "err 1\nerr 2\nerr 3\n")
	}},
	{"--read-only, --tmpfs, --volume", func(p podman) {
		r := p.run(with("--read-only", "--network", "none"), "touch", "/file")
		wantContains(p.T, "touch", r.Stderr, "Read-only file system")
		p.out(with("--read-only", "--tmpfs", "/scratch", "--network", "none"), "touch", "/scratch/a")
		dir := filepath.Join(p.Dir, "volume")
		if err := os.Mkdir(dir, 0o755); err != nil {
			p.T.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			p.T.Fatal(err)
		}
		p.out(with("--volume", dir+":/there", "--network", "none"), "sh", "-c", "echo text >/there/made")
		wantEqual(p.T, "the file", p.Read(filepath.Join(dir, "made")), "text\n")
	}},
	{"--user, capabilities, no-new-privileges, seccomp", func(p podman) {
		wantEqual(p.T, "--user", p.out(with("--user", "web", "--network", "none"), "id", "-u"), "1000\n")
		status := p.out(with("--cap-drop", "ALL", "--cap-add", "NET_RAW", "--security-opt", "no-new-privileges", "--network", "none"), "cat", "/proc/self/status")
		wantEqual(p.T, "CapEff", caps(status), "0000000000002000")
		wantEqual(p.T, "NoNewPrivs", field(status, "NoNewPrivs"), "1")
		wantEqual(p.T, "Seccomp", field(status, "Seccomp"), "2")
		status = p.out(with("--security-opt", "seccomp=unconfined", "--network", "none"), "cat", "/proc/self/status")
		wantEqual(p.T, "Seccomp", field(status, "Seccomp"), "0")
	}},
	{"--network none", func(p podman) {
		wantEqual(p.T, "interfaces", p.out(with("--network", "none"), "ls", "/sys/class/net"), "lo\n")
	}},
	{"8 runs at once", func(p podman) {
		together(p.T, 8, func(i int) error {
			r, err := p.runCmd(with("--network", "none"), "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)).Within(2 * aMinute).Try()
			if err != nil {
				return err
			}
			return exactly(r, i, fmt.Sprintf("%d\n", i))
		})
	}},
	{"create, start -a, wait, rm", func(p podman) {
		id := strings.TrimSpace(p.ok(append(p.options("create", with("--network", "none")), image, "sh", "-c", "echo started; exit 8")...))
		if err := exactly(p.cmd("start", "-a", id).Do(), 8, "started\n"); err != nil {
			p.T.Error(err)
		}
		p.ok("rm", id)
	}},
}...)

// What takes cgroups, or a network of the host's.
var podmanRoot = []feature[podman]{
	{"--rootfs", func(p podman) {
		b := p.Bundle()
		r := p.cmd(append(p.options("run", with("--rm", "--network", "none", "--rootfs")), b.Rootfs, "/bin/echo", "a root file system")...).Do()
		if err := exactly(r, 0, "a root file system\n"); err != nil {
			p.T.Error(err)
		}
	}},
	{"pause", func(p podman) {
		id := p.waiter("--network", "none")
		p.ok("pause", id)
		wantEqual(p.T, "the status", p.inspect(id, "{{.State.Status}}"), "paused")
		wantContains(p.T, "exec while paused", p.cmd("exec", id, "true").Fails(255), "can only create exec sessions on running containers")
		p.ok("unpause", id)
		p.exec(id, "true")
	}},
	{"--memory", func(p podman) {
		wantCode(p.T, p.run(overflowing, "tail", "/dev/zero"), 137)
	}},
	{"OOMKilled", func(p podman) {
		if harness.CgroupVersion() != "v2" {
			p.T.Skip("podman 4.3 shows false on cgroup v1, with runc too: only the exit code 137 tells of the OOM")
		}
		id := p.start(overflowing, "tail", "/dev/zero")
		p.ok("wait", id)
		wantEqual(p.T, "OOMKilled", p.inspect(id, "{{.State.OOMKilled}}"), "true")
	}},
	{"--pids-limit, --cpus", func(p podman) {
		id := p.waiter("--network", "none", "--pids-limit", "7", "--cpus", "0.5")
		wantEqual(p.T, "pids.max", strings.TrimSpace(p.exec(id, "cat", inside("pids", "pids.max", "pids.max"))), "7")
		if harness.CgroupVersion() == "v2" {
			wantEqual(p.T, "cpu.max", p.exec(id, "cat", "/sys/fs/cgroup/cpu.max"), "50000 100000\n")
		} else {
			wantEqual(p.T, "quota", p.exec(id, "cat", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "50000\n")
		}
	}},
	{"update", func(p podman) {
		id := p.waiter("--network", "none", "--memory", "64m", "--memory-swap", "128m")
		p.ok("update", "--memory", "256m", "--memory-swap", "512m", id)
		wantEqual(p.T, "memory", strings.TrimSpace(p.exec(id, "cat", inside("memory", "memory.limit_in_bytes", "memory.max"))), "268435456")
	}},
	{"stats", func(p podman) {
		id := p.waiter("--network", "none")
		wantEqual(p.T, "processes", strings.TrimSpace(p.ok("stats", "--no-stream", "--format", "{{.PIDs}}", id)), "1")
	}},
	signalDeath[podman](),
	{"--privileged", func(p podman) {
		out := p.out(with("--privileged", "--network", "none"), "sh", "-c", "mount -t tmpfs none /mnt && echo mounted; cat /proc/self/status")
		wantContains(p.T, "the output", out, "mounted")
		wantAllCaps(p.T, caps(out))
	}},
	{"--uidmap", func(p podman) {
		out := p.out(with("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "--network", "none"), "sh", "-c", "id -u; cat /proc/self/uid_map")
		wantEqual(p.T, "the map", strings.Join(strings.Fields(out), " "), "0 0 100000 65536")
	}},
	{"bridge network", func(p podman) {
		id := p.start(with("--publish", "8080:80"), "sh", "-c",
			"mkdir /srv && echo page >/srv/index.html && echo ready && exec httpd -f -p 80 -h /srv")
		p.logged(id, "ready")
		get := "until wget -q -O - http://" + p.inspect(id, "{{.NetworkSettings.IPAddress}}") + "/; do sleep 0.05; done"
		wantEqual(p.T, "from a container", p.out(nil, "sh", "-c", get), "page\n")
	}},
	{"pods", func(p podman) {
		pod := strings.TrimSpace(p.ok("pod", "create", "--name", "pod", "--network", "none", "--cgroup-parent", filepath.Dir(p.Cgroup("podman")),
			"--infra-image", image, "--infra-command", "/bin/probe wait"))
		p.T.Cleanup(func() { p.cmd("pod", "rm", "--force", "--time", "1", pod).Do() })
		one := strings.TrimSpace(p.ok("run", "--detach", "--pod", pod, image, "probe", "wait"))
		p.logged(one, "ready")
		p.exec(one, "sh", "-c", "echo shared >/dev/shm/file")
		two := p.cmd("run", "--rm", "--pod", pod, image, "cat", "/dev/shm/file").OK()
		wantEqual(p.T, "the memory of the pod", two, "shared\n")
		wantContains(p.T, "the pod", p.ok("pod", "inspect", pod, "--format", "{{.State}} {{.NumContainers}}"), "Running 2")
		p.ok("pod", "pause", pod)
		p.ok("pod", "unpause", pod)
		p.ok("pod", "stop", "--time", "1", pod)
		p.ok("pod", "start", pod)
		p.ok("pod", "rm", "--force", "--time", "1", pod)
		// podman forgets the pod's own cgroup where a hierarchy has no controller, with runc too.
		forgotten, err := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", p.Cgroup(pod)))
		if err != nil {
			p.T.Fatal(err)
		}
		for _, dir := range forgotten {
			_ = os.Remove(dir)
		}
	}},
	{"conmon's exit files", func(p podman) {
		// conmon leaves them for whoever asks next, also when podman itself was not there.
		id := p.start(with("--network", "none"), "probe", "exit", "77")
		wantEqual(p.T, "exit code", strings.TrimSpace(p.ok("wait", id)), "77")
		wantEqual(p.T, "exit code, inspected", p.inspect(id, "{{.State.ExitCode}} {{.State.Status}}"), "77 exited")
	}},
}

var overflowing = with("--network", "none", "--memory", "16m", "--memory-swap", "16m")
