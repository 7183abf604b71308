package faults

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// rich asks for all that a configuration can ask for on any host, so that its plan has every step.
func rich(s *specs.Spec) {
	hook := []specs.Hook{{Path: "/bin/true"}}
	s.Hooks = &specs.Hooks{CreateRuntime: hook, CreateContainer: hook, StartContainer: hook, Poststart: hook, Poststop: hook}
	s.Hostname, s.Domainname = "rich", "example.org"
	harness.Namespace(specs.TimeNamespace, "")(s)
	harness.Namespace(specs.CgroupNamespace, "")(s)
	s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 3600}}
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux}
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: new(int64(256 << 20))}
	s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch}
	s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 5}
	s.Process.OOMScoreAdj = new(100)
	s.Process.User.Umask = new(uint32(0o027))
	harness.Mount("bind", "/etc", "/mnt", "bind", "ro")(s)
	harness.Mount("tmpfs", "tmpfs", "/var/cache/made", "nosuid")(s)
	harness.Mount("tmpfs", "tmpfs", "/var/cache/made", "remount", "noexec")(s)
	s.Process.Cwd = "/made" // a working directory that is not there is made
}

// filtered asks for a filter with an agent, whom nothing here has to ask.
func filtered(agent string) harness.Edit {
	return func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow, ListenerPath: agent,
			Syscalls: []specs.LinuxSyscall{{Names: []string{"fanotify_init"}, Action: specs.ActNotify}},
		}
	}
}

// terminal asks for one.
func terminal(s *specs.Spec) { s.Process.Terminal = true }

// A consoles listens for terminals and seccomp listeners, and keeps them: who closes a terminal's
// master hangs up.
type consoles struct {
	path string
	kept []int // guarded by whoever has drained
}

func takeTerminals(e *harness.Env) *consoles {
	e.T.Helper()
	k := &consoles{}
	path := filepath.Join(e.Dir, "console.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		e.T.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			k.take(c)
		}
	}()
	e.T.Cleanup(func() { _ = l.Close(); <-done; k.close() })
	k.path = path
	return k
}

// take reads one message with a descriptor, or the end that comes without one.
func (k *consoles) take(c *net.UnixConn) {
	defer c.Close()
	oob := make([]byte, 64)
	_, n, _, _, err := c.ReadMsgUnix(make([]byte, 4096), oob)
	if err != nil {
		return
	}
	k.kept = append(k.kept, rights(oob[:n])...)
}

// rights are the descriptors that came with a message.
func rights(oob []byte) (fds []int) {
	messages, _ := unix.ParseSocketControlMessage(oob)
	for i := range messages {
		got, _ := unix.ParseUnixRights(&messages[i])
		fds = append(fds, got...)
	}
	return fds
}

// drain closes the terminals, once all who have connected so far have been served: they are served
// in their order.
func (k *consoles) drain(t *testing.T) {
	t.Helper()
	c, err := net.Dial("unix", k.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Read(make([]byte, 1)) // the end
	k.close()
}

func (k *consoles) close() {
	for _, fd := range k.kept {
		_ = unix.Close(fd)
	}
	k.kept = nil
}

func gone(w *walk, id string) error {
	_, err := os.Lstat(filepath.Join(w.e.Root, id))
	if !os.IsNotExist(err) {
		return fmt.Errorf("the state directory is still there: %v", err)
	}
	return nil
}

func createArgs(w *walk, id string) []string {
	return []string{"create", "--console-socket", w.console.path, "-b", w.bundle.Dir, id}
}

func create(w *walk, id string, vars []string) error { return w.must(vars, createArgs(w, id)...) }

// ofTheKernel asks for what only some kernels have.
func ofTheKernel(s *specs.Spec) {
	if text, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err == nil && strings.HasPrefix(string(text), "Y") {
		s.Process.ApparmorProfile = "unconfined"
	}
	if _, err := os.Stat("/proc/self/numa_maps"); err == nil {
		s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}
	}
}

// withDevice gives a command a network namespace of its own, with a device that a container can take.
func withDevice(c *harness.Cmd) *harness.Cmd {
	return c.Through("busybox", "unshare", "-n", "busybox", "sh", "-c", `busybox ip link add device type veth && exec "$@"`, "sh")
}

// manager makes the other end of NOTIFY_SOCKET, which takes in all that comes.
func manager(e *harness.Env) (path string) {
	e.T.Helper()
	path = filepath.Join(e.Dir, "notify.sock")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		e.T.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			message, oob := make([]byte, 4096), make([]byte, 64)
			_, n, _, _, err := c.ReadMsgUnix(message, oob)
			if err != nil {
				return
			}
			for _, fd := range rights(oob[:n]) {
				_ = unix.Close(fd) // which is how a barrier is answered
			}
		}
	}()
	e.T.Cleanup(func() { _ = c.Close(); <-done })
	return path
}

// openFifo makes a fifo that somebody reads, so that nobody waits for it.
func openFifo(e *harness.Env) (path string) {
	e.T.Helper()
	path = filepath.Join(e.Dir, "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		e.T.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { _ = f.Close() })
	return path
}

// The verbs, each with what it is tried on. Those with only are there for points that no other passes.
func verbs(e *harness.Env) []*walk {
	console, fifo := takeTerminals(e), openFifo(e)
	withTerminal := e.Bundle(harness.Args("/bin/true"), rich, terminal, filtered(console.path))
	plain := e.Bundle(harness.Args("/bin/true"), rich, filtered(console.path))
	run := func(args ...string) func(*walk, string) []string {
		return func(w *walk, id string) []string {
			return append(append([]string{"run"}, args...), "-b", w.bundle.Dir, id)
		}
	}
	exec := func(args ...string) func(*walk, string) []string {
		return func(w *walk, id string) []string {
			return append(append([]string{"exec"}, args...), id, "/bin/true")
		}
	}
	all := []*walk{
		{verb: &verb{name: "create", bundle: withTerminal, code: 1, args: createArgs, after: gone}},
		{verb: &verb{name: "start", bundle: withTerminal, code: 1, prepare: create,
			args: func(w *walk, id string) []string { return []string{"start", id} },
			// created: nothing had been said to the stage. running: past executing no deadline kills.
			after: func(w *walk, id string) error { return w.status(id, "stopped", "created", "running") }}},
		{verb: &verb{name: "exec", shares: true, code: 255, args: exec("-t", "-d", "--console-socket", console.path)}},
		{verb: &verb{name: "run", brief: true, bundle: plain, code: 1, args: run()}},
		{verb: &verb{name: "run --init", brief: true, keeper: true, bundle: plain, code: 1, args: run("--init")}},
		{verb: &verb{name: "delete", bundle: withTerminal, code: 1, prepare: create,
			args: func(w *walk, id string) []string { return []string{"delete", id} }}},

		{verb: &verb{name: "exec --reap", shares: true, brief: true, keeper: true, code: 255, args: exec("--reap")}},
		{verb: &verb{name: "exec --exec-wait-fifo", shares: true, code: 255, args: exec("--exec-wait-fifo", fifo),
			only: []string{"stage-1: wait for fifo", "stage-1: write frame holding", "runtime: read frame holding"}}},
		{verb: &verb{name: "create (network device)", code: 1, after: gone, through: withDevice,
			bundle: e.Bundle(harness.Args("/bin/true"), terminal, func(s *specs.Spec) {
				s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"device": {}}
			}),
			args: createArgs, only: []string{"runtime: move network devices"}}},
		{verb: &verb{name: "run (sd_notify)", code: 1, env: []string{"NOTIFY_SOCKET=" + manager(e)},
			bundle: e.Bundle(harness.Probe("notify", "READY=1")), args: run("-d"), only: []string{"runtime: wait for readiness"}}},
		{verb: &verb{name: "run (" + kernels + ")", code: 1, bundle: e.Bundle(harness.Args("/bin/true"), ofTheKernel), args: run(),
			only: []string{"stage-1: set exec label", "stage-1: set memory policy"}}},
	}
	for _, w := range all {
		w.e, w.console = e, console
	}
	return all
}

func TestEveryFaultIsToldAndClearedUp(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("failpoints are runack's")
	for _, w := range verbs(e) {
		t.Run(w.name, func(t *testing.T) {
			w.e = e.On(t)
			if w.shares {
				w.startShared()
				defer w.stopShared()
			}
			points := w.discover()
			if len(points) == 0 {
				t.Skip("this kernel has nothing of it")
			}
			w.run(t, points)
		})
	}
}

// startShared makes a container for each lane to exec in.
func (w *walk) startShared() {
	b := w.e.Bundle(harness.Probe("wait"), rich, filtered(w.console.path))
	for lane := range lanes {
		id := w.e.ID(fmt.Sprintf("shared%d", lane))
		if err := w.must(nil, "run", "-d", "-b", b.Dir, id); err != nil {
			w.e.T.Fatal(err)
		}
		w.shared = append(w.shared, id)
	}
	w.e.Rebase()
}

func (w *walk) stopShared() {
	for _, id := range w.shared {
		if err := w.must(nil, "delete", "-f", id); err != nil {
			w.e.T.Error(err)
		}
	}
}
