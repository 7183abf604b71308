package cgroupjoin

import (
	"errors"

	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Set writes limits and device rules, those of r and, for what r leaves out, nothing; r is then what
// Saved gives back. Nil means those of Config. It needs the directories: Create, or for systemd
// Attach, comes first.
//
// On v1 it comes before the join as well: a task that is in the devices cgroup while the rules are
// half written would be refused the devices it needs.
func (c *Cgroup) Set(r *specs.LinuxResources) error {
	if r == nil {
		r = c.saved.Resources
	}
	if err := c.write(r, false); err != nil {
		return err
	}
	c.saved.Resources = r
	return nil
}

// Update changes the limits that r has and leaves the others, and the device rules, as they are.
// Where a limit is refused, those that were written already are set back.
func (c *Cgroup) Update(r *specs.LinuxResources) error {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	old := c.saved.Resources
	merged, toWrite := merge(old, r)
	before := c.snapshot(toWrite)
	if err := c.write(toWrite, true); err != nil {
		return errors.Join(err, c.setBack(before, old, r))
	}
	c.saved.Resources = merged
	return nil
}

// setBack undoes an update. systemd is told first, or it would bring the new limits back at its next
// reload.
func (c *Cgroup) setBack(before snapshot, old, update *specs.LinuxResources) error {
	var err error
	if c.saved.Systemd {
		err = c.write(beforeUpdate(old, update), true)
	}
	if err = errors.Join(err, before.restore()); err != nil {
		return &Error{Step: "set limits back", Err: err}
	}
	return nil
}

func (c *Cgroup) write(r *specs.LinuxResources, skipDevices bool) error {
	if len(c.saved.Paths) == 0 {
		if needsLimits(r) {
			return &Error{Step: "set limit", File: limitsNeeded(r), Err: ErrNoCgroup}
		}
		return nil
	}
	if r != nil && r.CPU != nil {
		copied := *r
		copied.CPU = withoutIdleWeight(r.CPU)
		r = &copied
	}
	res, err := c.resources(r)
	if err != nil {
		return err
	}
	res.SkipDevices = skipDevices
	if !skipDevices {
		if res.SkipDevices, err = c.allowDevices(res.Devices); err != nil {
			return err
		}
	}
	if err := c.endIdle(r); err != nil {
		return err
	}
	mgr, err := c.manager()
	if err != nil {
		return err
	}
	set := func() error { return mgr.Set(res) }
	if c.saved.Systemd {
		err = withDeadline("set limit", systemdTimeout, set)
	} else {
		err = set()
	}
	if err != nil {
		return c.explainLimit(r, err)
	}
	return nil
}

// endIdle is for v1, where the library writes the weight before cpu.idle, and the kernel refuses it as
// long as the cgroup is idle.
func (c *Cgroup) endIdle(r *specs.LinuxResources) error {
	dir := c.dirOf("cpu")
	if c.saved.Layout == V2 || dir == "" || r == nil || r.CPU == nil || r.CPU.Idle == nil || *r.CPU.Idle != 0 {
		return nil
	}
	if err := cgroups.WriteFile(dir, "cpu.idle", "0"); err != nil {
		return c.explainLimit(r, err)
	}
	return nil
}

// limitsNeeded names the first limit asked for, for the message that it cannot be had.
func limitsNeeded(r *specs.LinuxResources) string {
	for _, layout := range []Layout{V2, V1} {
		if l := limitsOf(r, layout); len(l) > 0 {
			return "linux.resources." + l[0].field
		}
	}
	return "linux.resources"
}
