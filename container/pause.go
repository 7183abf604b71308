package container

import (
	"errors"

	"runack/cgroupjoin"
)

// Pause freezes every process of the container. Errors: ErrNotRunning.
func (c *Container) Pause() error {
	return c.locked(func() error {
		m, err := c.look()
		if err != nil {
			return err
		}
		defer m.close()
		switch m.status {
		case Created, Running:
		default:
			return ErrNotRunning
		}
		cg, err := c.cgroup()
		if err != nil {
			return err
		}
		if cg == nil {
			return errNoCgroup
		}
		err = cg.Freeze()
		if errors.Is(err, cgroupjoin.ErrNoCgroup) {
			return c.wrap(err)
		}
		if err != nil {
			// A half-frozen container helps nobody.
			return c.wrap(joinTeardown(err, cg.Thaw()))
		}
		return nil
	})
}

// Resume thaws a paused container. Errors: ErrNotPaused.
func (c *Container) Resume() error {
	return c.locked(func() error {
		m, err := c.look()
		if err != nil {
			return err
		}
		defer m.close()
		if m.status != Paused {
			return ErrNotPaused
		}
		cg, err := c.cgroup()
		if err != nil {
			return err
		}
		return c.wrap(cg.Thaw())
	})
}
