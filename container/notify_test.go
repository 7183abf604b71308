package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/nsexec"
)

func TestReadyLine(t *testing.T) {
	for in, want := range map[string]string{
		"READY=1": "READY=1", "STATUS=x\nREADY=1\nMAINPID=7": "READY=1", "READY=0\n": "READY=0",
		"": "", "STATUS=READY=1": "", "NOTREADY=1": "", "\n\n": "",
	} {
		if got := string(readyLine([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A fakeSystemd is the other end of NOTIFY_SOCKET.
type fakeSystemd struct{ conn *net.UnixConn }

func newFakeSystemd(t *testing.T) (*fakeSystemd, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &fakeSystemd{conn}, path
}

// message reads one datagram and closes what came with it, as systemd answers a barrier.
func (s *fakeSystemd) message(t *testing.T) string {
	t.Helper()
	text, oob := make([]byte, 256), make([]byte, 64)
	n, oobn, _, _, err := s.conn.ReadMsgUnix(text, oob)
	if err != nil {
		t.Error(err)
		return ""
	}
	messages, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for i := range messages {
		fds, _ := unix.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	return string(text[:n])
}

// notifying gives a container with a bound notify socket, and its init.
func notifying(t *testing.T, host string) (*notifier, *helperProcess, *os.File, string) {
	t.Helper()
	// A root longer than a socket address, as docker's is.
	s := &Store{Root: t.TempDir() + strings.Repeat("/a-long-name", 12)}
	dir := claimed(t, s, "web1")
	h := startHelper(t, "idle")
	h.line()
	live := mustIdent(t, h.cmd.Process.Pid)
	if err := makeNotifyDir(dir); err != nil {
		t.Fatal(err)
	}
	c := &Container{store: s, dir: dir, rec: &Record{ID: "web1", Init: &live, Notify: true}}
	for range 2 { // the second finds the socket of a start that was killed
		n, err := c.bindNotify(host)
		if err != nil {
			t.Fatal(err)
		}
		defer func(n *notifier) { t.Cleanup(n.close) }(n)
		if unix.Fstat(n.fd, new(unix.Stat_t)) != nil {
			t.Fatal("not bound")
		}
	}
	n, err := c.bindNotify(host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	pidfd, err := live.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pidfd.Close() })
	return n, h, pidfd, fmt.Sprintf("/proc/self/fd/%d/%s/%s", dir.fd(), notifyDir, notifyName)
}

func sendNotify(t *testing.T, path string, messages ...string) {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, m := range messages {
		if _, err := conn.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadyReachesSystemd(t *testing.T) {
	systemd, host := newFakeSystemd(t)
	n, _, init, path := notifying(t, host)
	var info unix.Stat_t
	if err := unix.Stat(path, &info); err != nil || info.Mode&0o777 != 0o777 {
		t.Errorf("mode %o, %v: every user of the container may notify", info.Mode&0o777, err)
	}
	sendNotify(t, path, "STATUS=warming up", "STATUS=up\nREADY=1\nWATCHDOG=1")
	done := make(chan error, 1)
	go func() { done <- n.serve(context.Background(), init, 4242) }()
	for _, want := range []string{"MAINPID=4242\nREADY=1\n", "BARRIER=1"} {
		if got := systemd.message(t); got != want {
			t.Errorf("systemd got %q, want %q", got, want)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReadyJustBeforeTheEndReachesSystemd(t *testing.T) {
	systemd, host := newFakeSystemd(t)
	n, h, init, path := notifying(t, host)
	sendNotify(t, path, "READY=1")
	_ = h.cmd.Process.Kill()
	if _, err := nsexec.WaitPidFD(init, -1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.serve(context.Background(), init, 1) }()
	if got := systemd.message(t); got != "MAINPID=1\nREADY=1\n" {
		t.Errorf("systemd got %q", got)
	}
	systemd.message(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNotifyEndsWithInit(t *testing.T) {
	_, host := newFakeSystemd(t)
	n, h, init, _ := notifying(t, host)
	done := make(chan error, 1)
	go func() { done <- n.serve(context.Background(), init, 1) }()
	_ = h.cmd.Process.Kill()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNotifyEndsWithItsContext(t *testing.T) {
	_, host := newFakeSystemd(t)
	n, _, init, _ := notifying(t, host)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.serve(ctx, init, 1) }()
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestWithNotifyLeavesTheConfigurationAlone(t *testing.T) {
	spec := &specs.Spec{Process: baseProcess(), Mounts: make([]specs.Mount, 0, 4)}
	got := withNotify(spec, "/run/runack/web1")
	if len(spec.Process.Env) != 1 || len(spec.Mounts) != 0 || spec.Mounts[:1][0].Source != "" {
		t.Errorf("changed: %+v", spec)
	}
	if e := got.Process.Env; e[len(e)-1] != "NOTIFY_SOCKET=/run/notify/notify.sock" {
		t.Errorf("environment %q", e)
	}
	if len(got.Mounts) != 1 || got.Mounts[0].Source != "/run/runack/web1/notify" || got.Mounts[0].Destination != "/run/notify" {
		t.Errorf("mounts %+v", got.Mounts)
	}
}
