package hooks

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// capture reads a pipe to the end of its writer's life and keeps the last KeepOutput bytes.
type capture struct {
	f    *os.File
	fd   int // of f, for reads beside the poller
	kept []byte
	lost bool
}

// restMax bounds what is still read after the hook's end: the largest pipe an ordinary user can make
// (/proc/sys/fs/pipe-max-size). A grandchild that writes without end must not keep us.
const restMax = 1 << 20

// read goes on until end of file or stop.
func (c *capture) read() {
	buf := make([]byte, 16<<10)
	for {
		n, err := c.f.Read(buf)
		c.keep(buf[:n])
		if err != nil {
			return
		}
	}
}

// stop makes read return, even if somebody still holds the other end.
func (c *capture) stop() { _ = c.f.SetReadDeadline(time.Unix(1, 0)) }

// rest takes what the hook had written before it ended and read had not come to. The poller refuses
// reads after a deadline, so these go to the descriptor, which does not block.
func (c *capture) rest() {
	buf := make([]byte, 16<<10)
	for total := 0; total < restMax; {
		n, err := unix.Read(c.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		c.keep(buf[:n])
		total += n
	}
}

// keep lets the buffer grow to twice its bound before it moves anything, which makes the moves cheap.
func (c *capture) keep(b []byte) {
	c.kept = append(c.kept, b...)
	if len(c.kept) >= 2*KeepOutput {
		c.cut()
	}
}

func (c *capture) cut() {
	if over := len(c.kept) - KeepOutput; over > 0 {
		c.kept = c.kept[:copy(c.kept, c.kept[over:])]
		c.lost = true
	}
}

func (c *capture) text() string {
	c.cut()
	return string(c.kept)
}

func (c *capture) close() {
	if c.f != nil {
		_ = c.f.Close()
	}
}
