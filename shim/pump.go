package shim

import (
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pumpSize is how much one pump moves at a time.
const pumpSize = 32 << 10

// pumpBuffers are shared: a pump holds one only while there is something to move, so that an idle
// stream costs a goroutine and no buffer.
var pumpBuffers = sync.Pool{New: func() any { return new([pumpSize]byte) }}

// A pump moves bytes from one descriptor to another until the source ends or the pump is stopped.
// Both descriptors are in Go's poller: no thread waits.
type pump struct {
	from, to *os.File
	done     chan struct{} // closed when nothing more is moved
}

// startPump moves in the background. Both files stay the caller's, who learns by finished that they
// are not used any more.
func startPump(from, to *os.File, finished func()) *pump {
	p := &pump{from: from, to: to, done: make(chan struct{})}
	go func() {
		p.run()
		finished()
		close(p.done)
	}()
	return p
}

// run ends at the end of the source, with the sink, or when drain has set a deadline and what was
// there is moved.
func (p *pump) run() {
	src, err := p.from.SyscallConn()
	if err != nil {
		return
	}
	for {
		last, more := false, false
		err := src.Read(func(fd uintptr) bool {
			var waiting bool
			waiting, more = p.move(int(fd))
			return !waiting
		})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			last = true
			_ = src.Control(func(fd uintptr) {
				for more = true; more; {
					var empty bool
					if empty, more = p.move(int(fd)); empty {
						return
					}
				}
			})
		}
		if last || err != nil || !more {
			return
		}
	}
}

// move moves once. waiting: there is nothing yet. more: neither side has ended.
func (p *pump) move(fd int) (waiting, more bool) {
	buf := pumpBuffers.Get().(*[pumpSize]byte)
	defer pumpBuffers.Put(buf)
	var n int
	err := retryIntr(func() (err error) {
		n, err = unix.Read(fd, buf[:])
		return err
	})
	if errors.Is(err, unix.EAGAIN) {
		return true, true
	}
	// A terminal whose last user has gone answers EIO.
	if err != nil || n <= 0 {
		return false, false
	}
	_, err = p.to.Write(buf[:n])
	return false, err == nil
}

// drain moves what is there now, for at most as long as given, and ends the pump: whoever still
// holds the other end of the source is not waited for.
func (p *pump) drain(timeout time.Duration) {
	_ = p.to.SetWriteDeadline(time.Now().Add(timeout)) // a sink that nobody reads
	_ = p.from.SetReadDeadline(time.Now())
	<-p.done
}
