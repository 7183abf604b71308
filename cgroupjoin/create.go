package cgroupjoin

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
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
	c.saved.Made = true
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
	} else if err := c.CheckThawed("create cgroup"); err != nil {
		return err
	}
	return c.chownDelegated()
}

// makeDirs reports whether any of the container's own directories was there before.
func (c *Cgroup) makeDirs() (existed bool, err error) {
	for _, controller := range distinct(c.saved.Paths) {
		made, err := c.make(controller)
		existed = existed || (!made && err == nil)
		if err == nil {
			continue
		}
		if c.saved.Layout == V2 && c.mayLack(controller, err) {
			return false, c.doWithout(err)
		}
		if c.saved.Layout == V2 || !c.mayLack(controller, err) {
			return existed, explain("create cgroup", err)
		}
		// Controllers that are mounted together ("cpu,cpuacct") have one directory.
		dir := c.saved.Paths[controller]
		maps.DeleteFunc(c.saved.Paths, func(_, other string) bool { return other == dir })
	}
	return existed, nil
}

// make makes the directory of one hierarchy, with those above it. Another runtime that fails may take
// a parent away that it had made, between our finding it there and using it; then all is tried again.
func (c *Cgroup) make(controller string) (made bool, err error) {
	for range 16 {
		switch {
		case c.saved.Layout == V2:
			made, err = c.makeV2()
		case controller == "cpuset":
			made, err = c.makeCpuset(c.saved.Paths[controller])
		default:
			made, err = c.mkdirAll(c.saved.Paths[controller])
		}
		if !isGone(err) {
			break
		}
	}
	return made, err
}

// mayLack reports whether a container can do without a directory that could not be made. A rootless
// one without a path of its own can (if it asks for limits in it, Set says so).
func (c *Cgroup) mayLack(controller string, err error) bool {
	if optional(controller) && c.saved.Layout != V2 {
		return true
	}
	return c.saved.Rootless && c.saved.Path == "" && isPermission(err)
}

// mkdirAll makes dir and its parents and remembers each that was not there. made says whether dir
// itself was not.
func (c *Cgroup) mkdirAll(dir string) (made bool, err error) {
	if made, err = c.mkdir(dir); !errors.Is(err, unix.ENOENT) || filepath.Dir(dir) == dir {
		return made, err
	}
	if _, err = c.mkdirAll(filepath.Dir(dir)); err != nil {
		return false, err
	}
	return c.mkdir(dir)
}

func (c *Cgroup) mkdir(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o755)
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err == nil && !slices.Contains(c.created, dir) {
		c.created = append(c.created, dir)
	}
	return err == nil, err
}

// makeCpuset makes a v1 cpuset directory and its parents, each with the CPUs and memory nodes of the
// one above it: the kernel starts them empty, and refuses a process with ENOSPC while they are. The
// container's own CPUs, where asked for, are written instead of the parent's and not after them, as
// with cpuset.cpu_exclusive the parent's could not be written at all.
func (c *Cgroup) makeCpuset(dir string) (made bool, err error) {
	if err := c.makeInheriting(filepath.Dir(dir)); err != nil {
		return false, err
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
func (c *Cgroup) makeInheriting(dir string) error {
	parent := filepath.Dir(dir)
	var st unix.Statfs_t
	switch err := unix.Statfs(parent, &st); {
	case err == nil && st.Type != unix.CGROUP_SUPER_MAGIC:
		return nil // dir is the root of the hierarchy
	case err != nil && err != unix.ENOENT:
		return &os.PathError{Op: "statfs", Path: parent, Err: err}
	}
	if err := c.makeInheriting(parent); err != nil {
		return err
	}
	if _, err := c.mkdirAll(dir); err != nil {
		return err
	}
	return errors.Join(fillCpuset(dir, "cpuset.cpus", ""), fillCpuset(dir, "cpuset.mems", ""))
}

// fillCpuset writes want to a cpuset file, or the parent's value if want is empty and the file too.
func fillCpuset(dir, file, want string) error {
	if want == "" {
		have, err := smallfile.Read(filepath.Join(dir, file))
		if err != nil || len(strings.TrimSpace(string(have))) > 0 {
			return err
		}
		parents, err := smallfile.Read(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return err
		}
		want = string(parents)
	}
	return cgroups.WriteFile(dir, file, want)
}

// makeV2 makes the directory and switches every controller of the hierarchy on for it, as far as the
// cgroups above have it. The library writes to each cgroup.subtree_control on the way, which waits
// for cgroups that are being removed; to read first costs little, and nearly always shows that there
// is nothing to write.
func (c *Cgroup) makeV2() (made bool, err error) {
	dir := c.saved.Paths[""]
	rel, err := filepath.Rel(cgroupRoot, dir)
	if err != nil || strings.HasPrefix(rel, "..") {
		return false, &os.PathError{Op: "mkdir", Path: dir, Err: unix.EINVAL}
	}
	available, err := smallfile.Read(filepath.Join(cgroupRoot, "cgroup.controllers"))
	if err != nil {
		return false, err
	}
	current := cgroupRoot
	for name := range strings.SplitSeq(rel, "/") {
		enableControllers(current, strings.Fields(string(available)))
		current = filepath.Join(current, name)
		if made, err = c.mkdir(current); err != nil {
			return made, err
		}
	}
	return made, c.checkType(dir)
}

// enableControllers does what it can. A rootless user may not, and some controllers refuse where a
// cgroup has processes of its own: the limit that needs one says so when it is set.
func enableControllers(dir string, wanted []string) {
	on, err := smallfile.Read(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return
	}
	have := strings.Fields(string(on))
	var missing []string
	for _, controller := range wanted {
		if !slices.Contains(have, controller) {
			missing = append(missing, "+"+controller)
		}
	}
	const file = "cgroup.subtree_control"
	if len(missing) == 0 || cgroups.WriteFile(dir, file, strings.Join(missing, " ")) == nil {
		return
	}
	for _, controller := range missing {
		_ = cgroups.WriteFile(dir, file, controller)
	}
}

// checkType leaves a cgroup below a threaded one, which cannot be an ordinary one, to the library.
func (c *Cgroup) checkType(dir string) error {
	kind, err := smallfile.Read(filepath.Join(dir, "cgroup.type"))
	if err != nil || strings.TrimSpace(string(kind)) == "domain" {
		return err
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if err := fs2.CreateCgroupPath(dir, cfg); err != nil {
		return &Error{Step: "create cgroup", File: dir, Err: unix.EOPNOTSUPP, Detail: err.Error()}
	}
	return nil
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
	return c.CheckThawed("create cgroup")
}

// CheckThawed refuses a cgroup that is frozen (ErrFrozen), by itself or by one above it: a process would
// stop inside its join and never answer. step is what was to be done there.
func (c *Cgroup) CheckThawed(step string) error {
	frozen, err := c.stuck()
	if err != nil {
		return err
	}
	if frozen {
		return &Error{Step: step, File: c.freezerPath(), Err: ErrFrozen}
	}
	return nil
}

// Undo takes away the directories that Create made, and the scope that Attach made, with whatever
// runs in them: for a create that failed further on. Parents that others have come to use stay.
func (c *Cgroup) Undo() error {
	var errs []error
	if c.saved.Systemd {
		if !c.saved.Made {
			return nil
		}
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
