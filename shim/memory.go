package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// A shim idles for most of its life, and there may be hundreds: what a call has left in memory goes
// back to the kernel once calls have ceased for a while, and at most this often.
const (
	giveBackAfter = 2 * time.Second
	giveBackPause = time.Minute
)

// touch says that a call has been made.
func (s *Service) touch() {
	select {
	case s.touched <- struct{}{}:
	default:
	}
}

// giveMemoryBack runs until the shim ends.
func (s *Service) giveMemoryBack() {
	for range s.touched {
		for quiet := false; !quiet; {
			select {
			case <-s.touched:
			case <-time.After(giveBackAfter):
				quiet = true
			}
		}
		debug.FreeOSMemory()
		if err := dropCode(); err != nil {
			logrus.Debugf("give the program's pages back: %v", err)
		}
		time.Sleep(giveBackPause)
	}
}

// dropCode takes the program's own read-only pages out of this process's memory. The kernel maps
// what surrounds every page that is touched, and page caches of large folios make that nearly all
// of the file; an idle shim needs little of it. They stay in the page cache, from where the next
// call maps again what it touches.
func dropCode() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	for line := range bytes.Lines(maps) {
		// address perms offset dev inode path
		var start, end uintptr
		var perms string
		if _, perr := fmt.Sscanf(string(line), "%x-%x %s", &start, &end, &perms); perr != nil {
			return perr
		}
		if !strings.HasSuffix(strings.TrimSpace(string(line)), exe) || strings.Contains(perms, "w") {
			continue
		}
		_, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
		if errno != 0 {
			err = errors.Join(err, errno)
		}
	}
	return err
}
