package bundle

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxMappings is the number of lines that uid_map and gid_map take (user_namespaces(7)).
const maxMappings = 340

// maxNodeName is the kernel's limit for host and domain names (uname(2)).
const maxNodeName = 64

func (c *checker) namespaces() error {
	seen := make(map[specs.LinuxNamespaceType]int, len(c.linux.Namespaces))
	for i, ns := range c.linux.Namespaces {
		at := place{"linux.namespaces", i}
		if !slices.Contains(namespaceTypes, ns.Type) {
			return refuse(at.field("type"), "unknown namespace %q", ns.Type)
		}
		if first, ok := seen[ns.Type]; ok {
			return refuse(at.field("type"), "%q is in linux.namespaces[%d] already", ns.Type, first)
		}
		seen[ns.Type] = i
		if ns.Path == "" {
			continue
		}
		if err := absolute(at.field("path"), ns.Path); err != nil {
			return err
		}
	}
	return nil
}

// idMappings checks the mappings of the container's user namespace.
func (c *checker) idMappings() error {
	uids, gids := c.linux.UIDMappings, c.linux.GIDMappings
	if err := mappings("linux.uidMappings", uids); err != nil {
		return err
	}
	if err := mappings("linux.gidMappings", gids); err != nil {
		return err
	}
	switch {
	case !c.has(specs.UserNamespace):
		c.unusedMappings(uids, gids)
	case c.makes(specs.UserNamespace):
		return rootMapped(uids, gids)
	case len(uids)+len(gids) > 0:
		// containerd and CRI-O write both; the mappings must then be those of the namespace, which
		// is known when it is opened.
		c.warn("linux.uidMappings", "given together with a user namespace to join: they must be those of the namespace")
	}
	return nil
}

// unusedMappings warns about mappings that nothing has a use for. runc has a refusal for them that
// no configuration can reach: it reads the mappings where there is a user namespace, and there only.
func (c *checker) unusedMappings(uids, gids []specs.LinuxIDMapping) {
	const text = "ignored: there is no user namespace in linux.namespaces"
	if len(uids) > 0 {
		c.warn("linux.uidMappings", text)
	}
	if len(gids) > 0 {
		c.warn("linux.gidMappings", text)
	}
}

// rootMapped demands what the container's set-up needs: root of the new namespace does it.
func rootMapped(uids, gids []specs.LinuxIDMapping) error {
	if len(uids) == 0 {
		return refuse("linux.uidMappings", "missing: a new user namespace needs mappings")
	}
	if len(gids) == 0 {
		return refuse("linux.gidMappings", "missing: a new user namespace needs mappings")
	}
	if !mapped(uids, 0) {
		return refuse("linux.uidMappings", "do not map user 0 of the container")
	}
	if !mapped(gids, 0) {
		return refuse("linux.gidMappings", "do not map group 0 of the container")
	}
	return nil
}

// mappings applies the kernel's rules for uid_map and gid_map (user_namespaces(7)).
func mappings(path string, maps []specs.LinuxIDMapping) error {
	if len(maps) > maxMappings {
		return refuse(path, "%d mappings: the kernel takes at most %d", len(maps), maxMappings)
	}
	for i, m := range maps {
		at := place{path, i}
		if m.Size == 0 {
			return refuse(at.field("size"), "must be greater than 0")
		}
		if end := uint64(m.ContainerID) + uint64(m.Size); end > noID {
			return refuse(at.field("size"), "%d: the ids in the container go beyond %d", m.Size, uint32(noID-1))
		}
		if end := uint64(m.HostID) + uint64(m.Size); end > noID {
			return refuse(at.field("size"), "%d: the ids on the host go beyond %d", m.Size, uint32(noID-1))
		}
		for j, o := range maps[:i] {
			if overlap(m.ContainerID, m.Size, o.ContainerID, o.Size) {
				return refuse(at.field("containerID"), "overlaps with %s", item(path, j))
			}
			if overlap(m.HostID, m.Size, o.HostID, o.Size) {
				return refuse(at.field("hostID"), "overlaps with %s", item(path, j))
			}
		}
	}
	return nil
}

func overlap(a, aSize, b, bSize uint32) bool {
	return uint64(a) < uint64(b)+uint64(bSize) && uint64(b) < uint64(a)+uint64(aSize)
}

// mapped tells whether id of the container is in maps.
func mapped(maps []specs.LinuxIDMapping, id uint32) bool {
	for _, m := range maps {
		if id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size) {
			return true
		}
	}
	return false
}

func (c *checker) uts() error {
	for _, f := range []struct{ path, name string }{
		{"hostname", c.spec.Hostname},
		{"domainname", c.spec.Domainname},
	} {
		if f.name == "" {
			continue
		}
		if !c.has(specs.UTSNamespace) {
			return refuse(f.path, "cannot be set without a uts namespace in linux.namespaces")
		}
		if len(f.name) > maxNodeName {
			return refuse(f.path, "%d bytes: the kernel takes at most %d", len(f.name), maxNodeName)
		}
		if err := noNUL(f.path, f.name); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) timeOffsets() error {
	if len(c.linux.TimeOffsets) == 0 {
		return nil
	}
	if !c.has(specs.TimeNamespace) {
		return refuse("linux.timeOffsets", "given without a time namespace in linux.namespaces")
	}
	if !c.makes(specs.TimeNamespace) {
		return refuse("linux.timeOffsets", "given together with a time namespace to join, which has its offsets already")
	}
	for _, clock := range sortedKeys(c.linux.TimeOffsets) {
		path := entry("linux.timeOffsets", clock)
		// time_namespaces(7): only these two clocks can be shifted.
		if clock != "monotonic" && clock != "boottime" {
			return refuse(path, "unknown clock: must be monotonic or boottime")
		}
		if n := c.linux.TimeOffsets[clock].Nanosecs; n >= 1e9 {
			return refuse(path+".nanosecs", "%d: must be smaller than a second", n)
		}
	}
	return nil
}

// sortedKeys makes messages the same every time.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
