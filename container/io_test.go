package container

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPidFileAppearsWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pid")
	for _, pid := range []int{1, 4194304} {
		if err := writePidFile(path, pid); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "4194304" {
		t.Errorf("%q, %v", data, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	err = writePidFile(filepath.Join(dir, "missing", "pid"), 1)
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "ENOENT (2)") {
		t.Errorf("missing directory: %v", err)
	}
}

func TestIOCheck(t *testing.T) {
	const (
		noSink  = "cannot allocate tty if runack will detach without setting console socket"
		useless = "cannot use console socket if runack will not detach or allocate tty"
	)
	for name, row := range map[string]struct {
		io       IO
		terminal bool
		want     string
	}{
		"plain":                           {IO{}, false, ""},
		"foreground terminal":             {IO{}, true, ""},
		"detached":                        {IO{Detach: true}, false, ""},
		"detached terminal":               {IO{Detach: true}, true, noSink},
		"detached terminal with a socket": {IO{Detach: true, ConsoleSocket: "/s"}, true, ""},
		"detached terminal with a taker":  {IO{Detach: true, Console: func(*os.File) error { return nil }}, true, ""},
		"socket without terminal":         {IO{Detach: true, ConsoleSocket: "/s"}, false, useless},
		"socket in the foreground":        {IO{ConsoleSocket: "/s"}, true, useless},
	} {
		err := row.io.check(row.terminal)
		if got := errString(err); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func errString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func init() {
	// inherit LISTEN PRESERVE: says what came of it.
	helpers["inherit"] = func(args []string) error {
		listen, _ := strconv.Atoi(args[0])
		preserve, _ := strconv.Atoi(args[1])
		// Go's poller takes descriptors of its own, on the lowest free numbers.
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		defer w.Close()
		var io IO
		err = io.Inherit(listen, preserve)
		say("%v; %d listen, %d preserved", err, io.ListenFDs, io.preserved())
		return nil
	}
}

func TestInherit(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, row := range map[string]struct {
		open             int
		listen, preserve string
		want             string
	}{
		"none":              {0, "0", "0", "<nil>; 0 listen, 0 preserved"},
		"two preserved":     {2, "0", "2", "<nil>; 0 listen, 2 preserved"},
		"both kinds":        {3, "1", "2", "<nil>; 1 listen, 2 preserved"},
		"fewer than open":   {3, "1", "0", "<nil>; 1 listen, 0 preserved"},
		"one too many":      {2, "0", "3", "runtime: inherit descriptor 5 (3 of 3): EBADF (9); 0 listen, 2 preserved"},
		"none is open":      {0, "0", "1", "runtime: inherit descriptor 3 (1 of 1): EBADF (9); 0 listen, 0 preserved"},
		"a negative number": {0, "0", "-1", "preserve-fds must not be negative: -1; 0 listen, 0 preserved"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", row.listen, row.preserve)
			cmd.Env = append(os.Environ(), helperEnv+"=inherit")
			for range row.open {
				cmd.ExtraFiles = append(cmd.ExtraFiles, null)
			}
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != row.want {
				t.Errorf("got %q, %v; want %q", got, err, row.want)
			}
		})
	}
}

func TestPeerGetsTheDescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	io := IO{ConsoleSocket: path}
	p, err := io.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer sent.Close()
	if err := p.console.send("/dev/ptmx", sent); err != nil {
		t.Fatal(err)
	}
	text, oob := make([]byte, 64), make([]byte, 64)
	n, oobn, _, _, err := conn.ReadMsgUnix(text, oob)
	if err != nil || string(text[:n]) != "/dev/ptmx" {
		t.Fatalf("payload %q, %v", text[:n], err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%v, %v", messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%v, %v", fds, err)
	}
	got := os.NewFile(uintptr(fds[0]), "got")
	defer got.Close()
	a, _ := sent.Stat()
	b, _ := got.Stat()
	if !os.SameFile(a, b) {
		t.Error("another file came")
	}
}

func TestPeerThatIsNotThere(t *testing.T) {
	io := IO{PidfdSocket: filepath.Join(t.TempDir(), "s")}
	_, err := io.dial()
	want := "runtime: connect to pidfd socket " + io.PidfdSocket + ": ENOENT (2)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
