package cgroupjoin

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// destroyTimeout bounds the time that Destroy gives killed processes to end.
var destroyTimeout = 10 * time.Second

// Destroy removes the cgroup with its sub-cgroups, and under systemd its scope. Processes that are
// left are killed; in a shared PID namespace nobody else does it. It never waits for longer than its
// bound: a process that sleeps uninterruptibly, or that the runtime has no right to kill, makes an
// error that names it. A cgroup that is gone is no error. The cgroup is thawed in any case.
//
// A cgroup that Create never found to be free (Saved.Made) is removed if it is empty. Otherwise it is
// another's, and is left alone.
func (c *Cgroup) Destroy() error {
	if !c.saved.Made {
		return c.removeIfFree()
	}
	var errs []error
	if c.saved.Systemd {
		errs = append(errs, c.stopUnit())
	}
	errs = append(errs, c.remove(c.dirs()))
	return errors.Join(errs...)
}

// unmadeTimeout bounds the wait for a stage that lost its runtime before the cgroup was recorded as
// made: it ends by itself.
var unmadeTimeout = 2 * time.Second

func (c *Cgroup) removeIfFree() error {
	deadline := time.Now().Add(unmadeTimeout)
	for {
		pids, err := allPids(c.dirs())
		if err != nil || len(pids) == 0 {
			if err == nil && !c.saved.Systemd {
				err = c.remove(c.dirs())
			}
			return err
		}
		if waitGone(pids, deadline) != nil {
			return nil
		}
	}
}

// PidsAnywhere lists the processes that are in the cgroup in any hierarchy.
func (c *Cgroup) PidsAnywhere() ([]int, error) { return allPids(c.dirs()) }

// dirs lists the directories of the cgroup, each once, in the order of the controllers.
func (c *Cgroup) dirs() []string {
	var dirs []string
	for _, controller := range distinct(c.saved.Paths) {
		dirs = append(dirs, c.saved.Paths[controller])
	}
	return dirs
}

// stopUnit ends the scope. systemd would first ask its processes to leave, and wait 90 seconds: they
// are killed before.
func (c *Cgroup) stopUnit() error {
	if pids, err := c.Pids(true); err == nil && len(pids) > 0 {
		if err := c.killAndWait(c.dirs(), time.Now().Add(destroyTimeout)); err != nil {
			return err
		}
	}
	mgr, err := c.manager()
	if err != nil {
		return err
	}
	if err := withDeadline("stop unit "+c.unit(), systemdTimeout, mgr.Destroy); err != nil {
		return explain("stop unit "+c.unit(), err)
	}
	return nil
}

// remove takes the directories away: at once where that works, and it does for a container whose
// processes have ended. Otherwise it kills and waits.
func (c *Cgroup) remove(dirs []string) error {
	var left []string
	var errs []error
	for _, dir := range dirs {
		switch err := rmdir(dir); {
		case err == nil:
		case errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY):
			left = append(left, dir)
		case c.saved.Rootless && isPermission(err) && unix.Access(dir, unix.F_OK) != nil:
		case errors.Is(err, unix.EROFS) && errors.Is(unix.Access(dir, unix.F_OK), unix.ENOENT):
			// On a read-only mount rmdir says EROFS even of what is not there.
		default:
			errs = append(errs, &Error{Step: "remove cgroup", File: dir, Err: err})
		}
	}
	if len(left) > 0 {
		errs = append(errs, c.removeBusy(left))
	}
	return errors.Join(errs...)
}

func rmdir(dir string) error {
	for {
		err := unix.Rmdir(dir)
		if err == unix.ENOENT {
			return nil
		}
		if err != unix.EINTR {
			return err
		}
	}
}

func (c *Cgroup) removeBusy(dirs []string) error {
	deadline := time.Now().Add(destroyTimeout)
	if err := c.killAndWait(dirs, deadline); err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, removeTree(dir, deadline))
	}
	return errors.Join(errs...)
}

// killAndWait ends every process of the directories. It returns when they are gone, or with an error
// that names those that are not.
func (c *Cgroup) killAndWait(dirs []string, deadline time.Time) error {
	if err := c.refuseInside("remove cgroup"); err != nil {
		return err
	}
	for {
		if err := c.killAll(); err != nil {
			return err
		}
		pids, err := allPids(dirs)
		if err != nil || len(pids) == 0 {
			return err
		}
		// Some may be in a hierarchy that killAll did not look at.
		err = signal(pids, unix.SIGKILL)
		if err == nil {
			err = waitGone(pids, deadline)
		}
		if err != nil {
			if pids, _ = allPids(dirs); len(pids) == 0 {
				return nil
			}
			return &Error{Step: "remove cgroup", File: dirs[0], Err: err, Detail: c.Survivors(pids)}
		}
	}
}

// killAll kills and thaws: a task frozen by the v1 controller does not die.
func (c *Cgroup) killAll() error {
	if c.killAtOnce() == nil && c.saved.Layout == V2 {
		return nil
	}
	err := c.signalAll(unix.SIGKILL)
	if isGone(err) || errors.Is(err, ErrNoCgroup) {
		err = nil
	}
	return errors.Join(err, c.thawTree())
}

// allPids lists the processes of several trees, each once.
func allPids(dirs []string) ([]int, error) {
	set := map[int]bool{}
	for _, dir := range dirs {
		pids, err := cgroups.GetAllPids(dir)
		if err != nil && !isGone(err) {
			return nil, explain("list processes", err)
		}
		for _, pid := range pids {
			set[pid] = true
		}
	}
	return slices.Sorted(maps.Keys(set)), nil
}

// waitGone waits until every process has ended, by pidfd. A process that has ended but that nobody
// has reaped does not keep a cgroup. A number that no pidfd can be had for (the process has gone, or
// in a threaded cgroup it is a thread's) is left to the caller's next look.
func waitGone(pids []int, deadline time.Time) error {
	waited := false
	for _, pid := range pids {
		if pid <= 0 {
			return unix.ESRCH
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		err = pollUntil([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, deadline)
		_ = unix.Close(fd)
		if err != nil {
			return err
		}
		waited = true
	}
	if !waited {
		// An exiting task may be listed for a moment still, and there is no event for its end.
		time.Sleep(time.Millisecond)
	}
	if time.Now().After(deadline) {
		return unix.ETIMEDOUT
	}
	return nil
}

// removeTree removes sub-cgroups before their parents. The kernel can answer EBUSY for a moment
// after the last process has ended (it leaves its cgroup late in its exit), and tells nobody when
// that is over: so the wait is a short one that doubles, up to the deadline.
func removeTree(dir string, deadline time.Time) error {
	for wait := 100 * time.Microsecond; ; wait *= 2 {
		err := removeOnce(dir)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY) {
			return explain("remove cgroup", err)
		}
		if time.Now().Add(wait).After(deadline) {
			pids, _ := cgroups.GetAllPids(dir)
			e := explain("remove cgroup", err)
			if len(pids) > 0 {
				e.Detail = "still there: " + describe(pids)
			}
			return e
		}
		time.Sleep(wait)
	}
}

func removeOnce(dir string) error {
	err := rmdir(dir)
	if err == nil || (!errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOTEMPTY)) {
		return pathError("rmdir", dir, err)
	}
	entries, rerr := os.ReadDir(dir)
	if rerr != nil {
		if isGone(rerr) {
			return nil
		}
		return rerr
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeOnce(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return pathError("rmdir", dir, rmdir(dir))
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}
