package container

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"

	"runack/internal/rawfd"
)

// A terminal joins the caller's own terminal to the master of the container's, for a foreground
// process.
type terminal struct {
	host  console.Console
	stdin *os.File
	out   *os.File

	master atomic.Pointer[os.File] // owned; nil until attach
	copied chan struct{}           // closed when nothing more is copied out
	reset  sync.Once
}

// newTerminal finds the caller's terminal: any of the three standard descriptors, or else the
// controlling terminal.
func newTerminal(stdio [3]*os.File) (*terminal, error) {
	t := &terminal{stdin: stdio[0], out: stdio[1], copied: make(chan struct{})}
	for i := 2; i >= 0; i-- {
		if stdio[i] == nil {
			continue
		}
		host, err := console.ConsoleFromFile(stdio[i])
		if err == nil {
			t.host = host
			return t, nil
		}
		if !errors.Is(err, console.ErrNotAConsole) {
			return nil, failed("use terminal", stdio[i].Name(), err)
		}
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, failed("open terminal", "/dev/tty", err)
	}
	if t.host, err = console.ConsoleFromFile(tty); err != nil {
		return nil, failed("use terminal", "/dev/tty", err)
	}
	return t, nil
}

// attach takes the master over: size, raw mode, and the copying both ways.
func (t *terminal) attach(master *os.File) error {
	fd := int(master.Fd())
	// Non-blocking, so that Go's poller waits and close ends a read.
	if err := unix.SetNonblock(fd, true); err != nil {
		master.Close()
		return failed("use terminal", master.Name(), err)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	master.Close()
	if err != nil {
		return failed("use terminal", master.Name(), err)
	}
	inner := os.NewFile(uintptr(dup), master.Name())
	// From here on a resize gets through; one that came before is in the size that is read now.
	t.master.Store(inner)
	t.resize()
	if err := setRaw(t.host); err != nil {
		return failed("set raw mode", t.host.Name(), err)
	}
	go func() {
		// Ends with the process, or when the caller's input does; nobody waits for it.
		_, _ = io.Copy(inner, t.stdin)
	}()
	go func() {
		defer close(t.copied)
		_, _ = io.Copy(t.out, inner)
	}()
	return nil
}

// setRaw makes the terminal raw. console.SetRaw leaves output processing on: the inner terminal's line
// discipline adds the carriage returns, and the outer one must not touch what comes, least of all
// from a program that has made the inner one raw.
func setRaw(host console.Console) error {
	if err := host.SetRaw(); err != nil {
		return err
	}
	modes, err := unix.IoctlGetTermios(int(host.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	modes.Oflag &^= unix.OPOST
	return unix.IoctlSetTermios(int(host.Fd()), unix.TCSETS, modes)
}

// resize passes the caller's window size on. Errors are ignored: the caller's terminal may be gone.
func (t *terminal) resize() {
	master := t.master.Load()
	if master == nil {
		return
	}
	size, err := t.host.Size()
	if err != nil || size.Height == 0 && size.Width == 0 {
		return
	}
	_ = rawfd.Use(master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
}

// finish is for when the process has ended. What it wrote is still copied out; a process that it
// left behind with the terminal open is not waited for. A caller that does not read holds it up.
func (t *terminal) finish() {
	master := t.master.Load()
	if master == nil {
		return
	}
	defer master.Close()
	// With no other user of the terminal the copy meets EIO behind the last byte.
	if otherEndOpen(master) {
		_ = master.SetReadDeadline(time.Now())
		<-t.copied
		t.drain(master)
		return
	}
	<-t.copied
}

// otherEndOpen says whether somebody still holds the container's side: the master has no hang-up
// then.
func otherEndOpen(master *os.File) bool {
	open := false
	_ = rawfd.Use(master, func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		open = err == nil && (n == 0 || fds[0].Revents&unix.POLLHUP == 0)
		return nil
	})
	return open
}

// drain copies out what is there now. A read of the master flushes what the line discipline still
// holds before it answers EAGAIN.
func (t *terminal) drain(master *os.File) {
	buf := make([]byte, 32<<10)
	_ = rawfd.Use(master, func(fd int) error {
		for {
			n, err := unix.Read(fd, buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				return nil
			}
			if _, err := t.out.Write(buf[:n]); err != nil {
				return nil
			}
		}
	})
}

// restore puts the caller's terminal back. It may be called on every way out.
func (t *terminal) restore() {
	t.reset.Do(func() { _ = t.host.Reset() })
}
