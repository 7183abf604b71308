package cgroupjoin

import (
	"errors"
	"os"
	"slices"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// Kill sends a signal to every process of the cgroup and its sub-cgroups. SIGKILL goes through
// cgroup.kill where there is one, which no fork can outrun; otherwise the cgroup is frozen while it is
// read. A container that was frozen stays so, except after SIGKILL, which on v1 takes effect only
// when the container thaws.
func (c *Cgroup) Kill(sig unix.Signal) error {
	if !c.Exists() {
		return &Error{Step: "kill processes", File: c.mainPath(), Err: unix.ENOENT}
	}
	if err := c.refuseInside("kill processes"); err != nil {
		return err
	}
	if sig == unix.SIGKILL {
		if err := c.killAtOnce(); err == nil && c.saved.Layout == V2 {
			return nil
		}
	}
	err := c.signalAll(sig)
	if sig == unix.SIGKILL {
		err = errors.Join(err, c.thawTree())
	}
	return err
}

// killAtOnce kills the processes of the v2 hierarchy, frozen ones too (Linux 5.14 and later).
func (c *Cgroup) killAtOnce() error {
	dir, ok := c.saved.Paths[""]
	if !ok {
		return unix.ENOENT
	}
	return cgroups.WriteFile(dir, "cgroup.kill", "1")
}

// signalAll freezes, signals and thaws. While the cgroup is frozen no process in it can fork or exit,
// so no number in the list can come to mean another process. Where freezing does not work (there is
// no freezer, or a task sleeps too deep) the signals are sent all the same.
func (c *Cgroup) signalAll(sig unix.Signal) (err error) {
	wasFrozen, err := c.Frozen()
	if err != nil {
		return err
	}
	if !wasFrozen {
		frozen := c.Freeze() == nil
		defer func() {
			if frozen {
				err = errors.Join(err, c.thaw())
			}
		}()
	}
	pids, err := c.Pids(true)
	if err != nil {
		return err
	}
	return signal(pids, sig)
}

// refuseInside keeps the runtime from freezing or killing itself, for it would never come back: it may
// have been started in the container's own cgroup.
func (c *Cgroup) refuseInside(step string) error {
	pids, err := allPids(c.dirs())
	if err != nil || !slices.Contains(pids, os.Getpid()) {
		return err
	}
	return &Error{Step: step, File: c.mainPath(), Err: unix.EDEADLK, Detail: "this process itself is in the cgroup"}
}

// signal skips 0, which stands for a process out of sight and would mean our own process group.
func signal(pids []int, sig unix.Signal) error {
	var errs []error
	for _, pid := range pids {
		if pid <= 0 {
			continue
		}
		if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
			errs = append(errs, &Error{Step: "kill processes", File: describe([]int{pid}), Err: err})
		}
	}
	return errors.Join(errs...)
}
