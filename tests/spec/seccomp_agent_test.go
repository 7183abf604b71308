package spec

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// The kernel's struct seccomp_notif and seccomp_notif_resp, and the requests that carry them
// (linux/seccomp.h).
type notification struct {
	ID        uint64
	Pid       uint32
	Flags     uint32
	Nr        int32
	Arch      uint32
	IP        uint64
	Arguments [6]uint64
}

type notificationAnswer struct {
	ID    uint64
	Value int64
	Error int32
	Flags uint32
}

const (
	notifReceive  = 0xc0502100
	notifSend     = 0xc0182101
	notifContinue = 1
)

// An agent is what listens at listenerPath. It lets every call pass but uname, which fails with
// EDOM.
type agent struct {
	t        *testing.T
	path     string
	listener *net.UnixListener
	messages chan specs.ContainerProcessState
	asked    chan int // numbers of the calls that it was asked about; what does not fit is dropped
	done     chan struct{}
}

func startAgent(t *testing.T, path string) *agent {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, path: path, listener: l, messages: make(chan specs.ContainerProcessState, 16),
		asked: make(chan int, 1024), done: make(chan struct{})}
	go a.serve()
	return a
}

// stop ends the agent once all its processes have ended.
func (a *agent) stop() {
	a.t.Helper()
	a.listener.Close()
	<-a.done
}

func (a *agent) serve() {
	defer close(a.done)
	var served []chan struct{}
	for {
		conn, err := a.listener.AcceptUnix()
		if err != nil {
			break
		}
		file, err := a.receive(conn)
		conn.Close()
		if err != nil {
			a.t.Errorf("agent: %v", err)
			continue
		}
		if file == nil {
			continue
		}
		end := make(chan struct{})
		served = append(served, end)
		go func() {
			defer close(end)
			defer file.Close()
			a.answer(file)
		}()
	}
	for _, end := range served {
		<-end
	}
}

// receive reads one message to its end; a client that says nothing gives nil.
func (a *agent) receive(conn *net.UnixConn) (*os.File, error) {
	data, oob := make([]byte, 64*1024), make([]byte, 256)
	n, oobn, _, _, err := conn.ReadMsgUnix(data, oob)
	if n == 0 || errors.Is(err, unix.ECONNRESET) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(err, errors.New("not one control message"))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(err, errors.New("not one descriptor"))
	}
	unix.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), "seccomp listener")
	var state specs.ContainerProcessState
	if err := json.Unmarshal(data[:n], &state); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	a.messages <- state
	return file, nil
}

// answer answers until the last process with the filter has ended.
func (a *agent) answer(file *os.File) {
	fd := int(file.Fd())
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err != nil {
			continue // EINTR
		}
		if p[0].Revents&unix.POLLIN == 0 {
			return // POLLHUP
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), notifReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // ENOENT: the caller was killed
		}
		select {
		case a.asked <- int(n.Nr):
		default:
		}
		answer := notificationAnswer{ID: n.ID, Flags: notifContinue}
		if n.Nr == unix.SYS_UNAME {
			answer = notificationAnswer{ID: n.ID, Error: -int32(unix.EDOM)}
		}
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), notifSend, uintptr(unsafe.Pointer(&answer)))
	}
}

func (a *agent) message() specs.ContainerProcessState {
	a.t.Helper()
	select {
	case m := <-a.messages:
		return m
	case <-time.After(harness.Deadline(20 * time.Second)):
		a.t.Fatal("the agent got no message")
	}
	panic("unreachable")
}

// notified is a profile that asks the agent about these calls.
func notified(path string, names ...string) *specs.LinuxSeccomp {
	p := ruled(rule(specs.ActNotify, names...))
	p.ListenerPath, p.ListenerMetadata = path, "some metadata"
	return p
}

func TestANotificationReachesTheAgent(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("it tells the agent during create already")
	a := startAgent(t, filepath.Join(e.Dir, "agent.sock"))
	defer a.stop()
	b := e.Bundle(harness.Probe("wait"), seccomp(notified(a.path, "uname")))
	b.Spec.Annotations = map[string]string{"a": "b"}
	b.Edit()
	id := e.ID("c")
	pidFile := filepath.Join(e.Dir, "pid")
	e.OK("create", "--pid-file", pidFile, "-b", b.Dir, id)
	pid := e.ReadPid(pidFile)
	e.OK("start", id)
	want := specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{"seccompFd"}, Pid: pid, Metadata: "some metadata",
		State: specs.State{Version: specs.Version, ID: id, Status: specs.StateCreated, Pid: pid, Bundle: b.Dir, Annotations: map[string]string{"a": "b"}},
	}
	wantSame(t, "message", a.message(), want)

	out := e.OK(append([]string{"exec", id}, call(unix.SYS_UNAME, 0)...)...)
	wantEqual(t, "the agent's answer", strings.TrimSpace(out), negative(unix.EDOM))
	m := a.message()
	if m.Pid == pid || m.Pid == 0 {
		t.Errorf("an exec's message has pid %d, init's is %d", m.Pid, pid)
	}
	wantEqual(t, "status in an exec's message", string(m.State.Status), "running")
	e.Remove(id)
}

// With an init or a reaper in between, the listener is the program's, below.
func TestTheListenerBelowWhatStays(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has --init and exec --reap")
	a := startAgent(t, filepath.Join(e.Dir, "agent.sock"))
	defer a.stop()
	b := e.Bundle(harness.Args(call(unix.SYS_UNAME, 0)...), seccomp(notified(a.path, "uname")))
	wantEqual(t, "run --init", strings.TrimSpace(e.OK("run", "--init", "-b", b.Dir, e.ID("init"))), negative(unix.EDOM))
	a.message()
	b.Edit(harness.Probe("wait"))
	id := e.ID("c")
	e.OK("run", "-d", "-b", b.Dir, id)
	a.message()
	out := e.OK(append([]string{"exec", "--reap", id}, call(unix.SYS_UNAME, 0)...)...)
	wantEqual(t, "exec --reap", strings.TrimSpace(out), negative(unix.EDOM))
	harness.OneLine(t, e.Fails(255, "exec", "-d", "--exec-wait-fifo", "/f", id, "true"), "--exec-wait-fifo", "seccomp listener")
	e.Remove(id)
}

func wantSame(t testing.TB, what string, got, want any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, what, string(g), string(w))
}

// The agent may be asked about what the runtime's own last steps do: it has the listener by then.
func TestTheAgentMayBeAskedAboutTheLastSteps(t *testing.T) {
	for _, nnp := range []bool{false, true} {
		t.Run("no_new_privs "+strconv.FormatBool(nnp), func(t *testing.T) {
			e := harness.New(t)
			e.RunackOnly("its last steps are others")
			a := startAgent(t, filepath.Join(e.Dir, "agent.sock"))
			defer a.stop()
			p := notified(a.path, "sendmsg", "recvmsg", "read", "close", "execve", "capset", "mmap", "munmap", "exit_group")
			p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
			wantEqual(t, "output", e.Run(harness.Probe("args", "x"), seccomp(p), noNewPrivileges(nnp)), "[x]\n")
			var asked []int
			for len(a.asked) > 0 {
				asked = append(asked, <-a.asked)
			}
			for _, nr := range []int{unix.SYS_READ, unix.SYS_EXECVE} {
				if !slices.Contains(asked, nr) {
					t.Errorf("the agent was not asked about %d: %v", nr, asked)
				}
			}
		})
	}
}

// Without its agent a container is not started, and waits for a start that finds one.
func TestAMissingAgentFailsTheStart(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("it fails the create")
	path := filepath.Join(e.Dir, "agent.sock")
	b := e.Bundle(harness.Probe("wait"), seccomp(notified(path, "uname")))
	id := e.ID("c")
	e.OK("create", "-b", b.Dir, id)
	wantContains(t, "start", e.Fails(1, "start", id), "connect to seccomp agent "+path+": ENOENT (2)")
	wantContains(t, "state", e.OK("state", id), `"status": "created"`)
	a := startAgent(t, path)
	e.OK("start", id)
	wantContains(t, "state", e.OK("state", id), `"status": "running"`)
	a.listener.Close()
	wantContains(t, "exec", e.Fails(255, "exec", id, "true"), "connect to seccomp agent "+path)
	wantContains(t, "state", e.OK("state", id), `"status": "running"`)
	e.Remove(id)
	<-a.done
}

// A filter that forbids what telling about the listener takes ends the start, in words.
func TestAListenerThatCannotBeHandedOver(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("its words are others")
	a := startAgent(t, filepath.Join(e.Dir, "agent.sock"))
	defer a.stop()
	p := notified(a.path, "uname")
	p.Syscalls = append(p.Syscalls, rule(specs.ActErrno, "write"))
	b := e.Bundle(harness.Args("true"), seccomp(p))
	// It cannot say more than by its exit code, which run sees as init's parent.
	wantContains(t, "run", e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "stage-1: load seccomp filter: exit status 113")
}

// A user without privilege may have a filter, and no listener: nobody may look into the stage.
func TestSeccompWithoutPrivilege(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("its words are others")
	u := asNobody(e)
	b := u.bundle(maps(ids(0, nobody, 1), ids(0, nobody, 1)), seccomp(dockerProfile(t)), harness.Args(call(unix.SYS_KEYCTL, 0, 0)...))
	wantEqual(t, "forbidden", u.run("run", "-b", b.Dir, e.ID("c")).OK(), negative(unix.EPERM)+"\n")
	b.Edit(seccomp(notified("/agent.sock", "uname")))
	wantContains(t, "run", u.run("run", "-b", b.Dir, e.ID("c")).Fails(1), "config.json: linux.seccomp.syscalls: SCMP_ACT_NOTIFY needs root")
}
