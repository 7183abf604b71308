package container

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// IO says what a process gets as descriptors and who is told about it.
type IO struct {
	// Stdio becomes 0, 1 and 2 of a process without a terminal. They remain the caller's.
	Stdio [3]*os.File
	// Extra become 3 and up: first ListenFDs sockets of socket activation, then preserved ones.
	// They remain the caller's.
	Extra         []*os.File
	ListenFDs     int
	ListenFDNames string

	// Detach: nobody waits here, so a terminal's master goes to ConsoleSocket.
	Detach        bool
	ConsoleSocket string // path of an AF_UNIX stream socket; empty for none
	// Console, where set, takes the terminal's master instead of ConsoleSocket, and owns it.
	Console     func(master *os.File) error
	PidfdSocket string // path of an AF_UNIX stream socket that gets a pidfd; empty for none
	PidFile     string // absolute path; empty for none
}

// Inherit takes descriptors of this process over into Extra: from 3 on, listen sockets and then
// preserve others. Each of them must have been open when this process was executed.
func (o *IO) Inherit(listen, preserve int) error {
	if preserve < 0 {
		return fmt.Errorf("preserve-fds must not be negative: %d", preserve)
	}
	o.ListenFDs = listen
	if listen > 0 {
		o.ListenFDNames = os.Getenv("LISTEN_FDNAMES")
	}
	const first = 3
	for fd := first; fd < first+listen+preserve; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 {
			// It did not come through an execve: it is ours, such as the poller's, on a number that
			// was free.
			err = unix.EBADF
		}
		if err != nil {
			return failed("inherit", fmt.Sprintf("descriptor %d (%d of %d)", fd, fd-first+1, listen+preserve), err)
		}
		o.Extra = append(o.Extra, os.NewFile(uintptr(fd), "descriptor "+strconv.Itoa(fd)))
	}
	return nil
}

// preserved is the number of Extra that are not of socket activation.
func (o *IO) preserved() int { return len(o.Extra) - o.ListenFDs }

// check refuses, in runc's words, what cannot work.
func (o *IO) check(terminal bool) error {
	sink := o.ConsoleSocket != "" || o.Console != nil
	if terminal && o.Detach && !sink {
		return errors.New("cannot allocate tty if runack will detach without setting console socket")
	}
	if o.ConsoleSocket != "" && (!terminal || !o.Detach) {
		return errors.New("cannot use console socket if runack will not detach or allocate tty")
	}
	return nil
}

// files are what the stage starts with as 0, 1, 2 and up. A process with a terminal gets /dev/null
// until the stage has made the terminal. The cleanup closes what was opened here.
func (o *IO) files(terminal bool) (files []*os.File, cleanup func(), err error) {
	cleanup = func() {}
	stdio := o.Stdio
	var null *os.File
	for i := range stdio {
		if stdio[i] != nil && !terminal {
			continue
		}
		if null == nil {
			if null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
				return nil, cleanup, failed("open", os.DevNull, err)
			}
			cleanup = func() { null.Close() }
		}
		stdio[i] = null
	}
	return append(stdio[:], o.Extra...), cleanup, nil
}

// A socketPeer is a connection to a socket that will get one descriptor.
type socketPeer struct {
	path string
	conn *net.UnixConn
}

// dialPeer connects before anything is made, so that a wrong path costs nothing. An empty path
// gives nil.
func dialPeer(what, path string) (*socketPeer, error) {
	if path == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		var oe *net.OpError
		if errors.As(err, &oe) {
			err = oe.Err
		}
		return nil, failed("connect to "+what, path, err)
	}
	return &socketPeer{path: path, conn: conn}, nil
}

// send passes one descriptor by SCM_RIGHTS. The payload is a name for it, as runc sends: receivers
// want at least one byte.
func (p *socketPeer) send(name string, file *os.File) error {
	rights := unix.UnixRights(int(file.Fd()))
	n, oobn, err := p.conn.WriteMsgUnix([]byte(name), rights, nil)
	if err == nil && (n != len(name) || oobn != len(rights)) {
		err = unix.EMSGSIZE
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	return failed("send descriptor to", p.path, err)
}

func (p *socketPeer) close() {
	if p != nil {
		_ = p.conn.Close()
	}
}

// peers are the sockets of one IO.
type peers struct {
	console *socketPeer
	pidfd   *socketPeer
}

func (o *IO) dial() (peers, error) {
	var p peers
	var err error
	if p.console, err = dialPeer("console socket", o.ConsoleSocket); err != nil {
		return p, err
	}
	if p.pidfd, err = dialPeer("pidfd socket", o.PidfdSocket); err != nil {
		p.console.close()
		return peers{}, err
	}
	return p, nil
}

func (p peers) close() {
	p.console.close()
	p.pidfd.close()
}

// announce tells whom IO names that the process exists: the pid file and the pidfd socket.
func (o *IO) announce(p peers, process *Process) error {
	if p.pidfd != nil {
		if err := p.pidfd.send("pidfd", process.PidFD); err != nil {
			return err
		}
	}
	if o.PidFile == "" {
		return nil
	}
	return writePidFile(o.PidFile, process.Pid)
}

// writePidFile writes the file whole or not at all: whoever waits for it to appear reads a pid.
func writePidFile(path string, pid int) error {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+strconv.Itoa(pid))
	_ = os.Remove(temp) // of a runtime that was killed; whatever else it is, it is not written to
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = file.WriteString(strconv.Itoa(pid))
		err = errors.Join(err, file.Close())
		if err == nil {
			err = os.Rename(temp, path)
		}
		if err != nil {
			_ = os.Remove(temp)
		}
	}
	return failed("write pid file", path, err)
}
