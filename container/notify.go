package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"runack/plan"
)

// systemd starts a service of Type=notify with NOTIFY_SOCKET in its environment and waits for
// READY=1 there (sd_notify(3)). The container cannot reach that socket, and systemd would not
// believe it. So it gets one of ours, below notifyInside, and we pass its READY on, with the pid
// that is the service's main process from then on.
const (
	notifyDir    = "notify"      // in the state directory
	notifyName   = "notify.sock" // in notifyDir
	notifyInside = "/run/notify" // in the container
	notifyEnv    = "NOTIFY_SOCKET"
)

// withNotify gives the configuration as it is with the socket's mount and variable; spec itself
// stays as it was.
func withNotify(spec *specs.Spec, stateDir string) *specs.Spec {
	out, process := *spec, *spec.Process
	process.Env = append(slices.Clone(process.Env), notifyEnv+"="+notifyInside+"/"+notifyName)
	out.Process = &process
	out.Mounts = append(slices.Clone(spec.Mounts), specs.Mount{
		Destination: notifyInside, Type: "bind", Source: filepath.Join(stateDir, notifyDir),
		Options: []string{"bind", "nosuid", "noexec", "nodev", "ro"},
	})
	return &out
}

// notifyFacts tells the plan about a mount source that is not there yet.
func notifyFacts(f *plan.Facts, spec *specs.Spec, stateDir string) {
	f.Sources[filepath.Join(stateDir, notifyDir)] = plan.SourceFact{
		Unreachable: userNamespace(spec) != nil && !f.Rootless,
	}
}

// makeNotifyDir makes the directory that the container sees. Any of its users may pass; the state
// directory above it keeps the host's away.
func makeNotifyDir(dir *stateDir) error {
	path := dir.path + "/" + notifyDir
	err := unix.Mkdirat(dir.fd(), notifyDir, 0o755)
	if err == nil {
		err = unix.Fchmodat(dir.fd(), notifyDir, 0o755, 0) // whatever the umask is
	}
	return failed("make", path, err)
}

// A notifier receives what the container says and passes READY on.
type notifier struct {
	host string // systemd's socket
	fd   int    // ours, bound
}

// bindNotify binds the container's socket: before start, so that nothing that the program says is
// lost. Anybody in the container may write to it, whatever user the program runs as. It returns nil
// where there is nothing to do.
func (c *Container) bindNotify(host string) (*notifier, error) {
	if host == "" || !c.rec.Notify {
		return nil, nil
	}
	path := c.dir.path + "/" + notifyDir + "/" + notifyName
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, failed("open socket", "", err)
	}
	// Through the directory's descriptor: see listening.
	short := "/proc/self/fd/" + strconv.Itoa(c.dir.fd()) + "/" + notifyDir + "/" + notifyName
	_ = unix.Unlink(short) // of a start that was killed
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: short})
	if err == nil {
		err = unix.Chmod(short, 0o777)
	}
	if err != nil {
		return nil, errors.Join(failed("bind", path, err), unix.Close(fd))
	}
	return &notifier{host: host, fd: fd}, nil
}

func (n *notifier) close() {
	if n != nil {
		_ = unix.Close(n.fd)
	}
}

// serve waits until the container is ready or init ends, and tells systemd that it is, with mainPid
// as the service's process. There is no deadline: systemd has its own (TimeoutStartSec). The end of
// ctx ends the wait, with its cause.
func (n *notifier) serve(ctx context.Context, init *os.File, mainPid int) error {
	ready, err := n.await(ctx, init)
	if err != nil || ready == nil {
		return err
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.host, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify %s: %w", n.host, plainNet(err))
	}
	defer conn.Close()
	message := fmt.Appendf(nil, "MAINPID=%d\n%s\n", mainPid, ready)
	if _, err := conn.Write(message); err != nil {
		return fmt.Errorf("notify %s: %w", n.host, plainNet(err))
	}
	return barrier(conn)
}

// await gives the READY line of the container, nil where init ended without one.
func (n *notifier) await(ctx context.Context, init *os.File) ([]byte, error) {
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, failed("make eventfd", "", err)
	}
	defer unix.Close(stop)
	over := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(over)
		_, _ = unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	defer func() {
		if !unwatch() {
			<-over // it still uses the descriptor
		}
	}()
	buf := make([]byte, 4096)
	fds := []unix.PollFd{
		{Fd: int32(n.fd), Events: unix.POLLIN}, {Fd: int32(init.Fd()), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN},
	}
	for {
		if err := retryIntr(func() error { _, err := unix.Poll(fds, -1); return err }); err != nil {
			return nil, failed("poll", notifyName, err)
		}
		// What was said before the end counts, so the socket is looked at first.
		size, _, err := unix.Recvfrom(n.fd, buf, unix.MSG_DONTWAIT)
		if err == nil {
			if line := readyLine(buf[:size]); line != nil {
				return line, nil
			}
			continue
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return nil, failed("receive from", notifyName, err)
		}
		if fds[1].Revents != 0 {
			return nil, nil
		}
		if fds[2].Revents != 0 {
			return nil, context.Cause(ctx)
		}
	}
}

// readyLine finds READY=... among the lines of a message.
func readyLine(message []byte) []byte {
	for line := range bytes.SplitSeq(message, []byte("\n")) {
		if bytes.HasPrefix(line, []byte("READY=")) {
			return line
		}
	}
	return nil
}

// barrierTimeout is how long the receiver may take; one that does not know barriers closes the
// descriptor at once or never.
const barrierTimeout = 30 * time.Second

// barrier waits until systemd has dealt with what was sent (sd_notify_barrier(3)): it closes the
// descriptor that comes with the message then. Without this the sender could be gone before
// systemd looks up who it was.
func barrier(conn *net.UnixConn) error {
	r, w, err := os.Pipe()
	if err != nil {
		return failed("make pipe", "", err)
	}
	defer r.Close()
	err = sendDescriptor(conn, []byte("BARRIER=1"), w)
	w.Close()
	if err != nil {
		return fmt.Errorf("notify: send barrier: %w", plainNet(err))
	}
	if err := r.SetReadDeadline(time.Now().Add(barrierTimeout)); err != nil {
		return failed("poll", "barrier", err)
	}
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		logrus.Warnf("notify: no answer to the barrier within %v; going on", barrierTimeout)
	}
	return nil
}

// sendDescriptor sends a datagram with a descriptor; net refuses that on a connected socket.
func sendDescriptor(conn *net.UnixConn, message []byte, file *os.File) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(file.Fd()))
	var serr error
	err = raw.Write(func(fd uintptr) bool {
		serr = unix.Sendmsg(int(fd), message, rights, nil, 0)
		return !errors.Is(serr, unix.EAGAIN)
	})
	if err == nil {
		err = serr
	}
	return err
}

// plainNet takes the errno out of package net's wrapping, by name.
func plainNet(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return &stepError{Step: "socket", Err: errno}
	}
	return err
}
