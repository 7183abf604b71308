package cgroupjoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Create makes the container's directories, ready to be joined but without limits. It refuses, in
// runc's words, a cgroup that is frozen (ErrFrozen) or has processes in it (ErrNotEmpty). On failure
// it takes away what it had made.
//
// A scope of systemd cannot exist without a process: there Create only checks, and Attach makes it.
func (c *Cgroup) Create() error {
	if c.saved.Systemd {
		return c.checkTarget()
	}
	if err := c.create(); err != nil {
		return errors.Join(err, c.Undo())
	}
	return nil
}

func (c *Cgroup) create() error {
	existed, err := c.makeDirs()
	if err != nil {
		return err
	}
	if existed {
		if err := c.checkTarget(); err != nil {
			return err
		}
	} else if err := c.checkThawed(); err != nil {
		return err
	}
	return c.chownDelegated()
}

// makeDirs reports whether any of the container's own directories was there before.
func (c *Cgroup) makeDirs() (existed bool, err error) {
	if c.saved.Layout == V2 {
		return c.makeV2()
	}
	for _, controller := range distinct(c.saved.Paths) {
		made, err := c.makeV1(controller)
		existed = existed || (!made && err == nil)
		if err == nil {
			continue
		}
		if !c.mayLack(controller, err) {
			return existed, explain("create cgroup", err)
		}
		delete(c.saved.Paths, controller)
	}
	return existed, nil
}

// mayLack reports whether a container can do without a directory that could not be made. A rootless
// one without a path of its own can (if it asks for limits in it, Set says so).
func (c *Cgroup) mayLack(controller string, err error) bool {
	if optional(controller) {
		return true
	}
	return c.saved.Rootless && c.saved.Path == "" && isPermission(err)
}

func (c *Cgroup) makeV1(controller string) (made bool, err error) {
	dir := c.saved.Paths[controller]
	if controller == "cpuset" {
		return c.makeCpuset(dir)
	}
	return c.mkdirAll(dir)
}

// mkdirAll makes dir and its parents and remembers each that was not there. made says whether dir
// itself was not.
//
// Another runtime that fails may take away a parent that it had made between our finding it there
// and making the child, hence the loop.
func (c *Cgroup) mkdirAll(dir string) (made bool, err error) {
	for range 8 {
		err = os.Mkdir(dir, 0o755)
		switch {
		case err == nil:
			c.created = append(c.created, dir)
			return true, nil
		case errors.Is(err, unix.EEXIST):
			return false, nil
		case !errors.Is(err, unix.ENOENT) || filepath.Dir(dir) == dir:
			return false, err
		}
		if _, perr := c.mkdirAll(filepath.Dir(dir)); perr != nil {
			return false, perr
		}
	}
	return false, err
}

// makeCpuset makes a v1 cpuset directory and its parents, each with the CPUs and memory nodes of the
// one above it: the kernel starts them empty, and refuses a process with ENOSPC while they are. The
// container's own CPUs, where asked for, are written instead of the parent's and not after them, as
// with cpuset.cpu_exclusive the parent's could not be written at all.
func (c *Cgroup) makeCpuset(dir string) (made bool, err error) {
	parent := filepath.Dir(dir)
	if isFS(filepath.Dir(parent), unix.CGROUP_SUPER_MAGIC) {
		if _, err := c.makeInheriting(parent); err != nil {
			return false, err
		}
	}
	if made, err = c.mkdirAll(dir); err != nil {
		return made, err
	}
	cpus, mems := "", ""
	if r := c.saved.Resources; r != nil && r.CPU != nil {
		cpus, mems = r.CPU.Cpus, r.CPU.Mems
	}
	return made, errors.Join(fillCpuset(dir, "cpuset.cpus", cpus), fillCpuset(dir, "cpuset.mems", mems))
}

// makeInheriting makes the directories between the hierarchy's root and the container's.
func (c *Cgroup) makeInheriting(dir string) (made bool, err error) {
	parent := filepath.Dir(dir)
	var st unix.Statfs_t
	switch err := unix.Statfs(parent, &st); {
	case err == nil && st.Type != unix.CGROUP_SUPER_MAGIC:
		return false, nil // dir is the root of the hierarchy
	case err != nil && err != unix.ENOENT:
		return false, &os.PathError{Op: "statfs", Path: parent, Err: err}
	}
	if _, err := c.makeInheriting(parent); err != nil {
		return false, err
	}
	if made, err = c.mkdirAll(dir); err != nil {
		return made, err
	}
	return made, errors.Join(fillCpuset(dir, "cpuset.cpus", ""), fillCpuset(dir, "cpuset.mems", ""))
}

// fillCpuset writes want to a cpuset file, or the parent's value if want is empty and the file too.
func fillCpuset(dir, file, want string) error {
	if want == "" {
		have, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil || len(strings.TrimSpace(string(have))) > 0 {
			return err
		}
		parents, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return err
		}
		want = string(parents)
	}
	return cgroups.WriteFile(dir, file, want)
}

// makeV2 makes the directory and switches every controller on for it, which the library does.
func (c *Cgroup) makeV2() (existed bool, err error) {
	dir := c.saved.Paths[""]
	missing, err := missingDirs(dir)
	if err != nil {
		return false, explain("create cgroup", err)
	}
	cfg, err := c.config()
	if err != nil {
		return false, err
	}
	if err := fs2.CreateCgroupPath(dir, cfg); err != nil {
		if c.saved.Rootless && c.saved.Path == "" && isPermission(err) {
			return false, c.doWithout(err)
		}
		return false, explain("create cgroup", err)
	}
	c.created = append(c.created, missing...)
	return len(missing) == 0, nil
}

// doWithout: a rootless container that asks for no limits runs in the cgroup it is started in.
func (c *Cgroup) doWithout(err error) error {
	if needsLimits(c.saved.Resources) {
		e := explain("create cgroup", err)
		e.Detail = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"
		return e
	}
	c.saved.Paths = nil
	return nil
}

// missingDirs lists dir and its parents as far as they do not exist, parents first.
func missingDirs(dir string) ([]string, error) {
	var missing []string
	for ; ; dir = filepath.Dir(dir) {
		err := unix.Access(dir, unix.F_OK)
		if err == nil {
			break
		}
		if err != unix.ENOENT {
			return nil, &os.PathError{Op: "access", Path: dir, Err: err}
		}
		missing = append([]string{dir}, missing...)
	}
	return missing, nil
}

// needsLimits reports whether anything but device rules is asked for.
func needsLimits(r *specs.LinuxResources) bool {
	if r == nil {
		return false
	}
	bare := *r
	bare.Devices = nil
	return len(limitsOf(&bare, V2))+len(limitsOf(&bare, V1)) > 0
}

// checkTarget refuses a cgroup that has processes in it or is frozen. On v1 it looks at the devices
// hierarchy for processes, as runc does: to look at each of them would cost more than it finds.
func (c *Cgroup) checkTarget() error {
	if c.Exists() {
		pids, err := c.Pids(true)
		// The cgroup may be being removed while it is read.
		if err != nil && !isGone(err) {
			return err
		}
		if len(pids) > 0 {
			return &Error{Step: "create cgroup", File: c.mainPath(), Err: ErrNotEmpty,
				Detail: fmt.Sprintf("%d process(es) found: %s", len(pids), describe(pids))}
		}
	}
	return c.checkThawed()
}

// checkThawed refuses a cgroup that is frozen, by itself or by one above it: the container's first
// process would stop inside its join and never answer.
func (c *Cgroup) checkThawed() error {
	frozen, err := c.stuck()
	if err != nil {
		return err
	}
	if frozen {
		return &Error{Step: "create cgroup", File: c.freezerPath(), Err: ErrFrozen}
	}
	return nil
}

// Undo takes away the directories that Create made, and the scope that Attach made, with whatever
// runs in them: for a create that failed further on. Parents that others have come to use stay.
func (c *Cgroup) Undo() error {
	var errs []error
	if c.saved.Systemd {
		return c.Destroy()
	}
	own := make(map[string]bool, len(c.saved.Paths))
	for _, p := range c.saved.Paths {
		own[p] = true
	}
	var leaves []string
	for _, dir := range c.created {
		if own[dir] {
			leaves = append(leaves, dir)
		}
	}
	if len(leaves) > 0 {
		errs = append(errs, c.remove(leaves))
	}
	for i := len(c.created) - 1; i >= 0; i-- {
		if dir := c.created[i]; !own[dir] {
			_ = unix.Rmdir(dir) // EBUSY, ENOTEMPTY: somebody else's by now
		}
	}
	c.created = nil
	return errors.Join(errs...)
}
