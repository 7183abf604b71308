package spec

import (
	"os"
	"strings"
	"testing"

	"github.com/containerd/console"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

func terminal(height, width uint) harness.Edit {
	return func(s *spec) {
		s.Process.Terminal = true
		if height > 0 {
			s.Process.ConsoleSize = &specs.Box{Height: height, Width: width}
		}
	}
}

// readTerminal reads until the other end is closed, which a terminal tells as EIO.
func readTerminal(master *os.File) string {
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return strings.ReplaceAll(b.String(), "\r\n", "\n")
		}
	}
}

func TestTheConsoleSocketGetsTheTerminal(t *testing.T) {
	e := harness.New(t)
	socket := e.Receive("console.sock")
	b := e.Bundle(terminal(33, 121), sh("stty size; tty; ls -l /dev/console | cut -c1; stat -c %u:%a /dev/pts/0; stty size </dev/console"),
		func(s *spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} })
	id := e.ID("c")
	e.OK("run", "-d", "--console-socket", socket.Path, "-b", b.Dir, id)
	master := socket.File()
	if harness.IsRunack() && !strings.HasPrefix(master.Name(), "/dev/p") {
		t.Errorf("the master's name is %q", master.Name())
	}
	wantEqual(t, "the terminal", readTerminal(master), lines("33 121", "/dev/pts/0", "c", "1000:620", "33 121"))
	if err := master.Close(); err != nil {
		t.Error(err)
	}
	e.Remove(id)
}

// The size is set before the program runs: its first look sees it, in an exec as well.
func TestTheConsoleSizeOfAnExec(t *testing.T) {
	e := harness.New(t)
	socket := e.Receive("console.sock")
	id, _ := e.Detached()
	process := e.File("process.json", `{"terminal":true,"consoleSize":{"height":7,"width":300},"args":["/bin/sh","-c","stty size; tty"],"cwd":"/","user":{"uid":0,"gid":0},"env":["PATH=/bin"]}`)
	e.OK("exec", "-d", "-p", process, "--console-socket", socket.Path, id)
	master := socket.File()
	wantEqual(t, "the terminal", readTerminal(master), lines("7 300", "/dev/pts/0"))
	if err := master.Close(); err != nil {
		t.Error(err)
	}
	e.Remove(id)
}

// In the foreground the container's terminal follows the caller's, from the first look on.
func TestAForegroundTerminalFollowsTheCallers(t *testing.T) {
	e := harness.New(t)
	master, path, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := master.Resize(console.WinSize{Height: 44, Width: 99}); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := e.Bundle(terminal(0, 0), sh(`stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do read x; done`))
	p := e.Runtime("run", "-b", b.Dir, e.ID("c")).TTY(tty).Start()
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(out.String(), "ready") {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("%q: %v", out.String(), err)
		}
		out.Write(buf[:n])
	}
	if err := master.Resize(console.WinSize{Height: 50, Width: 120}); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := master.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if r := p.Wait(); r.Code != 5 {
		t.Error(r)
	}
	wantContains(t, "the terminal", strings.ReplaceAll(out.String(), "\r", ""), "44 99\n", "50 120\n")
}

func TestTerminalsAndCommandLinesThatDoNotFit(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	b := e.Bundle(terminal(0, 0))
	harness.OneLine(t, e.Fails(1, "run", "-d", "-b", b.Dir, e.ID("c")), "console")
	socket := e.Receive("console.sock")
	harness.OneLine(t, e.Fails(1, "run", "-d", "--console-socket", socket.Path, "-b", e.Bundle().Dir, e.ID("c")), "cannot use console socket")
	b = e.Bundle(terminal(70000, 1))
	harness.OneLine(t, e.Fails(1, "run", "-d", "--console-socket", socket.Path, "-b", b.Dir, e.ID("c")), "process.consoleSize.height", "70000")
}
