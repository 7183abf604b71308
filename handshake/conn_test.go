package handshake

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns both ends of a sync socket, closed with the test.
func pair(t testing.TB, p Protocol) (runtime, stage *Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	local := Stage0
	if p == StartProtocol {
		local = Stage1
	}
	runtime, stage = NewConn(fds[0], Runtime, p, nil), NewConn(fds[1], local, p, nil)
	t.Cleanup(func() {
		_ = runtime.Close()
		_ = stage.Close()
	})
	return runtime, stage
}

func soon() time.Time { return time.Now().Add(20 * time.Second) }

func TestSpawnReady(t *testing.T) {
	r, s := pair(t, CreateProtocol)
	if err := r.Send(Spawn, SpawnBody{Clone: 7}); err != nil {
		t.Fatal(err)
	}
	f, err := s.Receive(soon(), -1)
	if err != nil || f.Type != Spawn || string(f.Body) != `{"clone":7}` {
		t.Fatal(f, err)
	}
	if err := s.Send(Ready, ReadyBody{Pid: 3}, 0); err != nil {
		t.Fatal(err)
	}
	f, err = r.Receive(soon(), -1)
	if err != nil || f.Type != Ready || len(f.FDs) != 1 {
		t.Fatal(f, err)
	}
	defer f.CloseFDs()
	var b ReadyBody
	if err := f.Decode(&b); err != nil || b.Pid != 3 {
		t.Fatal(b, err)
	}
}
