package processes

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// A manager is the other end of NOTIFY_SOCKET: systemd.
type manager struct {
	t    testing.TB
	path string
	conn *net.UnixConn
}

func newManager(e *harness.Env) *manager {
	e.T.Helper()
	path := filepath.Join(e.Dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { conn.Close() })
	return &manager{e.T, path, conn}
}

// hears waits for the next message, and closes what came with it, which is how a barrier is answered.
func (m *manager) hears() string {
	m.t.Helper()
	if err := m.conn.SetDeadline(time.Now().Add(harness.Deadline(commandTime))); err != nil {
		m.t.Fatal(err)
	}
	text, oob := make([]byte, 4096), make([]byte, 256)
	n, oobn, _, _, err := m.conn.ReadMsgUnix(text, oob)
	if err != nil {
		m.t.Fatal(err)
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

// create never waits; start waits until the container says that it is ready, whatever user it is, and the
// manager learns which process to watch.
func TestReadyReachesTheManager(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("sends MAINPID and a barrier, which 1.1.5 does not")
	m := newManager(e)
	b := e.Bundle(harness.WritableRoot, harness.Shell("cat /gate; probe notify STATUS=working READY=1; exec sleep 1000"),
		func(s *spec) { s.Process.User.UID = 1000 })
	one := gate(t, b.Rootfs, "gate")
	id, file := e.ID("c"), e.Dir+"/pid"
	vars := "NOTIFY_SOCKET=" + m.path
	e.Runtime("create", "--pid-file", file, "-b", b.Dir, id).Env(vars).OK()
	start := e.Runtime("start", id).Env(vars).Start()
	open(t, one) // the program runs
	wantEqual(t, "message", m.hears(), fmt.Sprintf("MAINPID=%d\nREADY=1\n", e.ReadPid(file)))
	wantEqual(t, "barrier", m.hears(), "BARRIER=1")
	if r := start.Wait(); r.Code != 0 {
		t.Error(r)
	}
	remove(e, id)
}

// In the foreground the runtime itself is the service's main process.
func TestReadyOfAForegroundRun(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("sends MAINPID and a barrier, which 1.1.5 does not")
	m := newManager(e)
	b := e.Bundle(harness.Shell("probe notify READY=1; cat /tmp/nothing 2>/dev/null; exit 8"))
	p := e.Runtime("run", "-b", b.Dir, e.ID("c")).Env("NOTIFY_SOCKET=" + m.path).Start()
	wantEqual(t, "message", m.hears(), fmt.Sprintf("MAINPID=%d\nREADY=1\n", p.Pid))
	wantEqual(t, "barrier", m.hears(), "BARRIER=1")
	if r := p.Wait(); r.Code != 8 {
		t.Error(r)
	}
}

// A program that ends without a word ends the wait; the socket is not the container's without a manager.
func TestAContainerThatIsNeverReady(t *testing.T) {
	e := harness.New(t)
	m := newManager(e)
	b := e.Bundle(harness.Shell("exit 3"))
	vars := "NOTIFY_SOCKET=" + m.path
	r := e.Runtime("run", "-b", b.Dir, e.ID("run")).Env(vars).Do()
	if r.Code != 3 {
		t.Error(r)
	}
	e.Runtime("create", "--pid-file", e.Dir+"/pid", "-b", b.Dir, e.ID("c")).Env(vars).OK()
	e.Runtime("start", e.ID("c")).Env(vars).OK()
	e.WaitExit(e.ReadPid(e.Dir + "/pid"))
	e.OK("delete", e.ID("c"))
	b = e.Bundle(harness.Shell("env | grep NOTIFY; ls /run"))
	wantEqual(t, "without a manager", e.OK("run", "-b", b.Dir, e.ID("none")), "")
}
