package handshake

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// errLost says that the kernel could not install all descriptors of a message (MSG_CTRUNC).
var errLost = errors.New("descriptors lost")

// A socket moves bytes and descriptors. Calls on it never block outside of ppoll(2), so that every
// wait can have an end.
type socket struct {
	fd          int
	sendTimeout time.Duration
	arrived     []int // descriptors that came with the bytes of the current frame
	oob         [oobSize]byte
}

// oobSize is what one message can carry: struct cmsghdr and MaxDescriptors ints, aligned.
const oobSize = (unix.SizeofCmsghdr+4*MaxDescriptors+7)&^7 + 8

// A wait is until when, and beside which process, to wait.
type wait struct {
	deadline time.Time // zero: for ever
	died     int       // pidfd, -1: none
}

// read fills b. It returns io.EOF, ErrDied, ErrDeadline, errLost or an errno together with the
// number of bytes that came before. pollFirst says that the bytes are not likely to be there yet.
//
// A reader must never ask for more than one frame, since the kernel would attach the descriptors of
// the next one.
func (s *socket) read(b []byte, w wait, pollFirst bool) (n int, err error) {
	last := false // the process is dead: what is not in the socket now never will be
	for n < len(b) {
		if pollFirst && !last {
			if last, err = s.poll(unix.POLLIN, w); err != nil {
				return n, err
			}
		}
		got, err := s.recv(b[n:])
		switch {
		case errors.Is(err, unix.EAGAIN) && last:
			return n, ErrDied
		case errors.Is(err, unix.EAGAIN):
			pollFirst = true
			continue
		case err != nil:
			return n, err
		case got == 0:
			return n, io.EOF
		}
		n += got
		pollFirst = true
	}
	return n, nil
}

// recv is one recvmsg(2). Descriptors come close-on-exec and are added to s.arrived.
func (s *socket) recv(b []byte) (int, error) {
	for {
		n, oobn, flags, _, err := unix.Recvmsg(s.fd, b, s.oob[:], unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if oobn > 0 {
			if err := s.keep(s.oob[:oobn]); err != nil {
				return n, err
			}
		}
		// Even so descriptors may have come: they are in s.arrived, to be closed with the rest.
		if flags&unix.MSG_CTRUNC != 0 {
			return n, errLost
		}
		return n, nil
	}
}

// keep adds the descriptors of a control message to s.arrived.
func (s *socket) keep(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET || messages[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		s.arrived = append(s.arrived, fds...)
	}
	return nil
}

// write sends all of b, the descriptors with its first byte, and returns how much went out.
func (s *socket) write(b []byte, fds []int) (n int, err error) {
	var w wait
	w.died = -1
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for n < len(b) {
		sent, err := unix.SendmsgN(s.fd, b[n:], oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if w.deadline.IsZero() && s.sendTimeout > 0 {
				w.deadline = time.Now().Add(s.sendTimeout)
			}
			if _, err := s.poll(unix.POLLOUT, w); err != nil {
				return n, err
			}
			continue
		case err != nil:
			return n, err
		}
		n += sent
		oob = nil
	}
	return n, nil
}

// poll waits until the socket is ready, or has an end or error to tell of, or the process has died
// while it was not.
func (s *socket) poll(events int16, w wait) (died bool, err error) {
	fds := [2]unix.PollFd{{Fd: int32(s.fd), Events: events}, {Fd: int32(w.died), Events: unix.POLLIN}}
	for {
		var timeout *unix.Timespec
		if !w.deadline.IsZero() {
			t := unix.NsecToTimespec(int64(max(0, time.Until(w.deadline))))
			timeout = &t
		}
		// A negative descriptor is left out (poll(2)).
		n, err := unix.Ppoll(fds[:], timeout, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return false, err
		case n == 0:
			return false, ErrDeadline
		}
		return fds[0].Revents == 0, nil
	}
}
