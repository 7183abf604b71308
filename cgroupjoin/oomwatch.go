package cgroupjoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
)

// OOMWatch tells when the kernel kills for want of memory in a cgroup. It is one descriptor, for an
// event loop to wait on.
type OOMWatch struct {
	cg    *Cgroup
	fd    int
	dir   string
	kills uint64
}

// WatchOOM starts watching. Kills of the past are not reported (OOMKills counts them).
func (c *Cgroup) WatchOOM() (*OOMWatch, error) {
	dir, file := c.oomFile()
	if dir == "" {
		return nil, &Error{Step: "watch OOM kills", Err: ErrNoCgroup, Detail: "no memory controller"}
	}
	kills, err := c.OOMKills()
	if err != nil {
		return nil, err
	}
	w := &OOMWatch{cg: c, dir: dir, kills: kills}
	if c.saved.Layout == V2 {
		w.fd, err = watchV2(dir, file)
	} else {
		w.fd, err = watchV1(dir, file)
	}
	if errors.Is(err, unix.ENOENT) && unix.Access(dir, unix.F_OK) == nil {
		return nil, &Error{Step: "watch OOM kills", File: filepath.Join(dir, file), Err: ErrNoCgroup, Detail: "no memory controller"}
	}
	if err != nil {
		return nil, explain("watch OOM kills", err)
	}
	return w, nil
}

// watchV2: the kernel reports a change of these files to inotify. cgroup.events is there for the end
// of the last process.
func watchV2(dir, file string) (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, &os.PathError{Op: "inotify_init", Path: dir, Err: err}
	}
	for _, name := range []string{file, "cgroup.events"} {
		path := filepath.Join(dir, name)
		if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
			_ = unix.Close(fd)
			return -1, &os.PathError{Op: "inotify_add_watch", Path: path, Err: err}
		}
	}
	return fd, nil
}

// watchV1 registers an eventfd (cgroup-v1/memory.rst, "OOM Control"). It is signalled when the group
// runs out of memory and when the group is removed.
func watchV1(dir, file string) (int, error) {
	oom, err := os.Open(filepath.Join(dir, file))
	if err != nil {
		return -1, err
	}
	defer oom.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, &os.PathError{Op: "eventfd", Path: dir, Err: err}
	}
	request := fmt.Sprintf("%d %d", fd, oom.Fd())
	if err := os.WriteFile(filepath.Join(dir, "cgroup.event_control"), []byte(request), 0); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// FD is readable when there is something for Read. It stays the watch's.
func (w *OOMWatch) FD() int { return w.fd }

// Read takes what has been reported. oom: there was an OOM since the last call. On v1 it comes when
// the memory has run out, a moment before the killed process has ended. gone: the cgroup is removed,
// or has lost its last process.
//
// Do not count on gone alone: v2 reports a change of cgroup.events up to 10 ms late, and not at all
// if the cgroup has been removed by then. Wait for the container's init as well.
func (w *OOMWatch) Read() (oom, gone bool, err error) {
	buf := make([]byte, 4096)
	reported := false
	for {
		n, err := unix.Read(w.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return false, false, &Error{Step: "watch OOM kills", File: w.dir, Err: err}
		}
		reported = n > 0
		if w.cg.saved.Layout != V2 {
			break // an eventfd is empty after one read
		}
	}
	if w.cg.saved.Layout != V2 {
		gone = unix.Access(filepath.Join(w.dir, "cgroup.event_control"), unix.F_OK) != nil
		return reported && !gone, gone, nil
	}
	kills, err := w.cg.OOMKills()
	if err != nil {
		return false, false, err
	}
	oom, w.kills = kills > w.kills, max(kills, w.kills)
	return oom, !w.populated(), nil
}

func (w *OOMWatch) populated() bool {
	events, err := smallfile.Read(filepath.Join(w.dir, "cgroup.events"))
	return err == nil && eventValue(string(events), "populated") == "1"
}

// Wait blocks until there is something for Read, or until the descriptor stop is readable (the pidfd
// of the container's init, say); then stopped is true.
func (w *OOMWatch) Wait(stop int) (stopped bool, err error) {
	fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if err == unix.EINTR {
			continue
		}
		return fds[1].Revents != 0, err
	}
}

// Close ends the watch.
func (w *OOMWatch) Close() error { return unix.Close(w.fd) }
