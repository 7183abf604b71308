package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// pidOf waits for a pidfd and asks the kernel whose it is.
func pidOf(t testing.TB, s *harness.Receiver) int {
	t.Helper()
	pidfd := s.File()
	defer pidfd.Close()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(field(t, string(text), "Pid"), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestPidfdSockets(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("wait"))
	pidFile := filepath.Join(e.Dir, "pid")
	check := func(s *harness.Receiver) {
		t.Helper()
		wantEqual(t, "pid of "+s.Path, fmt.Sprint(pidOf(t, s)), fmt.Sprint(e.ReadPid(pidFile)))
	}
	id := e.ID("created")
	s := e.Receive("create")
	e.OK("create", "-b", b.Dir, "--pidfd-socket", s.Path, "--pid-file", pidFile, id)
	check(s)
	remove(e, id)

	id = e.ID("run")
	s = e.Receive("run")
	e.OK("run", "-d", "-b", b.Dir, "--pidfd-socket", s.Path, "--pid-file", pidFile, id)
	check(s)

	s = e.Receive("exec")
	e.OK("exec", "-d", "--pidfd-socket", s.Path, "--pid-file", pidFile, id, "sleep", "1000")
	check(s)

	// The descriptor arrives before the end of even the shortest program.
	s = e.Receive("short")
	e.OK("exec", "--pidfd-socket", s.Path, id, "true")
	s.File().Close()
	remove(e, id)
}

func TestAPidfdSocketThatIsNotThereCostsNothing(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	missing := filepath.Join(e.Dir, "missing")
	harness.OneLine(t, e.Fails(255, "exec", "--pidfd-socket", missing, id, "true"), "missing")
	harness.OneLine(t, e.Fails(1, "create", "-b", e.Bundle().Dir, "--pidfd-socket", missing, e.ID("c")), "missing")
	remove(e, id)
}

// The second phase of an exec: the supervisor has the process, and lets it go when it is ready for it.
func TestExecWaitsForItsFifo(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has --exec-wait-fifo")
	b := e.Bundle(harness.Probe("wait"), harness.WritableRoot)
	id := e.ID("c")
	e.OK("run", "-d", "-b", b.Dir, id)
	fifo := gate(t, e.Dir, "fifo")
	s := e.Receive("pidfd")
	pidFile := filepath.Join(e.Dir, "pid")
	// Detached, the runtime is gone while the process waits; any user may be the command's.
	e.OK("exec", "-d", "--user", "1000:1000", "--exec-wait-fifo", fifo, "--pidfd-socket", s.Path, "--pid-file", pidFile,
		id, "sh", "-c", "id -u >/tmp/ran; exit 9")
	pid := e.ReadPid(pidFile)
	wantEqual(t, "pid of the pidfd", fmt.Sprint(pidOf(t, s)), fmt.Sprint(pid))
	wantContains(t, "name of the process", e.Read(fmt.Sprintf("/proc/%d/comm", pid)), "runack:[")
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wantEqual(t, "exit code", fmt.Sprint(e.WaitExit(pid).ExitStatus()), "9")
	wantEqual(t, "output", e.Read(filepath.Join(b.Rootfs, "tmp/ran")), "1000\n")
	word := make([]byte, 8)
	n, _ := f.Read(word)
	wantEqual(t, "word in the fifo", string(word[:n]), "0")
	remove(e, id)
}

// In the foreground the runtime waits along: for the fifo without a limit, then as ever.
func TestAForegroundExecWaitsForItsFifo(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has --exec-wait-fifo")
	id, _ := detached(e)
	fifo := gate(t, e.Dir, "fifo")
	for _, reap := range []string{"--reap=false", "--reap"} {
		s := e.Receive("pidfd" + reap)
		p := e.Runtime("exec", reap, "--exec-wait-fifo", fifo, "--pidfd-socket", s.Path, id, "sh", "-c", "echo ran; exit 3").
			Env("RUNACK_TIMEOUT=1s").Piped().Start()
		s.File().Close()
		// Only whoever has opened it for writing lets this open through: the process waits.
		f, err := os.OpenFile(fifo, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		p.Expect("ran")
		if r := p.Wait(); r.Code != 3 {
			t.Error(r)
		}
	}
	// What is wrong is told before the process waits, or by the runtime that waits along.
	harness.OneLine(t, e.Fails(255, "exec", "-d", "--exec-wait-fifo", fifo, id, "nosuch"), "executable file not found in $PATH")
	harness.OneLine(t, e.Fails(255, "exec", "-d", "--exec-wait-fifo", e.Dir, id, "true"), "not a fifo")
	harness.OneLine(t, e.Fails(255, "exec", "-d", "--exec-wait-fifo", fifo+"x", id, "true"), "ENOENT")
	remove(e, id)
}

// In a user namespace the container's root opens the fifo, and it must be allowed to.
func TestExecWaitsForItsFifoInAUserNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has --exec-wait-fifo")
	id, _ := detached(e, harness.Namespace(specs.UserNamespace, ""), func(s *spec) {
		maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = maps, maps
	})
	fifo := gate(t, e.Dir, "fifo")
	harness.OneLine(t, e.Fails(255, "exec", "--exec-wait-fifo", fifo, id, "true"), "wait for fifo", "EACCES")
	if err := os.Chmod(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	p := e.Runtime("exec", "--exec-wait-fifo", fifo, id, "sh", "-c", "exit 4").Start()
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if r := p.Wait(); r.Code != 4 {
		t.Error(r)
	}
	remove(e, id)
}

// An exec that waits can be ended: by a signal, also through a runtime in the foreground, and with its container.
func TestAnExecThatWaitsForItsFifoCanBeEnded(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has --exec-wait-fifo")
	id, _ := detached(e)
	fifo := gate(t, e.Dir, "fifo")
	s := e.Receive("pidfd")
	p := deaf(e, "exec", "--exec-wait-fifo", fifo, "--pidfd-socket", s.Path, id, "true").Start()
	waits(t, pidOf(t, s))
	p.Signal(unix.SIGTERM)
	if r := p.Wait(); r.Code != 255 {
		t.Error(r)
	}
	s = e.Receive("pidfd2")
	e.OK("exec", "-d", "--exec-wait-fifo", fifo, "--pidfd-socket", s.Path, id, "true")
	pid := pidOf(t, s)
	remove(e, id)
	e.WaitExit(pid)
}

// waits waits until a stage is at the fifo, where it opens it.
func waits(t testing.TB, pid int) {
	t.Helper()
	within(t, "the stage waits for the fifo", func() bool { return blockedIn(pid, unix.SYS_OPENAT) })
}
