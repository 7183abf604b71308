package clients

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runack/tests/harness"
)

// cri is a Kubernetes node in small: containerd's CRI plugin, driven through crictl, with one of the two
// ways to runack as the pods' runtime handler.
type cri struct {
	containerd
	handler string
}

func (c cri) on(t testing.TB) cri { c.containerd = c.containerd.on(t); return c }

// startCRI starts containerd with an image for pods and containers.
func startCRI(e *harness.Env, handler string) cri {
	e.T.Helper()
	program(e.T, "crictl")
	c := cri{startContainerd(e), handler}
	socket := "unix://" + filepath.Join(c.dir, "grpc")
	e.File("crictl.yaml", fmt.Sprintf("runtime-endpoint: %s\nimage-endpoint: %[1]s\n", socket))
	c.host.in(c.Command(program(e.T, "ctr"), "--address", filepath.Join(c.dir, "grpc"), "--namespace", "k8s.io",
		"images", "import", imageArchive(e))).OK()
	return c
}

// imageArchive wraps the image of all tests as `docker save` would, for clients that can import
// nothing simpler.
func imageArchive(e *harness.Env) string {
	e.T.Helper()
	layer := imageTar(e)
	config := fmt.Sprintf(`{"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["probe", "wait"]},
		"rootfs": {"type": "layers", "diff_ids": ["sha256:%x"]}}`, sha256.Sum256([]byte(e.Read(layer))))
	e.File("config.json", config)
	e.File("manifest.json", fmt.Sprintf(`[{"Config": "config.json", "RepoTags": [%q], "Layers": [%q]}]`, criImage, filepath.Base(layer)))
	archive := filepath.Join(e.Dir, "archive.tar")
	e.Command("tar", "-C", e.Dir, "-cf", archive, "manifest.json", "config.json", filepath.Base(layer)).OK()
	return archive
}

// criImage is also the pods' own, which has to be named in full in containerd's configuration.
const criImage = "docker.io/library/" + image + ":latest"

func (c cri) cmd(args ...string) *harness.Cmd {
	return c.host.in(c.Command(program(c.T, "crictl"), append([]string{"--config", filepath.Join(c.Dir, "crictl.yaml")}, args...)...))
}

func (c cri) ok(args ...string) string { c.T.Helper(); return c.cmd(args...).OK() }

// A criConfig is a pod's or a container's configuration, in CRI's own names.
type criConfig map[string]any

func (c cri) file(name string, config criConfig) string {
	c.T.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		c.T.Fatal(err)
	}
	return c.File(name, string(text))
}

// podOptions are what a pod asks for beyond the host's network, which needs no CNI plugin.
type podOptions struct {
	sharedPID  bool // its containers share a PID namespace
	privileged bool
	sysctls    map[string]string
}

// Values of CRI's NamespaceMode.
const (
	ofPod       = 0
	ofContainer = 1
	ofNode      = 2
)

// A pod is a sandbox, and what its containers' configurations have to repeat of its own.
type pod struct {
	id         string
	config     string // file
	namespaces criConfig
}

// pod runs a sandbox, which goes with the test.
func (c cri) pod(o podOptions) pod {
	c.T.Helper()
	name := c.id()
	p := pod{namespaces: criConfig{"network": ofNode, "pid": ofContainer}}
	if o.sharedPID {
		p.namespaces["pid"] = ofPod
	}
	p.config = c.file(name+".json", criConfig{
		"metadata":      criConfig{"name": name, "namespace": "test", "uid": name},
		"log_directory": filepath.Join(c.Dir, "logs"),
		"linux": criConfig{
			"cgroup_parent":    "/" + strings.Trim(filepath.Dir(c.Cgroup("pods")), "/"),
			"security_context": criConfig{"namespace_options": p.namespaces, "privileged": o.privileged},
			"sysctls":          o.sysctls,
		},
	})
	p.id = strings.TrimSpace(c.ok("runp", "--runtime", c.handler, p.config))
	c.T.Cleanup(func() { c.remove(p.id) })
	return p
}

// remove removes a pod and its containers; one that has gone is no error. With runc's shim it is tried
// again, as the kubelet does: its answer to the kill is lost where the news of the exit comes first.
func (c cri) remove(id string) {
	c.T.Helper()
	r := c.cmd("rmp", "--force", id).Do()
	if r.Code != 0 && c.handler == "runc" {
		r = c.cmd("rmp", "--force", id).Do()
	}
	if r.Code != 0 && !strings.Contains(r.Stderr, "not found") {
		c.T.Error(r)
	}
}

// containerOptions are parts of a container's configuration.
type containerOptions struct{ security, resources criConfig }

// create creates a container in a pod.
func (c cri) create(p pod, o containerOptions, args ...string) (id string) {
	c.T.Helper()
	name := c.id()
	security := criConfig{"namespace_options": p.namespaces}
	maps.Copy(security, o.security)
	return strings.TrimSpace(c.ok("create", p.id, c.file(name+".json", criConfig{
		"metadata": criConfig{"name": name}, "image": criConfig{"image": criImage}, "command": args,
		"log_path": name + ".log", "linux": criConfig{"security_context": security, "resources": o.resources},
	}), p.config))
}

// start creates and starts a container.
func (c cri) start(p pod, o containerOptions, args ...string) (id string) {
	c.T.Helper()
	id = c.create(p, o, args...)
	c.ok("start", id)
	return id
}

// waiter starts a container that waits for TERM.
func (c cri) waiter(p pod, o containerOptions) (id string) {
	c.T.Helper()
	id = c.start(p, o, "probe", "wait")
	c.logged(id, "ready")
	return id
}

// logged waits until a container has written a line.
func (c cri) logged(id, line string) {
	c.T.Helper()
	f := c.cmd("logs", "--follow", id).Piped().Start()
	for f.Line() != line {
	}
	f.Signal(endClient)
	f.Wait()
}

// ended waits for a container's end and gives all that it wrote, and why it ended.
func (c cri) ended(id string) (output, end string) {
	c.T.Helper()
	output = c.ok("logs", "--follow", id) // to the end
	for c.inspect(id, "{{.status.state}}") != "CONTAINER_EXITED" {
	}
	return output, c.inspect(id, "{{.status.exitCode}} {{.status.reason}}")
}

func (c cri) inspect(id, template string) string {
	c.T.Helper()
	return strings.TrimSpace(c.ok("inspect", "--output", "go-template", "--template", template, id))
}

// run runs a container in a pod of its own to its end.
func (c cri) run(o containerOptions, args ...string) (output, end string) {
	c.T.Helper()
	return c.ended(c.start(c.pod(podOptions{}), o, args...))
}

// execSync is the exec of probes. crictl adds empty lines to the output.
func (c cri) execSync(id string, args ...string) harness.Result {
	c.T.Helper()
	r := c.cmd(append([]string{"exec", "--sync", id}, args...)...).Do()
	r.Stdout = strings.TrimRight(r.Stdout, "\n")
	return r
}

// clean fails a feature that leaves a pod behind.
func (c cri) clean() {
	c.T.Helper()
	for _, id := range lines(c.ok("pods", "--quiet")) {
		c.T.Errorf("pod left behind: %s", id)
		c.remove(id)
	}
}

var criFeatures = []feature[cri]{
	{"pod, create, start, ps, logs", func(c cri) {
		p := c.pod(podOptions{})
		id := c.waiter(p, containerOptions{})
		wantEqual(c.T, "pods", c.ok("pods", "--quiet", "--no-trunc", "--state", "ready"), p.id+"\n")
		wantEqual(c.T, "containers", c.ok("ps", "--quiet", "--no-trunc"), id+"\n")
		wantEqual(c.T, "logs", c.ok("logs", id), "ready\n")
		c.ok("stop", "--timeout", "60", id)
		wantEqual(c.T, "its end", c.inspect(id, "{{.status.exitCode}}"), "0")
		c.ok("rm", id)
		c.ok("stopp", p.id)
		c.ok("rmp", p.id)
	}},
	{"exit codes", func(c cri) {
		p := c.pod(podOptions{})
		for _, code := range exitCodes() {
			want := fmt.Sprint(code, " Error")
			if code == 0 {
				want = "0 Completed"
			}
			_, end := c.ended(c.start(p, containerOptions{}, "probe", "exit", fmt.Sprint(code)))
			wantEqual(c.T, "its end", end, want)
		}
	}},
	{"OOMKilled", func(c cri) {
		const limit = 16 << 20
		_, end := c.run(containerOptions{resources: criConfig{"memory_limit_in_bytes": limit, "memory_swap_limit_in_bytes": limit}}, "tail", "/dev/zero")
		wantEqual(c.T, "its end", end, "137 OOMKilled")
	}},
	{"missing program", func(c cri) {
		id := c.create(c.pod(podOptions{}), containerOptions{}, "nosuch")
		wantContains(c.T, "the error", c.cmd("start", id).Fails(1), "nosuch", "executable file not found in $PATH")
	}},
	{"exec --sync, as probes do", func(c cri) {
		id := c.waiter(c.pod(podOptions{}), containerOptions{})
		if err := exactly(c.execSync(id, "sh", "-c", "echo out"), 0, "out"); err != nil {
			c.T.Error(err)
		}
		r := c.execSync(id, "probe", "exit", "7")
		wantCode(c.T, r, 1)
		wantContains(c.T, "the error", r.Stderr, "exited with 7")
		wantContains(c.T, "a missing program", c.execSync(id, "nosuch").Stderr, "executable file not found in $PATH")
	}},
	{"exec --sync that takes too long", func(c cri) {
		p := c.pod(podOptions{})
		id := c.waiter(p, containerOptions{})
		r := c.cmd("exec", "--sync", "--timeout", "1", id, "probe", "wait").Do()
		wantCode(c.T, r, 1)
		wantContains(c.T, "the error", r.Stderr, "timeout")
		left := lines(c.execSync(id, "sh", "-c", "cat /proc/[1-9]*/comm").Stdout)
		wantEqual(c.T, "what is left", strings.Join(left, " "), "probe cat")
	}},
	{"exec", func(c cri) {
		id := c.waiter(c.pod(podOptions{}), containerOptions{})
		r := c.cmd("exec", "--interactive", id, "sh", "-c", "cat; exit 3").Stdin(strings.NewReader("in\n")).Do()
		wantContains(c.T, "standard output", r.Stdout, "in\n")
		wantCode(c.T, r, 1)
		wantContains(c.T, "the error", r.Stderr, "exit code 3")
	}},
	{"exec -t", func(c cri) {
		id := c.waiter(c.pod(podOptions{}), containerOptions{})
		tty := newTerminal(c.Env, 20, 99)
		p := c.cmd("exec", "--interactive", "--tty", id, "sh", "-c", "tty; read a; echo \"got $a\"").TTY(tty.slave).Start()
		tty.expect("/dev/pts/0")
		tty.write("text\r")
		tty.expect("got text")
		wantCode(c.T, p.Wait(), 0)
	}},
	{"pod's shared namespaces", func(c cri) {
		p := c.pod(podOptions{})
		one, two := c.waiter(p, containerOptions{}), c.waiter(p, containerOptions{})
		for _, ns := range []string{"ipc", "net"} {
			wantEqual(c.T, ns, c.execSync(one, "readlink", "/proc/1/ns/"+ns).Stdout, c.execSync(two, "readlink", "/proc/1/ns/"+ns).Stdout)
		}
		if a, b := c.execSync(one, "readlink", "/proc/1/ns/pid"), c.execSync(two, "readlink", "/proc/1/ns/pid"); a.Stdout == b.Stdout {
			c.T.Errorf("both are in PID namespace %s", a.Stdout)
		}
	}},
	{"pod's shared PID namespace", func(c cri) {
		p := c.pod(podOptions{sharedPID: true})
		one, two := c.waiter(p, containerOptions{}), c.waiter(p, containerOptions{})
		wantEqual(c.T, "PID namespace", c.execSync(one, "readlink", "/proc/self/ns/pid").Stdout, c.execSync(two, "readlink", "/proc/self/ns/pid").Stdout)
		c.ok("stop", "--timeout", "60", one)
		wantEqual(c.T, "the other's state", c.inspect(two, "{{.status.state}}"), "CONTAINER_RUNNING")
		wantCode(c.T, c.execSync(two, "true"), 0)
	}},
	{"limits, update, stats", func(c cri) {
		id := c.waiter(c.pod(podOptions{}), containerOptions{resources: criConfig{"memory_limit_in_bytes": 64 << 20, "cpu_period": 100000, "cpu_quota": 50000}})
		wantEqual(c.T, "memory", c.inspect(id, "{{.info.runtimeSpec.linux.resources.memory.limit}}"), fmt.Sprint(64<<20))
		c.ok("update", "--memory", fmt.Sprint(96<<20), id)
		path := c.inspect(id, "{{.info.runtimeSpec.linux.cgroupsPath}}")
		wantEqual(c.T, "memory", c.Read(harness.ControlFile("memory", path, "memory.limit_in_bytes", "memory.max")), fmt.Sprintln(96<<20))
		var stats struct {
			Stats []struct {
				Memory struct{ UsageBytes struct{ Value string } }
			}
		}
		if err := json.Unmarshal([]byte(c.ok("stats", "--output", "json", id)), &stats); err != nil || len(stats.Stats) != 1 || stats.Stats[0].Memory.UsageBytes.Value == "" {
			c.T.Errorf("stats: %+v, %v", stats, err)
		}
	}},
	{"user, capabilities, no-new-privileges, read-only root", func(c cri) {
		out, _ := c.run(containerOptions{security: criConfig{
			"run_as_user": criConfig{"value": 1000}, "run_as_group": criConfig{"value": 1001}, "no_new_privs": true, "readonly_rootfs": true,
			"capabilities": criConfig{"drop_capabilities": []string{"ALL"}},
		}}, "sh", "-c", "id -u; id -g; cat /proc/self/status; touch /file || echo read-only")
		got := lines(out)
		wantEqual(c.T, "user and group", strings.Join(got[:2], " "), "1000 1001")
		wantEqual(c.T, "the last line", got[len(got)-1], "read-only")
		wantEqual(c.T, "NoNewPrivs", field(out, "NoNewPrivs"), "1")
		wantEqual(c.T, "CapBnd", field(out, "CapBnd"), "0000000000000000")
	}},
	{"seccomp RuntimeDefault", func(c cri) {
		const runtimeDefault, unconfined = 0, 1
		for profile, want := range map[int]string{runtimeDefault: "2", unconfined: "0"} {
			out, _ := c.run(containerOptions{security: criConfig{"seccomp": criConfig{"profile_type": profile}}}, "cat", "/proc/self/status")
			wantEqual(c.T, "mode", field(out, "Seccomp"), want)
		}
	}},
	{"privileged", func(c cri) {
		p := c.pod(podOptions{privileged: true})
		out, end := c.ended(c.start(p, containerOptions{security: criConfig{"privileged": true}}, "sh", "-c", "mount -t tmpfs none /tmp && echo mounted"))
		wantEqual(c.T, "its end", out+end, "mounted\n0 Completed")
	}},
	{"sysctls of a pod", func(c cri) {
		p := c.pod(podOptions{sysctls: map[string]string{"kernel.shm_rmid_forced": "1"}})
		out, _ := c.ended(c.start(p, containerOptions{}, "cat", "/proc/sys/kernel/shm_rmid_forced"))
		wantEqual(c.T, "kernel.shm_rmid_forced", out, "1\n")
	}},
	{"stop kills who does not listen", func(c cri) {
		id := c.start(c.pod(podOptions{}), containerOptions{}, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done")
		c.logged(id, "ready")
		c.ok("stop", "--timeout", "1", id)
		wantEqual(c.T, "its end", c.inspect(id, "{{.status.exitCode}}"), "137")
	}},
	{"a pod goes with its containers", func(c cri) {
		p := c.pod(podOptions{})
		c.waiter(p, containerOptions{})
		c.waiter(p, containerOptions{})
		c.remove(p.id)
		wantEqual(c.T, "containers", c.ok("ps", "--all", "--quiet"), "")
	}},
	{"8 containers at once", func(c cri) {
		p := c.pod(podOptions{})
		cmds := make([]*harness.Cmd, 8)
		ids := make([]string, len(cmds))
		for i := range cmds {
			ids[i] = c.create(p, containerOptions{}, "probe", "exit", fmt.Sprint(i))
			cmds[i] = c.cmd("start", ids[i]).Within(aMinute)
		}
		together(c.T, len(cmds), func(i int) error {
			r, err := cmds[i].Try()
			if err == nil && r.Code != 0 {
				err = fmt.Errorf("%s", r)
			}
			return err
		})
		for i, id := range ids {
			_, end := c.ended(id)
			wantEqual(c.T, "exit code", strings.Fields(end)[0], fmt.Sprint(i))
		}
	}},
}

func TestCRIWithRuncsShim(t *testing.T) {
	e := harness.New(t)
	c := startCRI(e, "runc")
	version(t, "crictl, containerd's CRI, io.containerd.runc.v2 with BinaryName", c.versions())
	run(t, criFeatures, c.on, cri.clean)
}

func TestCRIWithRunacksShim(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the shim is runack's")
	c := startCRI(e, "runack")
	version(t, "crictl, containerd's CRI, io.containerd.runack.v2", c.versions())
	run(t, append(slices.Clone(criFeatures), feature[cri]{"one shim for a pod", func(c cri) {
		p := c.pod(podOptions{})
		one, two := c.waiter(p, containerOptions{}), c.waiter(p, containerOptions{})
		parents := map[string]bool{}
		for _, id := range []string{one, two} {
			parents[field(c.Read("/proc/"+c.inspect(id, "{{.info.pid}}")+"/status"), "PPid")] = true
		}
		if len(parents) != 1 {
			c.T.Errorf("the containers' shims: %v", parents)
		}
	}}), c.on, cri.clean)
}

func (c cri) versions() string {
	return "crictl " + strings.Fields(c.Command(program(c.T, "crictl"), "--version").OK())[2] + ", " + c.containerd.versions()
}
