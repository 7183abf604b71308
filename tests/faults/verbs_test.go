package faults

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
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
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return
	}
	for i := range messages {
		fds, _ := unix.ParseUnixRights(&messages[i])
		k.kept = append(k.kept, fds...)
	}
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

// The verbs, each with what it is tried on.
func verbs(e *harness.Env) []*walk {
	console := takeTerminals(e)
	withTerminal := e.Bundle(harness.Args("/bin/true"), rich, terminal, filtered(console.path))
	plain := e.Bundle(harness.Args("/bin/true"), rich, filtered(console.path))
	all := []*walk{
		{verb: &verb{name: "create", bundle: withTerminal, code: 1, args: createArgs, after: gone}},
		{verb: &verb{name: "start", bundle: withTerminal, code: 1, prepare: create,
			args: func(w *walk, id string) []string { return []string{"start", id} },
			// created: nothing had been said to the stage. running: past executing no deadline kills.
			after: func(w *walk, id string) error { return w.status(id, "stopped", "created", "running") }}},
		{verb: &verb{name: "exec", bundle: plain, code: 255,
			args: func(w *walk, id string) []string {
				return []string{"exec", "-t", "-d", "--console-socket", w.console.path, id, "/bin/true"}
			}}},
		{verb: &verb{name: "run", bundle: plain, code: 1,
			args: func(w *walk, id string) []string { return []string{"run", "-b", w.bundle.Dir, id} }}},
		{verb: &verb{name: "run --init", bundle: plain, code: 1,
			args: func(w *walk, id string) []string { return []string{"run", "--init", "-b", w.bundle.Dir, id} }}},
		{verb: &verb{name: "delete", bundle: withTerminal, code: 1, prepare: create,
			args: func(w *walk, id string) []string { return []string{"delete", id} }}},
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
			if w.name == "exec" {
				w.startShared()
				defer w.stopShared()
			}
			w.run(t, w.discover())
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
