package shim

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"runack/cgroupjoin"
)

// An oomWatcher reports OOM kills in a container's cgroup that no exit of ours tells about: those of
// the program's own children. A nil watcher watches nothing.
type oomWatcher struct {
	cg    *cgroupjoin.Cgroup
	watch *cgroupjoin.OOMWatch
	file  *os.File // a duplicate of the watch's descriptor, in Go's poller
	once  sync.Once
}

// On v1 the kernel reports that the memory has run out a moment before it counts the kill.
const (
	recountPause = 10 * time.Millisecond
	recounts     = 10
)

// watchOOM starts to watch. report gets the cgroup's count of OOM kills after each change, until the
// watcher is closed; it is called on a goroutine of its own.
func watchOOM(cg *cgroupjoin.Cgroup, report func(count uint64)) (*oomWatcher, error) {
	watch, err := cg.WatchOOM()
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(uintptr(watch.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		_ = watch.Close()
		return nil, err
	}
	w := &oomWatcher{cg: cg, watch: watch, file: os.NewFile(uintptr(fd), "OOM watch")}
	go w.run(report)
	return w, nil
}

func (w *oomWatcher) run(report func(uint64)) {
	defer w.watch.Close()
	defer w.close()
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	known := w.kills()
	for {
		var oom, gone bool
		var werr error
		err := raw.Read(func(uintptr) bool {
			oom, gone, werr = w.watch.Read()
			return oom || gone || werr != nil
		})
		if err != nil || werr != nil || gone {
			return
		}
		for i := 0; i < recounts && w.kills() <= known; i++ {
			time.Sleep(recountPause)
		}
		if n := w.kills(); n > known {
			known = n
			report(n)
		}
	}
}

// kills is the cgroup's count; 0 where it cannot be read.
func (w *oomWatcher) kills() uint64 {
	if w == nil {
		return 0
	}
	n, err := w.cg.OOMKills()
	if err != nil {
		return 0
	}
	return n
}

// close ends the watch; it may be called again.
func (w *oomWatcher) close() {
	if w != nil {
		w.once.Do(func() { _ = w.file.Close() })
	}
}
