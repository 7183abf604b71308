package reaper

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childInfo is the part of siginfo_t that waitid(2) fills in. unix.Siginfo leaves it opaque. The
// union behind the first three words is aligned to a pointer: one word of padding on 64 bits.
type childInfo struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0))/4 - 1]int32
	pid                int32
	uid                uint32
	status             int32
}

// si_code of SIGCHLD (sigaction(2)).
const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// waitStatus puts waitid's answer into the form of wait(2).
func (c *childInfo) waitStatus() unix.WaitStatus {
	switch c.code {
	case cldKilled:
		return unix.WaitStatus(c.status)
	case cldDumped:
		return unix.WaitStatus(c.status | 0x80)
	}
	return unix.WaitStatus(c.status << 8)
}

// waitid is waitid(2) with WNOHANG. A zero info.pid means that nothing is there to wait for yet.
// __WALL, because a child cloned with another exit signal than SIGCHLD is invisible otherwise.
func waitid(idType, id int, flags int, usage *unix.Rusage) (childInfo, error) {
	var full unix.Siginfo // the kernel may write all 128 bytes
	for {
		err := unix.Waitid(idType, id, &full, unix.WEXITED|unix.WNOHANG|unix.WALL|flags, usage)
		if err != unix.EINTR {
			return *(*childInfo)(unsafe.Pointer(&full)), err
		}
	}
}

func usageOf(r *unix.Rusage) Usage {
	return Usage{
		User:   time.Duration(r.Utime.Nano()),
		System: time.Duration(r.Stime.Nano()),
		MaxRSS: int64(r.Maxrss),
	}
}
