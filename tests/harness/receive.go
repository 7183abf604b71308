package harness

import (
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A Receiver is a socket that takes one descriptor after the other, as clients do for a terminal's master
// or a pidfd.
type Receiver struct {
	Path string // at most 107 bytes, as the address of a socket has to be

	e *Env
	l *net.UnixListener
}

// Receive listens on a socket of that name in the test's directory, until the test ends.
func (e *Env) Receive(name string) *Receiver {
	e.T.Helper()
	path := filepath.Join(e.Dir, name)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { _ = l.Close() })
	return &Receiver{Path: path, e: e, l: l}
}

// File waits for a descriptor. Its name is the text that came with it. The caller closes it.
func (r *Receiver) File() *os.File {
	r.e.T.Helper()
	if err := r.l.SetDeadline(time.Now().Add(Deadline(commandLimit))); err != nil {
		r.e.T.Fatal(err)
	}
	c, err := r.l.AcceptUnix()
	if err != nil {
		r.e.T.Fatal(err)
	}
	defer c.Close()
	name, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := c.ReadMsgUnix(name, oob)
	if err != nil {
		r.e.T.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil || len(messages) != 1 {
		r.e.T.Fatalf("%s: %d control messages, %v", filepath.Base(r.Path), len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		r.e.T.Fatalf("%s: %d descriptors, %v", filepath.Base(r.Path), len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), string(name[:n]))
}
