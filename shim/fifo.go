package shim

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A fifo of the client's is held open at both ends while a process uses it: neither a client that
// comes back after a restart nor one that leaves makes the process see an end or a SIGPIPE.
type fifo struct {
	file *os.File // our end, in Go's poller
	hold *os.File // the other end, never used
}

// openReader opens a fifo that the client writes. It does not wait: a client may come later.
func openReader(path string) (*fifo, error) {
	file, err := openFifo(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	hold, err := openFifo(path, unix.O_WRONLY)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &fifo{file, hold}, nil
}

// openWriter opens a fifo that the client reads, and waits for the client: what is written before
// anybody reads would be lost if we closed first.
func openWriter(ctx context.Context, path string) (*fifo, error) {
	file, err := openFifo(path, unix.O_WRONLY)
	if errors.Is(err, unix.ENXIO) {
		file, err = awaitReader(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	hold, err := openFifo(path, unix.O_RDONLY)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &fifo{file, hold}, nil
}

func openFifo(path string, flags int) (*os.File, error) {
	var fd int
	err := retryIntr(func() (err error) {
		fd, err = unix.Open(path, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open fifo %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open fifo %s: it is none", path)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// awaitReader blocks a thread in open(2), which no poller can wait for, until somebody reads or ctx
// ends.
func awaitReader(ctx context.Context, path string) (*os.File, error) {
	type result struct {
		fd  int
		err error
	}
	opened := make(chan result, 1)
	go func() {
		var r result
		r.err = retryIntr(func() (err error) {
			r.fd, err = unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			return err
		})
		opened <- r
	}()
	select {
	case r := <-opened:
		if r.err == nil {
			r.err = unix.SetNonblock(r.fd, true)
		}
		if r.err != nil {
			return nil, fmt.Errorf("open fifo %s: %w", path, r.err)
		}
		return os.NewFile(uintptr(r.fd), path), nil
	case <-ctx.Done():
		// A reader of our own, for a moment, lets the thread go.
		reader, err := openFifo(path, unix.O_RDONLY)
		if err != nil {
			return nil, errors.Join(context.Cause(ctx), err) // the thread ends with the shim
		}
		if r := <-opened; r.err == nil {
			_ = unix.Close(r.fd)
		}
		_ = reader.Close()
		return nil, fmt.Errorf("open fifo %s: nobody reads it: %w", path, context.Cause(ctx))
	}
}

func (f *fifo) close() {
	_ = f.file.Close()
	_ = f.hold.Close()
}

// retryIntr repeats a system call that a signal interrupted.
func retryIntr(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
