package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runack/tests/harness"
)

const image = "box" // of all tests, see imageTar

// docker is a daemon of the test's own and the client that talks to it.
type docker struct {
	*harness.Env
	client string
	dir    string // everything of the daemon's
	daemon *harness.Proc

	noBridge string // why containers have no network; empty where they have
}

// on is the same daemon for a subtest.
func (d docker) on(t testing.TB) docker { d.Env = d.Env.On(t); return d }

// startDocker starts dockerd, and it its own containerd, with runack as the default runtime. It is
// ended with the test.
func startDocker(e *harness.Env, prepare string, options ...string) docker {
	e.T.Helper()
	path := program(e.T, "dockerd")
	d := docker{Env: e, client: program(e.T, "docker"), dir: filepath.Join(e.Dir, "docker")}
	config := map[string]any{
		"runtimes":        map[string]any{"runack": map[string]string{"path": harness.RuntimePath()}},
		"default-runtime": "runack",
		"storage-driver":  "overlay2",
		"exec-opts":       []string{"native.cgroupdriver=cgroupfs"},
		"cgroup-parent":   filepath.Dir(e.Cgroup("docker")),
	}
	if d.noBridge = noBridge(e); d.noBridge != "" {
		config["iptables"], config["ip6tables"], config["bridge"] = false, false, "none"
	}
	text, err := json.Marshal(config)
	if err != nil {
		e.T.Fatal(err)
	}
	d.daemon = daemon(e, prepare, path, append([]string{
		"--config-file", e.File("docker/daemon.json", string(text)),
		"--data-root", filepath.Join(d.dir, "data"), "--exec-root", filepath.Join(d.dir, "exec"),
		"--pidfile", filepath.Join(d.dir, "pid"), "--host", d.host(),
	}, options...)...)
	e.T.Cleanup(func() { d.stop() })
	d.cmd("import", "--change", "ENV PATH=/bin", "--change", `CMD ["/bin/sh"]`, imageTar(e), image).OK()
	return d
}

// noBridge says why docker could not set its bridge up here.
func noBridge(e *harness.Env) string {
	r := e.Command("iptables", "--table", "nat", "--list").Env(clientEnv()...).Through("unshare", "--net").Do()
	if r.Code == 0 {
		return ""
	}
	return "docker's bridge needs iptables with a nat table, which this kernel does not have: " + strings.TrimSpace(r.Stderr)
}

// needsBridge skips a feature where containers have no network.
func (d docker) needsBridge() {
	d.T.Helper()
	if d.noBridge != "" {
		d.T.Skip(d.noBridge)
	}
}

func (d docker) host() string { return "unix://" + filepath.Join(d.dir, "sock") }

// stop ends the daemon and looks for what only it can see.
func (d docker) stop() {
	d.T.Helper()
	var left []string
	for _, dir := range []string{"exec/runtime-runack/moby", "exec/containerd/daemon/io.containerd.runtime.v2.task/moby"} {
		entries, _ := os.ReadDir(filepath.Join(d.dir, dir)) // not there: nothing is left
		for _, entry := range entries {
			left = append(left, dir+"/"+entry.Name())
		}
	}
	if len(left) > 0 && !d.T.Failed() {
		d.T.Errorf("containers left in the daemon's directories: %q", left)
	}
	stopDaemon(d.Env, d.daemon)
	// dockerd has containerd write this where a loaded machine keeps it from answering for a second.
	stacks, err := filepath.Glob(filepath.Join(d.Temp, "containerd.*.stacks.log"))
	if err != nil {
		d.T.Error(err)
	}
	for _, path := range stacks {
		d.T.Logf("dockerd lost patience with containerd: %s", filepath.Base(path))
		_ = os.Remove(path)
	}
}

// cmd makes a command of the client.
func (d docker) cmd(args ...string) *harness.Cmd {
	return d.Command(d.client, append([]string{"--host", d.host(), "--config", filepath.Join(d.dir, "client")}, args...)...).
		Env(clientEnv()...)
}

func (d docker) ok(args ...string) string { d.T.Helper(); return d.cmd(args...).OK() }

// with are options of `run`.
func with(options ...string) []string { return options }

// run runs a container in the foreground and removes it.
func (d docker) run(options []string, args ...string) harness.Result {
	d.T.Helper()
	return d.runCmd(options, args...).Do()
}

func (d docker) runCmd(options []string, args ...string) *harness.Cmd {
	return d.cmd(append(append(append([]string{"run", "--rm"}, options...), image), args...)...)
}

// out runs a container, which has to succeed, and returns what it wrote.
func (d docker) out(options []string, args ...string) string {
	d.T.Helper()
	return d.runCmd(options, args...).OK()
}

// start starts a container in the background, which goes with the test. The client writes its ID.
func (d docker) start(options []string, args ...string) (id string) {
	d.T.Helper()
	id = strings.TrimSpace(d.ok(append(append(append([]string{"run", "--detach"}, options...), image), args...)...))
	d.T.Cleanup(func() { d.cmd("rm", "--force", "--volumes", id).Do() })
	return id
}

// waiter starts a container that writes "ready" and then waits for TERM.
func (d docker) waiter(options ...string) (id string) {
	d.T.Helper()
	id = d.start(options, "probe", "wait")
	d.logged(id, "ready")
	return id
}

// logged waits until a container has written a line.
func (d docker) logged(id, line string) {
	d.T.Helper()
	p := d.cmd("logs", "--follow", id).Piped().Start()
	for p.Line() != line {
	}
	p.Signal(endClient)
	p.Wait()
}

// exec runs a program in a container.
func (d docker) exec(id string, args ...string) string {
	d.T.Helper()
	return d.ok(append([]string{"exec", id}, args...)...)
}

// wait waits for a container's end and returns its exit code.
func (d docker) wait(id string) string { d.T.Helper(); return strings.TrimSpace(d.ok("wait", id)) }

// inspect evaluates a template over what the daemon knows of a container.
func (d docker) inspect(id, template string) string {
	d.T.Helper()
	return strings.TrimSpace(d.ok("inspect", "--format", template, id))
}

// events follows what happens to a container, from its beginning on.
func (d docker) events(id string) *harness.Proc {
	d.T.Helper()
	p := d.cmd("events", "--since", "0", "--filter", "container="+id, "--format", "{{.Action}}").Piped().Start()
	d.T.Cleanup(func() { p.Signal(endClient); p.Wait() })
	return p
}

// until collects events up to one that starts with last.
func until(events *harness.Proc, last string) []string {
	var seen []string
	for {
		line := events.Line()
		if seen = append(seen, line); strings.HasPrefix(line, last) {
			return seen
		}
	}
}

// control reads a file of a container's cgroup from inside.
func (d docker) control(id, controller, v1Name, v2Name string) string {
	d.T.Helper()
	return strings.TrimSpace(d.exec(id, "cat", inside(controller, v1Name, v2Name)))
}

// inside is where a container finds a file of its own cgroup.
func inside(controller, v1Name, v2Name string) string {
	if harness.CgroupVersion() == "v2" {
		return "/sys/fs/cgroup/" + v2Name
	}
	return filepath.Join("/sys/fs/cgroup", controller, v1Name)
}

// clean fails a feature that leaves a container behind.
func (d docker) clean() {
	d.T.Helper()
	for _, line := range lines(d.ok("ps", "--all", "--format", "{{.ID}} {{.Image}} {{.Command}} {{.Status}}")) {
		d.T.Errorf("container left behind: %s", line)
		d.cmd("rm", "--force", "--volumes", strings.Fields(line)[0]).Do()
	}
}

func (d docker) versions() {
	d.T.Helper()
	version(d.T, "docker", strings.TrimSpace(d.ok("version", "--format", "client {{.Client.Version}}, "+
		`{{range $i, $c := .Server.Components}}{{if $i}}, {{end}}{{if eq $c.Name "Engine"}}daemon{{else}}{{$c.Name}}{{end}} {{$c.Version}}{{end}}`)))
}

func TestDocker(t *testing.T) {
	e := harness.New(t)
	d := startDocker(e, "")
	d.versions()
	var all []feature[docker]
	for _, group := range [][]feature[docker]{dockerRun, dockerExec, dockerLife, dockerLimits, dockerRights, dockerPlaces} {
		all = append(all, group...)
	}
	run(t, all, d.on, docker.clean)
}

// pidOf is the pid of a container's init, as the host sees it.
func (d docker) pidOf(id string) (pid int) {
	d.T.Helper()
	if _, err := fmt.Sscan(d.inspect(id, "{{.State.Pid}}"), &pid); err != nil {
		d.T.Fatal(err)
	}
	return pid
}

const aMinute = time.Minute // for what has to wait for a client's own delays
