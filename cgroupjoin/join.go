package cgroupjoin

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
)

// A Target is where one process is to go: the container's own cgroup, a sub-cgroup of it, or the one
// that the container's init has moved to.
//
// Enter does all that is left to do for a child that exists. The other methods are its parts.
type Target struct {
	cg    *Cgroup
	paths map[string]string
	sub   string // below the container's cgroup; for systemd, which wants it by that name
	init  int    // pid of the container's init, where its present cgroup will do as well; or 0
	// unborn: no child is to be born here on v2; see CountByAdmit.
	unborn bool
}

// Target gives the container's own cgroup.
func (c *Cgroup) Target() *Target { return &Target{cg: c, paths: c.saved.Paths} }

// ExecTarget gives the cgroup for an exec into a container whose init is initPid. sub is runc's
// --cgroup: a sub-cgroup by controller, or one for all under "". Without it the target is the
// container's own cgroup, unless the kernel would refuse that one: where init (kind, docker in
// docker, systemd inside) has moved to a sub-cgroup and switched controllers on for it, v2 allows no
// process beside it and answers EBUSY; or it has left for another cgroup, and its first one is gone.
// Then the target is init's present one.
func (c *Cgroup) ExecTarget(initPid int, sub map[string]string) (*Target, error) {
	if len(sub) > 0 {
		return c.subTarget(sub)
	}
	t := c.Target()
	t.init = initPid
	dir, ok := t.paths[""]
	if !ok || !refusesProcesses(dir) {
		return t, nil
	}
	if it, err := c.InitTarget(initPid); err == nil {
		it.init = initPid
		return it, nil
	}
	return t, nil // and let the kernel say what is wrong with it
}

// InitTarget gives the cgroup that init is in at present, in the v2 hierarchy.
func (c *Cgroup) InitTarget(initPid int) (*Target, error) {
	mount := cgroupRoot
	if c.saved.Layout == Hybrid {
		mount = unifiedRoot
	}
	file := "/proc/" + strconv.Itoa(initPid) + "/cgroup"
	lines, err := readOwn(file)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if len(l.controllers) == 0 && !strings.HasSuffix(l.path, " (deleted)") {
			paths := maps.Clone(c.saved.Paths)
			paths[""] = filepath.Join(mount, l.path)
			return &Target{cg: c, paths: paths}, nil
		}
	}
	return nil, &Error{Step: "join cgroup", File: file, Err: unix.ENOENT, Detail: "init is in no cgroup of the v2 hierarchy"}
}

// refusesProcesses foretells EBUSY and ENOENT. A cgroup that has domain controllers on for its
// children may have no processes of its own; cpu, perf_event and pids are threaded, and do no harm
// (cgroup-v2.rst, "No Internal Process Constraint").
func refusesProcesses(dir string) bool {
	on, err := smallfile.Read(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
	}
	for _, controller := range strings.Fields(string(on)) {
		switch controller {
		case "cpu", "cpuset", "perf_event", "pids":
		default:
			return true
		}
	}
	return false
}

// subTarget reads --cgroup as runc does. A sub-cgroup has to exist.
func (c *Cgroup) subTarget(sub map[string]string) (*Target, error) {
	paths := maps.Clone(c.saved.Paths)
	sub = maps.Clone(sub)
	all, same := sub[""]
	if same {
		for controller := range paths {
			sub[controller] = all
		}
	}
	for controller, s := range sub {
		base, ok := paths[controller]
		if !ok {
			if controller == "" {
				continue
			}
			return nil, &Error{Step: "join cgroup", File: s, Err: unix.EINVAL, Detail: "unknown controller " + controller}
		}
		dir := filepath.Join(base, s)
		if dir != base && !strings.HasPrefix(dir, base+"/") {
			return nil, &Error{Step: "join cgroup", File: s, Err: unix.EINVAL, Detail: "bad sub cgroup path"}
		}
		paths[controller] = dir
	}
	return &Target{cg: c, paths: paths, sub: all}, nil
}

// CountByAdmit leaves it to Admit alone who may have a slot of the pids limit: a child that is born in a
// v2 cgroup takes one without asking, and could take one that Admit has promised.
func (t *Target) CountByAdmit() { t.unborn = true }

// BirthFD opens the v2 directory for CLONE_INTO_CGROUP: on v2, and on a hybrid host for its v2
// hierarchy. It is nil where there is none, or not yet (a scope before Attach), and after CountByAdmit. The
// caller closes it.
func (t *Target) BirthFD() (*os.File, error) {
	dir, ok := t.paths[""]
	if !ok || (t.unborn && t.cg.saved.Layout == V2) {
		return nil, nil
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), dir), nil
	case err == unix.ENOENT && t.cg.saved.Systemd, t.cg.saved.Rootless, t.cg.saved.Layout == Hybrid:
		return nil, nil
	}
	return nil, &Error{Step: "join cgroup", File: dir, Err: err}
}

// GivesBirth says whether BirthFD gives a directory once the cgroup is made.
func (t *Target) GivesBirth() bool {
	_, ok := t.paths[""]
	return ok && !t.cg.saved.Systemd
}

// JoinFDs opens, for writing, the file of each hierarchy that a child who was born in none of them
// has to write "0" to: tasks on v1, cgroup.procs on v2 (and in the v2 hierarchy of a hybrid host). The
// order matters: the freezer is last. The caller closes them.
func (t *Target) JoinFDs() ([]*os.File, error) { return t.joinFDs(false) }

// joinFDs: whoever was born in the v2 hierarchy has only the v1 ones left.
func (t *Target) joinFDs(born bool) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	for _, controller := range distinct(t.paths) {
		if controller == "" && born {
			continue
		}
		file := filepath.Join(t.paths[controller], joinFile(controller))
		fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			if t.mayMiss(controller, err) {
				continue
			}
			return files, &Error{Step: "join cgroup", File: file, Err: err}
		}
		files = append(files, os.NewFile(uintptr(fd), file))
	}
	return files, nil
}

// joinFile: "0" written to a v1 tasks file moves the writing thread and nothing else, so the kernel
// need not hold off forks and exits of the thread group (cgroup_procs_write_start), which is what
// waits for RCU. v2 moves whole processes only.
func joinFile(controller string) string {
	if controller == "" {
		return "cgroup.procs"
	}
	return "tasks"
}

func (t *Target) mayMiss(controller string, err error) bool {
	if t.cg.saved.Rootless && isPermission(err) {
		return true
	}
	return optional(controller) && t.cg.saved.Layout != V2 && isGone(err)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// Attach moves a process from outside. That waits for the lock described at joinFile, so it is the
// way for what has no other: a child that could not be born in its cgroup. Where the kernel refuses
// the container's own cgroup after all (init moved at this very moment), it goes to init's.
func (t *Target) Attach(pid int) error {
	err := t.attach(pid)
	if err == nil || t.init == 0 || t.cg.saved.Layout != V2 || !(errors.Is(err, unix.EBUSY) || isGone(err)) {
		return err
	}
	present, ierr := t.cg.InitTarget(t.init)
	if ierr != nil || present.paths[""] == t.paths[""] {
		return err
	}
	return present.attach(pid)
}

func (t *Target) attach(pid int) error {
	if t.cg.saved.Systemd && t.ofUnit() {
		if mgr, err := t.cg.manager(); err == nil {
			add := func() error { return mgr.AddPid(t.sub, pid) }
			if err := withDeadline("join cgroup", systemdTimeout, add); err == nil {
				return nil
			}
			// A unit that systemd has lost track of can still be joined.
		}
	}
	for _, controller := range distinct(t.paths) {
		if err := writePid(t.paths[controller], pid); err != nil && !t.mayMiss(controller, err) {
			return err
		}
	}
	return nil
}

// ofUnit: systemd moves processes within the container's own unit only.
func (t *Target) ofUnit() bool {
	return t.paths[""] == filepath.Join(t.cg.saved.Paths[""], t.sub)
}

// writePid moves a process. EINVAL can mean that the kernel has not finished making it (TASK_NEW):
// that passes.
func writePid(dir string, pid int) error {
	var err error
	for range 5 {
		err = cgroups.WriteFile(dir, cgroups.CgroupProcesses, strconv.Itoa(pid))
		if !errors.Is(err, unix.EINVAL) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return explain("join cgroup", err)
	}
	return nil
}

// Enter brings a child that exists, and was or was not born in the directory of BirthFD, into the
// target. It does what the runtime has to do, and returns the descriptors that the child has yet to
// write "0" to, which may be none. The caller closes them.
func (t *Target) Enter(pid int, born bool) ([]*os.File, error) {
	if t.cg.saved.Layout == V2 {
		if born || len(t.paths) == 0 {
			return nil, nil
		}
		return nil, t.Attach(pid)
	}
	return t.joinFDs(born)
}

// BirthFD is Target().BirthFD.
func (c *Cgroup) BirthFD() (*os.File, error) { return c.Target().BirthFD() }

// JoinFDs is Target().JoinFDs.
func (c *Cgroup) JoinFDs() ([]*os.File, error) { return c.Target().JoinFDs() }

// Enter is Target().Enter for the container's first process: under systemd it makes the scope around
// it.
func (c *Cgroup) Enter(pid int, born bool) ([]*os.File, error) {
	if c.saved.Systemd {
		return nil, c.Attach(pid)
	}
	return c.Target().Enter(pid, born)
}

// Attach moves the container's first process in from outside. Under systemd this makes the scope: a
// transient unit cannot exist without a process.
func (c *Cgroup) Attach(pid int) error {
	if !c.saved.Systemd {
		return c.Target().Attach(pid)
	}
	mgr, err := c.manager()
	if err != nil {
		return err
	}
	// Even if systemd gives an error, the scope may come to be.
	c.saved.Made = true
	err = withDeadline("start unit "+c.unit(), systemdTimeout, func() error { return mgr.Apply(pid) })
	if err != nil {
		// Unit names are global: one that exists, in whatever slice, is another's and not to be stopped.
		c.saved.Made = !isUnitExists(err)
		return explain("start unit "+c.unit(), err)
	}
	return c.chownDelegated()
}
