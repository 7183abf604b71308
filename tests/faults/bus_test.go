package faults

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"runack/tests/harness"
)

// A bus stands between the runtime and the host's bus. From some moment on it takes what is sent and
// says nothing, as a dbus-daemon does that hangs or has been stopped.
type bus struct {
	at      string // the runtime's word that is the moment; empty: the beginning
	heard   bool   // whether that word still reaches systemd
	stopped atomic.Bool
	clients sync.WaitGroup
}

// listen gives the variable that leads a runtime here.
func (b *bus) listen(e *harness.Env) string {
	e.T.Helper()
	path := filepath.Join(e.Dir, "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		e.T.Fatal(err)
	}
	e.Rebase()
	b.stopped.Store(b.at == "")
	b.clients.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			b.clients.Go(func() { b.serve(client) })
		}
	})
	e.T.Cleanup(func() { _ = l.Close(); b.clients.Wait() })
	return "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + path
}

// serve ends with the client, which ends with its process.
func (b *bus) serve(client net.Conn) {
	defer client.Close()
	host, err := net.Dial("unix", "/run/dbus/system_bus_socket")
	if err != nil {
		return
	}
	defer host.Close()
	b.clients.Go(func() { // ends with host
		b.pass(client, host, func([]byte) bool { return !b.stopped.Load() })
	})
	b.pass(host, client, func(said []byte) bool {
		if b.at == "" || !bytes.Contains(said, []byte(b.at)) {
			return !b.stopped.Load()
		}
		b.stopped.Store(true)
		return b.heard
	})
}

func (b *bus) pass(to, from net.Conn, may func(said []byte) bool) {
	said := make([]byte, 64<<10)
	for {
		n, err := from.Read(said)
		if err != nil {
			return
		}
		if may(said[:n]) {
			_, _ = to.Write(said[:n])
		}
	}
}

// needSystemd skips a test where nobody would be asked on the bus.
func needSystemd(e *harness.Env) {
	e.T.Helper()
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		e.T.Skip("systemd does not run this host; the virtual machine has it")
	}
}

// silence is what is told of it, with the deadline that the runtime was given.
const silence = "systemd: ETIMEDOUT (110): no answer in 3s"

// The bus stops before, and in the middle of, making a scope: an error in bounded time, and nothing is
// left, whether systemd has heard of the scope or not.
func TestABusThatStopsDuringCreate(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("waits for ever")
	needSystemd(e)
	for name, b := range map[string]*bus{
		"from the start":      {},
		"before the scope":    {at: "StartTransientUnit"},
		"without an answer":   {at: "StartTransientUnit", heard: true},
		"while it is set up":  {at: "SetUnitProperties"},
		"while it is removed": {at: "StopUnit"},
	} {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			id := e.ID("c")
			bundle := e.Bundle(harness.Args("/bin/true"), harness.CgroupsPath("system.slice:runack-test:"+id))
			r := e.Runtime("--systemd-cgroup", "run", "-b", bundle.Dir, id).Env(b.listen(e), "RUNACK_TIMEOUT=3s").Do()
			if r.Code != 1 {
				t.Error(r)
			}
			harness.OneLine(t, r.Stderr, id, silence)
			e.OK("delete", "-f", id)
			e.AssertClean()
		})
	}
}

// A container can be deleted once the bus is back, if not before.
func TestABusThatStopsDuringDelete(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("waits for ever")
	needSystemd(e)
	id, b := e.ID("c"), &bus{}
	bundle := e.Bundle(harness.Probe("wait"), harness.CgroupsPath("system.slice:runack-test:"+id))
	e.Runtime("--systemd-cgroup", "run", "-d", "-b", bundle.Dir, id).OK()
	r := e.Runtime("delete", "-f", id).Env(b.listen(e), "RUNACK_TIMEOUT=3s").Do()
	if r.Code != 0 {
		harness.OneLine(t, r.Stderr, id, silence)
	}
	e.OK("delete", "-f", id)
}
