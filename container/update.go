package container

import (
	"errors"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/cgroupjoin"
)

// An Update is what update changes: the limits that are set; the rest stays.
type Update struct {
	Resources     *specs.LinuxResources
	L3CacheSchema string // of Intel RDT; empty: unchanged
	MemBwSchema   string // of Intel RDT; empty: unchanged
}

var errNoRDT = errors.New("updating a non-existent Intel RDT configuration is not supported")

// Update changes limits of a container that has not stopped. A limit that is refused leaves all as
// they were. Errors: ErrNotRunning.
func (c *Container) Update(u Update) error {
	return c.locked(func() error {
		m, err := c.look()
		if err != nil {
			return err
		}
		defer m.close()
		if m.status == Stopped {
			return ErrNotRunning
		}
		cg, err := c.cgroup()
		if err != nil {
			return err
		}
		if cg == nil {
			return errNoCgroup
		}
		rdt, err := c.rdtToUpdate(u)
		if err != nil {
			return c.wrap(err)
		}
		if err := cg.Update(u.Resources); err != nil {
			return c.wrap(err)
		}
		saved := cg.Saved()
		c.rec.Cgroup = &saved
		return errors.Join(c.wrap(c.updateRDT(rdt, u)), c.dir.writeRecord(c.rec))
	})
}

// rdtToUpdate gives the resctrl group to update, nil where no schema is to be changed. What cannot be
// had is refused here, before anything is written.
func (c *Container) rdtToUpdate(u Update) (*cgroupjoin.RDT, error) {
	if u.L3CacheSchema == "" && u.MemBwSchema == "" {
		return nil, nil
	}
	if err := cgroupjoin.CheckSchemas(u.L3CacheSchema, u.MemBwSchema); err != nil {
		return nil, err
	}
	rdt, err := c.rdt()
	if err == nil && rdt == nil {
		err = errNoRDT
	}
	return rdt, err
}

func (c *Container) updateRDT(rdt *cgroupjoin.RDT, u Update) error {
	if rdt == nil {
		return nil
	}
	if err := rdt.Update(u.L3CacheSchema, u.MemBwSchema); err != nil {
		return err
	}
	saved := rdt.Saved()
	c.rec.RDT = &saved
	return nil
}

// rdt brings the container's resctrl group back, nil where it has none.
func (c *Container) rdt() (*cgroupjoin.RDT, error) {
	if c.rec.RDT == nil {
		return nil, nil
	}
	return cgroupjoin.LoadRDT(*c.rec.RDT)
}
