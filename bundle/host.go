package bundle

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/plan"
)

// A Host is what validation must know about the machine. Whoever calls ValidateOn has looked.
type Host struct {
	Rootless bool // the runtime's effective user is not root
	SELinux  bool // enabled
	CgroupV2 bool // the unified hierarchy alone
	// SameNetNS tells whether path is the runtime's own network namespace. It is asked only about
	// a namespace to join, and only where a sysctl of net depends on the answer.
	SameNetNS func(path string) (bool, error)
	// UserNSMaps reads the mappings of a user namespace. It is asked only about one to join.
	UserNSMaps func(path string) (uids, gids []specs.LinuxIDMapping, err error)
}

// ValidateOn checks what Validate has accepted against the machine. The error is a *FieldError of
// config.json.
func ValidateOn(spec *specs.Spec, h Host) error {
	c := newChecker(spec)
	for _, check := range []func(Host) error{
		c.rootless, c.selinux, c.cgroupVersion, c.netSysctl, c.joinedUserNS,
	} {
		if err := check(h); err != nil {
			return inFile(ConfigFile, err)
		}
	}
	return nil
}

// rootless refuses what a user without privilege cannot give to a container.
func (c *checker) rootless(h Host) error {
	if !h.Rootless {
		return nil
	}
	if !c.has(specs.UserNamespace) {
		return refuse("linux.namespaces", "a rootless container needs a user namespace")
	}
	if len(c.linux.NetDevices) > 0 {
		return refuse("linux.netDevices", "not possible in a rootless container")
	}
	for i := range c.spec.Mounts {
		if err := c.rootlessMount(place{"mounts", i}, &c.spec.Mounts[i]); err != nil {
			return err
		}
	}
	return nil
}

// rootlessMount refuses id mappings, and owners that the user namespace does not map. Where the
// namespace is joined its mappings are not known here.
func (c *checker) rootlessMount(at place, m *specs.Mount) error {
	if plan.ReadMount(m.Type, m.Options).IDMap || len(m.UIDMappings)+len(m.GIDMappings) > 0 {
		return refuse(at.field("options"), "id-mapped mounts are not possible in a rootless container")
	}
	if !c.makes(specs.UserNamespace) {
		return nil
	}
	for i, o := range m.Options {
		maps := c.linux.UIDMappings
		id, ok := strings.CutPrefix(o, "uid=")
		if !ok {
			maps = c.linux.GIDMappings
			if id, ok = strings.CutPrefix(o, "gid="); !ok {
				continue
			}
		}
		n, err := strconv.ParseUint(id, 10, 32)
		if err == nil && !mapped(maps, uint32(n)) {
			return refuse(item(at.field("options"), i), "%q: the user namespace does not map that id", o)
		}
	}
	return nil
}

func (c *checker) selinux(h Host) error {
	if c.spec.Process == nil || h.SELinux || c.spec.Process.SelinuxLabel == "" {
		return nil
	}
	return refuse("process.selinuxLabel", "selinux label is specified in config, but selinux is disabled or not supported")
}

func (c *checker) cgroupVersion(h Host) error {
	r := c.linux.Resources
	if r == nil {
		return nil
	}
	if !h.CgroupV2 {
		if len(r.Unified) > 0 {
			return refuse("linux.resources.unified", "only possible where cgroup v2 is the one hierarchy")
		}
		return nil
	}
	// v2 limits swap alone, which can be calculated from memory and swap together only where the
	// limit of memory is known.
	if m := r.Memory; m != nil && m.Swap != nil && *m.Swap > 0 && (m.Limit == nil || *m.Limit == 0) {
		return refuse("linux.resources.memory.swap", "needs a memory limit on cgroup v2")
	}
	return nil
}

// netSysctl refuses parameters of net where the network namespace to join is the runtime's own.
func (c *checker) netSysctl(h Host) error {
	path := c.joined[specs.NetworkNamespace]
	if path == "" || h.SameNetNS == nil {
		return nil
	}
	for _, key := range sortedKeys(c.linux.Sysctl) {
		at := entry("linux.sysctl", key)
		name, err := dottedSysctl(at, key)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(name, "net.") {
			continue
		}
		same, err := h.SameNetNS(path)
		if err != nil {
			return c.unreadable(specs.NetworkNamespace, err)
		}
		if same {
			return refuse(at, "not allowed in host network namespace (%s)", path)
		}
		return nil
	}
	return nil
}

// unreadable is a failure to look at a namespace to join.
func (c *checker) unreadable(t specs.LinuxNamespaceType, err error) error {
	i := slices.IndexFunc(c.linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == t })
	return &FieldError{
		Path:   place{"linux.namespaces", i}.field("path"),
		Reason: c.joined[t] + ": " + errnoText(err),
		Err:    err,
	}
}

// joinedUserNS checks a configuration against the mappings of the user namespace to join: they must
// be those that the configuration gives, if it gives any (containerd and CRI-O do), and have a place
// for root and for the process.
func (c *checker) joinedUserNS(h Host) error {
	path := c.joined[specs.UserNamespace]
	if path == "" || h.UserNSMaps == nil {
		return nil
	}
	uids, gids, err := h.UserNSMaps(path)
	if err != nil {
		return c.unreadable(specs.UserNamespace, err)
	}
	if len(c.linux.UIDMappings)+len(c.linux.GIDMappings) > 0 {
		if !sameMappings(c.linux.UIDMappings, uids) {
			return refuse("linux.uidMappings", "are not those of the user namespace to join, %s", path)
		}
		if !sameMappings(c.linux.GIDMappings, gids) {
			return refuse("linux.gidMappings", "are not those of the user namespace to join, %s", path)
		}
	}
	in := "the user namespace to join, " + path
	if !mapped(uids, 0) || !mapped(gids, 0) {
		return refuse("linux.namespaces", "%s, does not map user and group 0", in)
	}
	return c.processMapped(uids, gids, in, in)
}

// sameMappings compares two maps of ids; their order means nothing.
func sameMappings(a, b []specs.LinuxIDMapping) bool {
	sorted := func(maps []specs.LinuxIDMapping) []specs.LinuxIDMapping {
		return slices.SortedFunc(slices.Values(maps), func(x, y specs.LinuxIDMapping) int {
			return cmp.Compare(x.ContainerID, y.ContainerID)
		})
	}
	return slices.Equal(sorted(a), sorted(b))
}
