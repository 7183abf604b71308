package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"runack/cgroupjoin"
	"runack/handshake"
	"runack/internal/act"
	"runack/nsexec"
)

// DeleteOptions say how to delete.
type DeleteOptions struct {
	Force   bool            // kill what runs; succeed where there is nothing
	Context context.Context // its end ends poststop hooks; nil for none
	// Transcript gets the times of what is done; may be nil.
	Transcript *handshake.Transcript
}

// killTimeout bounds the wait for the death of a killed init: as long as runc waits.
const killTimeout = 10 * time.Second

// Delete removes a container and all that belongs to it. Without Force it refuses one that runs,
// and is an error (ErrNotExist) for one that is not there.
func (s *Store) Delete(id string, o DeleteOptions) error {
	if o.Context == nil {
		o.Context = context.Background()
	}
	c, err := s.Load(id)
	var broken *RecordError
	switch {
	case errors.Is(err, ErrNotExist):
		return s.deleteRemains(id, o)
	case errors.As(err, &broken) && o.Force:
		return s.deleteBroken(id)
	case err != nil:
		return err
	}
	defer c.Close()
	c.times = o.Transcript
	err = c.delete(o)
	if errors.Is(err, ErrNotExist) && o.Force {
		return nil // another delete was quicker
	}
	return err
}

func (c *Container) delete(o DeleteOptions) error {
	if err := c.end(o); err != nil {
		return err
	}
	var spec *specs.Spec
	err := c.locked(func() error {
		m, err := c.look()
		if err != nil {
			return err
		}
		defer m.close()
		if m.status != Stopped && !o.Force {
			return errNotStopped(c.rec.ID, m.status) // a start came in between
		}
		if c.rec.Poststop {
			if spec, err = c.spec(); err != nil {
				logrus.Warn(c.wrap(err)) // the container goes, hooks or not
			}
		}
		return c.destroy(m.init)
	})
	if err != nil {
		return err
	}
	c.rec.runPoststop(o.Context, spec)
	return nil
}

// end sees to it that init is dead before the lock is taken, since dying can take its time.
func (c *Container) end(o DeleteOptions) error {
	m, err := c.look()
	if err != nil {
		return err
	}
	defer m.close()
	switch {
	case m.status == Stopped:
		return nil
	case !o.Force && m.status != Created:
		return errNotStopped(c.rec.ID, m.status)
	}
	return c.killAndWait(m.init)
}

// killAndWait kills init, and what else is in the cgroup, and waits for init's death. A creating
// container may have no init yet.
func (c *Container) killAndWait(init *os.File) error {
	if init == nil {
		return nil
	}
	err := c.act(act.Kill, func() error { return sendSignal(init, unix.SIGKILL) })
	if err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	if err := c.thaw(); err != nil {
		return err
	}
	var gone bool
	err = c.act(act.AwaitDeath, func() (err error) {
		gone, err = nsexec.WaitPidFD(init, killTimeout)
		return err
	})
	if err != nil {
		return err
	}
	if !gone {
		return c.wrap(c.survived())
	}
	return nil
}

// survived says, in runc's words and more, that init does not die.
func (c *Container) survived() error {
	cg, err := c.cgroup()
	if err != nil || cg == nil {
		return errInitRunning
	}
	return fmt.Errorf("%w after %v: %s", errInitRunning, killTimeout, cg.Survivors([]int{c.rec.Init.Pid}))
}

// destroy removes the cgroup, with whatever is left in it, and the state directory.
//
// Preconditions: the caller holds the lock.
func (c *Container) destroy(init *os.File) error {
	if err := c.killAndWait(init); err != nil {
		return err
	}
	cg, err := c.cgroup()
	if err != nil {
		return err
	}
	if cg != nil {
		c.killUnrecorded(cg)
		if err := c.act(act.Destroy, cg.Destroy); err != nil {
			return c.wrap(err)
		}
	}
	rdt, err := c.rdt()
	if err != nil {
		return c.wrap(err)
	}
	if rdt != nil {
		if err := rdt.Destroy(); err != nil {
			return c.wrap(err)
		}
	}
	return c.act(act.RemoveDir, c.dir.remove)
}

// killUnrecorded ends the stage of a create that has been stopped between making the stage and
// recording it: the stage waits for its runtime, and holds the cgroup as long as that lives. Whatever
// else is in a cgroup that was never found to be free is left alone.
func (c *Container) killUnrecorded(cg *cgroupjoin.Cgroup) {
	if c.rec.Phase != phaseCreating || c.rec.Init != nil || c.rec.Actor == nil {
		return
	}
	pids, err := cg.PidsAnywhere() // it may have joined one hierarchy and not yet the others
	if err != nil {
		return // Destroy says why
	}
	for _, pid := range pids {
		ident, err := identOf(pid)
		if err != nil || !nsexec.IsStageOf(pid, c.rec.Actor.Pid) {
			continue
		}
		if pidfd, err := ident.open(); err == nil && pidfd != nil {
			_ = sendSignal(pidfd, unix.SIGKILL)
			pidfd.Close()
		}
	}
}

// deleteRemains is for an ID without a record: a directory that a killed runtime had only just
// made, or nothing at all.
func (s *Store) deleteRemains(id string, o DeleteOptions) error {
	notThere := ErrNotExist
	if o.Force {
		notThere = nil
	}
	dir, err := s.open(id)
	if errors.Is(err, ErrNotExist) {
		return notThere
	}
	if err != nil {
		return err
	}
	defer dir.close()
	found := false
	err = dir.locked(func() error {
		if _, err := dir.readRecord(); err == nil {
			found = true // a create was under way
			return nil
		}
		return dir.remove()
	})
	switch {
	case found:
		return s.Delete(id, o)
	case err == nil, errors.Is(err, ErrNotExist):
		return notThere
	}
	return err
}

// deleteBroken removes a container whose record cannot be read: its cgroup is found anew, by the
// ID and the saved configuration, and everything in it killed. The processes of a container that
// was given no cgroup cannot be found.
func (s *Store) deleteBroken(id string) error {
	dir, err := s.open(id)
	if err != nil {
		return err
	}
	c := &Container{store: s, dir: dir, rec: &Record{ID: id}}
	defer c.Close()
	return dir.locked(func() error {
		path := ""
		if spec, err := c.spec(); err == nil && spec.Linux != nil {
			path = spec.Linux.CgroupsPath
		} else {
			logrus.Warn(c.wrap(errors.New("without record and configuration, the default cgroup is taken")))
		}
		if err := c.destroyFound(path); err != nil {
			return c.wrap(err) // and what leads to it stays
		}
		return dir.remove()
	})
}

// destroyFound destroys the cgroup that an ID and a cgroupsPath lead to. Which manager made it is not
// known: an empty path is the default of both. Where a path leads nowhere nothing can be running.
func (c *Container) destroyFound(path string) error {
	managers := []bool{strings.Count(path, ":") == 2 && !strings.Contains(path, "/")}
	if path == "" {
		managers = []bool{false, true}
	}
	for _, systemd := range managers {
		cg, err := cgroupjoin.New(cgroupjoin.Config{ID: c.rec.ID, Path: path, Systemd: systemd})
		if err != nil {
			if path != "" || !errors.Is(err, cgroupjoin.ErrNoSystemd) {
				logrus.Warn(c.wrap(err))
			}
			continue
		}
		cg.Adopt()
		if err := cg.Destroy(); err != nil {
			return err
		}
	}
	return nil
}
