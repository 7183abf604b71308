package reaper

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Switches of the tests: the ways taken on kernels that lack the better one.
var (
	withoutChildrenFiles bool // CONFIG_PROC_CHILDREN=n
	withoutPidfs         bool // Linux before 6.9: all pidfds share one inode
)

// Children lists processes among which all children of this process are; it may hold others,
// whom waitid refuses. Entries can be missed while children come and go (proc_pid_tid_children(5)).
func Children() ([]int, error) {
	if !withoutChildrenFiles {
		pids, err := childrenOfThreads()
		if !errors.Is(err, errNoChildrenFile) {
			return pids, err
		}
	}
	return numbers("/proc")
}

var errNoChildrenFile = errors.New("reaper: no thread has a children file")

// childrenOfThreads reads the list of every thread: a child belongs to the thread that forked it, an
// orphan comes to one that is alive.
func childrenOfThreads() ([]int, error) {
	tids, err := numbers("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var pids []int
	read := 0
	for _, tid := range tids {
		text, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/children")
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended, and its children are another's
		}
		if err != nil {
			return nil, err
		}
		read++
		for field := range bytes.FieldsSeq(text) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if read == 0 {
		return nil, errNoChildrenFile
	}
	return pids, nil
}

// numbers lists the entries of a directory of /proc that are numbers.
func numbers(dir string) ([]int, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	list := make([]int, 0, len(names))
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			list = append(list, n)
		}
	}
	return list, nil
}

// pidfdsElsewhere finds out of which candidates this process holds a pidfd beside our own: somebody
// means to wait for those. A descriptor that stays open from before the call until its end is
// never missed: the kernel lists a table by ascending number.
func pidfdsElsewhere(list []*candidate) (map[*candidate]bool, error) {
	fds, err := numbers("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var pidfs unix.Statfs_t
	if err := unix.Fstatfs(list[0].fd, &pidfs); err != nil {
		return nil, err
	}
	if pidfs.Type == unix.PID_FS_MAGIC && !withoutPidfs {
		return sameInode(list, fds)
	}
	return samePid(list, fds), nil
}

// inode of a pidfd: since Linux 6.9 one for each process, for the time the system is up.
type inode struct{ dev, ino uint64 }

func inodeOf(fd int) (inode, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return inode{uint64(st.Dev), st.Ino}, err
}

func sameInode(list []*candidate, fds []int) (map[*candidate]bool, error) {
	by := make(map[inode]*candidate, len(list))
	for _, c := range list {
		i, err := inodeOf(c.fd)
		if err != nil {
			return nil, err
		}
		by[i] = c
	}
	wanted := map[*candidate]bool{}
	for _, fd := range fds {
		i, err := inodeOf(fd)
		if err != nil {
			continue // closed meanwhile
		}
		if c := by[i]; c != nil && c.fd != fd {
			wanted[c] = true
		}
	}
	return wanted, nil
}

func samePid(list []*candidate, fds []int) map[*candidate]bool {
	by := make(map[int]*candidate, len(list))
	for _, c := range list {
		by[c.pid] = c
	}
	wanted := map[*candidate]bool{}
	for _, fd := range fds {
		name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil || !strings.Contains(name, "pidfd") {
			continue
		}
		pid, ok, err := fdinfoPid(fd)
		if err != nil || !ok {
			continue
		}
		if c := by[pid]; c != nil && c.fd != fd {
			wanted[c] = true
		}
	}
	return wanted
}
