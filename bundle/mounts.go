package bundle

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/plan"
)

func (c *checker) mounts() error {
	for i := range c.spec.Mounts {
		if err := c.mount(place{"mounts", i}, &c.spec.Mounts[i]); err != nil {
			return err
		}
	}
	if len(c.spec.Mounts) > 0 && !c.has(specs.MountNamespace) {
		c.warn("mounts", "made in the mount namespace of the runtime, since linux.namespaces has no mount namespace: they outlive the container")
	}
	return nil
}

func (c *checker) mount(at place, m *specs.Mount) error {
	if err := mountStrings(at, m); err != nil {
		return err
	}
	if m.Destination == "" {
		return refuse(at.field("destination"), "missing")
	}
	o := plan.ReadMount(m.Type, m.Options)
	if err := mountKind(at, m, o); err != nil {
		return err
	}
	if err := mountPlace(at, m, o); err != nil {
		return err
	}
	if o.Bind && o.Data != "" {
		// The kernel would ignore it in silence: a bind mount has no file system of its own.
		return refuse(at.field("options"), "%q: a bind mount takes no options of the file system", o.Data)
	}
	return c.mountMappings(at, m, o)
}

func mountStrings(at place, m *specs.Mount) error {
	for _, f := range [...]struct{ name, value string }{
		{"destination", m.Destination}, {"source", m.Source}, {"type", m.Type},
	} {
		if hasNUL(f.value) {
			return noNUL(at.field(f.name), f.value)
		}
	}
	for i, o := range m.Options {
		if hasNUL(o) {
			return noNUL(item(at.field("options"), i), o)
		}
	}
	return nil
}

// mountKind refuses a mount of which nobody can say what it is.
func mountKind(at place, m *specs.Mount, o plan.MountRequest) error {
	switch {
	case o.Remount:
		return nil
	case o.Bind:
		if m.Source == "" {
			return refuse(at.field("source"), "missing: a bind mount needs a source")
		}
	case m.Type == "", m.Type == "none":
		return refuse(at.field("type"), "missing: only a bind mount (option bind or rbind) has none")
	}
	return nil
}

// mountPlace refuses destinations that runc refuses. The path is taken as it is written: symbolic
// links of the root file system are the stage's affair.
func mountPlace(at place, m *specs.Mount, o plan.MountRequest) error {
	place := path.Clean("/" + m.Destination)
	if place == "/" {
		return refuse(at.field("destination"), "%q: a mount on the container's root itself", m.Destination)
	}
	if o.Remount {
		return nil
	}
	if place == "/proc" && !o.Bind && m.Type != "proc" {
		return refuse(at.field("destination"), "%q: only a procfs may be mounted there", m.Destination)
	}
	if strings.HasPrefix(place, "/proc/") && !plan.OverProc(place) {
		return refuse(at.field("destination"), "%q: must not be inside /proc", m.Destination)
	}
	return nil
}

// mountMappings checks an id-mapped mount: by the options idmap and ridmap, by mappings of its own,
// or both.
func (c *checker) mountMappings(at place, m *specs.Mount, o plan.MountRequest) error {
	own := len(m.UIDMappings)+len(m.GIDMappings) > 0
	if !o.IDMap && !own {
		return nil
	}
	if !o.Bind {
		return refuse(at.field("options"), "id mapping is only possible with a bind mount")
	}
	if !own {
		if !c.has(specs.UserNamespace) {
			return refuse(at.field("uidMappings"), "missing: there is no user namespace whose mappings could be used")
		}
		return nil
	}
	if len(m.UIDMappings) == 0 {
		return refuse(at.field("uidMappings"), "missing: needed together with gidMappings")
	}
	if len(m.GIDMappings) == 0 {
		return refuse(at.field("gidMappings"), "missing: needed together with uidMappings")
	}
	if err := mappings(at.field("uidMappings"), m.UIDMappings); err != nil {
		return err
	}
	return mappings(at.field("gidMappings"), m.GIDMappings)
}

// ownRoot refuses what would change the host's own mounts where there is no mount namespace.
func (c *checker) ownRoot() error {
	if p := c.linux.RootfsPropagation; p != "" {
		if _, ok := plan.PropagationFlags(p); !ok {
			return refuse("linux.rootfsPropagation", "unknown propagation %q", p)
		}
		if !c.has(specs.MountNamespace) {
			return refuse("linux.rootfsPropagation", "given without a mount namespace in linux.namespaces")
		}
	}
	if c.spec.Root.Readonly && !c.has(specs.MountNamespace) {
		return refuse("root.readonly", "given without a mount namespace in linux.namespaces")
	}
	return nil
}

// paths checks what linux says about places in the container and about the root's propagation.
func (c *checker) paths() error {
	if err := c.ownRoot(); err != nil {
		return err
	}
	for _, list := range []struct {
		path  string
		paths []string
	}{
		{"linux.maskedPaths", c.linux.MaskedPaths},
		{"linux.readonlyPaths", c.linux.ReadonlyPaths},
	} {
		if len(list.paths) > 0 && !c.has(specs.MountNamespace) {
			return refuse(list.path, "given without a mount namespace in linux.namespaces")
		}
		for i, p := range list.paths {
			if p == "" || p[0] != '/' || hasNUL(p) {
				return absolute(item(list.path, i), p)
			}
		}
	}
	if err := oneLine("linux.cgroupsPath", c.linux.CgroupsPath); err != nil {
		return err
	}
	return oneLine("linux.mountLabel", c.linux.MountLabel)
}
