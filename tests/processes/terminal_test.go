package processes

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/console"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// A screen is a caller's terminal: the test sits in front of it.
type screen struct {
	t      testing.TB
	master *os.File
	tty    *os.File // the other end, for the runtime
	seen   bytes.Buffer
}

func newScreen(t testing.TB) *screen {
	t.Helper()
	pty, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Close()
	fd, err := unix.FcntlInt(pty.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true) // for deadlines
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, master: os.NewFile(uintptr(fd), "master"), tty: tty}
	t.Cleanup(func() { s.master.Close(); s.tty.Close() })
	return s
}

// shows waits until the text is to be seen, behind what was waited for before.
func (s *screen) shows(text string) {
	s.t.Helper()
	if err := s.master.SetReadDeadline(time.Now().Add(harness.Deadline(commandTime))); err != nil {
		s.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		if i := bytes.Index(s.seen.Bytes(), []byte(text)); i >= 0 {
			s.seen.Next(i + len(text))
			return
		}
		n, err := s.master.Read(buf)
		s.seen.Write(buf[:n])
		if err != nil {
			s.t.Fatalf("%q is not shown but %.300q: %v", text, s.seen.String(), err)
		}
	}
}

// types enters text.
func (s *screen) types(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) resize(rows, cols uint16) {
	s.t.Helper()
	raw, err := s.master.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			if err := unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
				s.t.Error(err)
			}
		})
	}
	if err != nil {
		s.t.Error(err)
	}
}

// modes are the settings of the terminal.
func (s *screen) modes() unix.Termios {
	s.t.Helper()
	modes, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *modes
}

func withTerminal(s *spec) { s.Process.Terminal = true }

// Raw while the program runs, as it was afterwards: on every way out but SIGKILL.
func TestTheCallersTerminalIsGivenBack(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	b := e.Bundle(withTerminal, harness.Shell("echo ready; read x; exit 3"))
	dies := func(s *screen, p *harness.Proc) { s.types("x\r") }
	rows := []struct {
		name string
		args []string
		code int
		end  func(*screen, *harness.Proc) // nil: it never gets ready
	}{
		{"run that ends", []string{"run", "-b", b.Dir, e.ID("ends")}, 3, dies},
		{"exec that ends", []string{"exec", "-t", id, "sh", "-c", "echo ready; read x; exit 4"}, 4, dies},
		{"exec that dies", []string{"exec", "-t", id, "sh", "-c", "echo ready; read x; kill -9 $$"}, 137, dies},
		{"run that is terminated", []string{"run", "-b", b.Dir, e.ID("term")}, 143,
			func(_ *screen, p *harness.Proc) {
				// pid 1 of a PID namespace is spared by what it does not handle.
				p.Signal(unix.SIGTERM)
				e.OK("kill", e.ID("term"), "KILL")
			}},
		{"exec that is terminated", []string{"exec", "-t", id, "sh", "-c", "echo ready; exec sleep 1000"}, 143,
			func(_ *screen, p *harness.Proc) { p.Signal(unix.SIGTERM) }},
		{"run that is killed", []string{"run", "-b", b.Dir, e.ID("kill")}, 137,
			func(*screen, *harness.Proc) { e.OK("kill", e.ID("kill"), "KILL") }},
		{"exec of what is not there", []string{"exec", "-t", id, "nosuch"}, 255, nil},
		{"run of what is not there", []string{"run", "-b", e.Bundle(withTerminal, harness.Args("nosuch")).Dir, e.ID("nosuch")}, 1, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := newScreen(t)
			before := s.modes()
			p := e.On(t).Runtime(row.args...).TTY(s.tty).Start()
			if row.end != nil {
				s.shows("ready")
				if during := s.modes(); during.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 || during.Oflag&unix.OPOST != 0 {
					t.Error("the terminal is not raw while the program runs")
				}
				row.end(s, p)
			}
			code := p.Wait().Code
			if code != row.code && !strings.HasSuffix(row.name, "terminated") || code == 0 {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
			if after := s.modes(); after != before {
				t.Errorf("the terminal was %+v and is %+v", before, after)
			}
		})
	}
	remove(e, id)
}

// An interruption while the container is being made: a hook hangs, and nobody has the terminal yet.
func TestTheCallersTerminalIsGivenBackByAStartThatIsInterrupted(t *testing.T) {
	e := harness.New(t)
	fifo := gate(t, e.Dir, "fifo")
	b := e.Bundle(withTerminal, harness.Args("/bin/true"), func(s *spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/cat", Args: []string{"cat", fifo}}}}
	})
	s := newScreen(t)
	before := s.modes()
	p := e.Runtime("run", "-b", b.Dir, e.ID("c")).TTY(s.tty).Start()
	hook, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the hook
	if err != nil {
		t.Fatal(err)
	}
	defer hook.Close()
	p.Signal(unix.SIGTERM)
	if r := p.Wait(); r.Code != 1 {
		t.Error(r)
	}
	if after := s.modes(); after != before {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
}

// However often the window changes while the container starts, the program's has the last size.
func TestEarlyResizesAreKept(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	for _, args := range [][]string{
		{"run", "-b", e.Bundle(withTerminal, harness.Shell("read x; stty size")).Dir, e.ID("c")},
		{"exec", "-t", id, "sh", "-c", "read x; stty size"},
	} {
		s := newScreen(t)
		p := e.Runtime(args...).TTY(s.tty).Start()
		last := uint16(0)
		for last < 500 && s.modes().Lflag&unix.ICANON != 0 { // until the runtime has the terminal
			last++
			s.resize(last, 2*last)
		}
		for range 20 {
			last++
			s.resize(last, 2*last)
		}
		// The signal of the last change is handled some time after the change.
		size := fmt.Sprint(last, " ", 2*last)
		within(t, "the last size arrives", func() bool { return innerSize(p.Pid) == size })
		s.types("x\r")
		s.shows(size)
		if r := p.Wait(); r.Code != 0 {
			t.Error(r)
		}
	}
	remove(e, id)
}

// innerSize is the size of the terminal that a foreground runtime holds the master of.
func innerSize(runtime int) string {
	for fd := range 64 {
		path := fmt.Sprintf("/proc/%d/fd/%d", runtime, fd)
		if link, err := os.Readlink(path); err != nil || !strings.HasSuffix(link, "ptmx") {
			continue
		}
		pidfd, err := unix.PidfdOpen(runtime, 0)
		if err != nil {
			return ""
		}
		defer unix.Close(pidfd)
		copied, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err != nil {
			return ""
		}
		defer unix.Close(copied)
		size, err := unix.IoctlGetWinsize(copied, unix.TIOCGWINSZ)
		if err != nil {
			return ""
		}
		return fmt.Sprint(size.Row, " ", size.Col)
	}
	return ""
}

// cpuTime is what a process has used so far, in ticks of the clock.
func cpuTime(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	var user, system int
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return user + system
}

// A reader that stops costs no CPU, and does not keep the runtime from being ended.
func TestAReaderThatStops(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	s := newScreen(t)
	pidFile := e.Dir + "/pid"
	p := e.Runtime("exec", "-t", "--pid-file", pidFile, id, "yes").TTY(s.tty).Start()
	s.shows("y\r\ny\r\n")
	program := e.ReadPid(pidFile)
	within(t, "the program is stuck", func() bool {
		return blockedIn(program, unix.SYS_WRITE) || blockedIn(program, unix.SYS_WRITEV)
	})
	runtime, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(runtime)
	before := cpuTime(t, p.Pid)
	for range 20 { // some hundreds of milliseconds in which it could spin
		e.OK("state", id)
	}
	if used := cpuTime(t, p.Pid) - before; used > 5 {
		t.Errorf("waiting for the reader took %d ticks of CPU time", used)
	}
	p.Signal(unix.SIGTERM)
	dies(t, program)
	// The next signal ends the runtime's wait for the reader, once that has begun.
	within(t, "the runtime leaves", func() bool {
		return unix.PidfdSendSignal(runtime, unix.SIGTERM, nil, 0) == unix.ESRCH
	})
	if r := p.Wait(); r.Code != 143 {
		t.Error(r)
	}
	remove(e, id)
}

// When the window is closed the program gets the hangup, and nothing hangs.
func TestHangup(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	s := newScreen(t)
	p := e.Runtime("exec", "-t", id, "sh", "-c", "echo ready; exec sleep 1000").TTY(s.tty).Start()
	s.shows("ready")
	s.tty.Close()
	s.master.Close()
	if r := p.Wait(); r.Code != 129 {
		t.Error(r)
	}
	remove(e, id)
}

// What the program leaves in the background, with the terminal or a pipe in its hands, holds nobody up.
func TestWhatIsLeftInTheBackgroundHoldsNobodyUp(t *testing.T) {
	e := harness.New(t)
	id, _ := withGates(e, "gate")
	const script = "trap '' HUP; (cat /gate; true) & echo last words; exit 6"
	s := newScreen(t)
	p := e.Runtime("exec", "-t", id, "sh", "-c", script).TTY(s.tty).Start()
	s.shows("last words")
	if r := p.Wait(); r.Code != 6 {
		t.Error(r)
	}
	for _, flag := range []string{"--reap=false", "--reap"} {
		if flag == "--reap" && !harness.IsRunack() {
			continue
		}
		q := e.Runtime("exec", flag, id, "sh", "-c", script).Piped().Start()
		q.Expect("last words")
		if r := q.Wait(); r.Code != 6 {
			t.Error(r)
		}
	}
	remove(e, id)
}

// With the built-in init in between, what is typed reaches the program once.
func TestKeysReachTheProgramOnce(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has --init and --reap")
	id, _ := detached(e)
	for _, args := range [][]string{
		{"run", "--init", "-b", e.Bundle(withTerminal, harness.Probe("wait")).Dir, e.ID("c")},
		{"exec", "-t", "--reap", id, "/bin/probe", "wait"},
		{"exec", "-t", id, "/bin/probe", "wait"},
	} {
		s := newScreen(t)
		p := e.Runtime(args...).TTY(s.tty).Start()
		s.shows("ready")
		s.types("\x03") // ^C
		s.shows("signal 2\r\n")
		s.types("\x1c") // ^\
		s.shows("signal 3\r\n")
		p.Signal(unix.SIGTERM)
		s.shows("signal 15\r\n")
		if r := p.Wait(); r.Code != 0 {
			t.Error(r)
		}
		if n := strings.Count(s.seen.String(), "signal"); n != 0 {
			t.Errorf("%d signals came twice: %q", n, s.seen.String())
		}
	}
	remove(e, id)
}
