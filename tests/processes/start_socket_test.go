package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// knock connects to a created container's start socket and says nothing.
func knock(e *harness.Env, id string) int {
	e.T.Helper()
	dir, err := os.Open(filepath.Join(e.Root, id))
	if err != nil {
		e.T.Fatal(err)
	}
	defer dir.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		e.T.Fatal(err)
	}
	// By the descriptor: the path may be longer than a socket's address.
	addr := &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/start.sock", dir.Fd())}
	if err := unix.Connect(fd, addr); err != nil {
		e.T.Fatal(err)
	}
	return fd
}

// Whoever connects and then hangs, or stops halfway, does not keep others from starting the container.
func TestSilentClientsDoNotHoldUpAStart(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has a start socket")
	b := e.Bundle(harness.Probe("wait"))
	starts := map[string]*harness.Proc{}
	for name, words := range map[string]string{"silent": "", "halfway": "RAK\x01\x00\x00"} {
		id := e.ID(name)
		e.OK("create", "-b", b.Dir, id)
		client := knock(e, id)
		defer unix.Close(client)
		if _, err := unix.Write(client, []byte(words)); err != nil {
			t.Fatal(err)
		}
		starts[id] = e.Runtime("start", id).Start()
	}
	for id, start := range starts {
		r := start.Wait()
		if r.Code != 0 || r.Took > harness.Deadline(15*time.Second) {
			t.Error(r)
		}
		wantContains(t, "state", e.OK("state", id), `"status": "running"`)
		remove(e, id)
	}
}

// A client that connects and leaves, or talks nonsense, costs no time at all, and the container stays created.
func TestClientsThatLeaveCostNothing(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has a start socket")
	id := e.ID("c")
	e.OK("create", "-b", e.Bundle(harness.Probe("wait")).Dir, id)
	for range 20 {
		unix.Close(knock(e, id))
		client := knock(e, id)
		_, _ = unix.Write(client, []byte("GET / HTTP/1.1\r\n\r\n"))
		unix.Close(client)
	}
	wantContains(t, "state", e.OK("state", id), `"status": "created"`)
	begun := time.Now()
	e.OK("start", id)
	if took := time.Since(begun); took > harness.Deadline(10*time.Second) {
		t.Errorf("start took %v", took)
	}
	wantContains(t, "state", e.OK("state", id), `"status": "running"`)
	remove(e, id)
}
