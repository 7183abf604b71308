package clients

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// A terminal is what a user sits in front of.
type terminal struct {
	e      *harness.Env
	fd     int // of master
	master *os.File
	slave  *os.File
	lines  chan string
}

// newTerminal opens a terminal of the given size.
func newTerminal(e *harness.Env, rows, columns uint16) *terminal {
	e.T.Helper()
	t := &terminal{e: e, lines: make(chan string, 1024)}
	if err := t.open(); err != nil {
		e.T.Fatal(err)
	}
	t.resize(rows, columns)
	go t.read()
	e.T.Cleanup(t.close)
	return t
}

// open opens both ends, the master so that closing it ends a read that waits.
func (t *terminal) open() (err error) {
	if t.fd, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
		return err
	}
	t.master = os.NewFile(uintptr(t.fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(t.fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetInt(t.fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	t.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return err
}

// read takes lines until the master is closed.
func (t *terminal) read() {
	defer close(t.lines)
	for s := bufio.NewScanner(t.master); s.Scan(); {
		t.lines <- strings.TrimSuffix(s.Text(), "\r")
	}
}

func (t *terminal) close() {
	_ = t.slave.Close()
	_ = t.master.Close()
	for range t.lines { // until the reader is done
	}
}

func (t *terminal) resize(rows, columns uint16) {
	t.e.T.Helper()
	if err := unix.IoctlSetWinsize(t.fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.e.T.Fatal(err)
	}
}

func (t *terminal) write(text string) {
	t.e.T.Helper()
	if _, err := t.master.Write([]byte(text)); err != nil {
		t.e.T.Fatal(err)
	}
}

// expect waits for a line that ends with want: what a user types is echoed in front of it.
func (t *terminal) expect(want string) { t.e.T.Helper(); t.expectWhile(want, func() {}) }

// expectResized is expect after a resize. docker asks for the size once and only then begins to
// listen to SIGWINCH; one that fell between the two is repeated.
func (t *terminal) expectResized(client *harness.Proc, want string) {
	t.e.T.Helper()
	t.expectWhile(want, func() { client.Signal(syscall.SIGWINCH) })
}

// expectWhile calls again once a second while it waits.
func (t *terminal) expectWhile(want string, again func()) {
	t.e.T.Helper()
	var seen []string
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	late := time.After(harness.Deadline(30 * time.Second))
	for {
		select {
		case l, ok := <-t.lines:
			if !ok {
				t.e.T.Fatalf("the terminal was closed before %q; it showed %q", want, seen)
			}
			if seen = append(seen, l); strings.HasSuffix(l, want) {
				return
			}
		case <-tick.C:
			again()
		case <-late:
			t.e.T.Fatalf("no line %q on the terminal, which showed %q", want, seen)
		}
	}
}
