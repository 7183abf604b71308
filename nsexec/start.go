package nsexec

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/internal/smallfile"
)

// startSocket is the name of the start socket in a container's state directory.
const startSocket = "start.sock"

// socketAddr reaches the socket through the directory's descriptor: the path itself may exceed the
// 107 bytes of sockaddr_un (unix(7)), as docker's state directory does.
func socketAddr(dir *os.File) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + startSocket}
}

// Listen makes the start socket in the state directory dir, which keeps others away by its mode.
// The caller owns the descriptor, and removes the socket with the directory.
func Listen(dir *os.File) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, startError("socket", dir, err)
	}
	f := os.NewFile(uintptr(fd), startSocket)
	if err := unix.Bind(fd, socketAddr(dir)); err != nil {
		return nil, errors.Join(startError("bind", dir, err), f.Close())
	}
	if err := unix.Listen(fd, 16); err != nil {
		return nil, errors.Join(startError("listen", dir, err), f.Close())
	}
	return f, nil
}

func startError(step string, dir *os.File, err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	return &handshake.StageError{Side: handshake.Runtime, Step: "start socket: " + step,
		Object: dir.Name() + "/" + startSocket, Errno: errno}
}

// A Starter is a connection to a created container's stage.
type Starter struct{ talk }

// Dial connects to the start socket in dir. pidfd is init's; it stays the caller's and must outlive
// the Starter.
func Dial(dir, pidfd *os.File, o Options) (*Starter, error) {
	o.Protocol = handshake.StartProtocol
	pid, err := pidOf(pidfd)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, startError("socket", dir, err)
	}
	if err := unix.Connect(fd, socketAddr(dir)); err != nil {
		return nil, errors.Join(refusal(pid, pidfd, startError("connect", dir, err)), unix.Close(fd))
	}
	s := &Starter{newTalk(fd, o)}
	s.side, s.pid, s.pidfd = handshake.Stage1, pid, pidfd
	return s, nil
}

// refusal says so where nobody listens any more because the stage has died. Its end follows the
// closing of its socket.
func refusal(pid int, pidfd *os.File, err error) error {
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	if dead, werr := WaitPidFD(pidfd, time.Second); werr != nil || !dead {
		return err
	}
	return &Death{Side: handshake.Stage1, Step: stepOf(pid), When: "before start was said to it", Status: statusOf(pid, pidfd), Err: err}
}

// Start tells the stage to run the program. state is the OCI state for startContainer hooks.
func (s *Starter) Start(state []byte) error {
	return s.explain(s.send(handshake.Start, handshake.StateBody{State: string(state)}))
}

// pidOf reads a pidfd's pid from its fdinfo; -1 there says that the process is gone.
func pidOf(pidfd *os.File) (int, error) {
	data, err := smallfile.Read("/proc/self/fdinfo/" + strconv.Itoa(int(pidfd.Fd())))
	if err != nil {
		return 0, fmt.Errorf("runtime: read fdinfo of a pidfd: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Pid:"); ok {
			return strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return 0, errors.New("runtime: read fdinfo of a pidfd: no Pid")
}
