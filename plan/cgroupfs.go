package plan

import (
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const cgroupAttrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

// cgroup mounts what an entry of type cgroup means on this host: the unified hierarchy, or a tmpfs
// with all v1 hierarchies in it. Where that is by bind mounts, it was not the configuration that asked
// for them: attributes that a more privileged namespace has locked stay, without an error.
func (b *builder) cgroup(e *mountEntry) error {
	if b.f.CgroupVersion == "v2" {
		b.cgroup2(e)
		return nil
	}
	hierarchies := b.hierarchies()
	if len(hierarchies) == 0 {
		return refuse(e.field, "the host has no cgroup hierarchy mounted")
	}
	b.add(Mount{
		Target: e.target, Type: "tmpfs", Source: "tmpfs",
		Set: cgroupAttrs, Options: []string{"mode=755"}, Propagation: e.opts.propagation,
		Label: b.linux.MountLabel,
	})
	for _, h := range hierarchies {
		b.hierarchy(e, h)
	}
	for _, h := range hierarchies {
		if strings.Contains(h.name, ",") {
			for controller := range strings.SplitSeq(h.name, ",") {
				b.add(Symlink{Path: path.Join(e.target, controller), Target: h.name, Keep: true})
			}
		}
	}
	return nil
}

// hierarchy is one v1 hierarchy: the controllers on one mount point.
type hierarchy struct {
	name        string // its directory's: "cpu,cpuacct"
	mountPoint  string
	controllers []string // sorted; "name=systemd" for a named one
}

// hierarchies groups Facts.CgroupMounts by mount point, sorted by name. The unified hierarchy of a
// hybrid host is not part of it, as with runc.
func (b *builder) hierarchies() []hierarchy {
	var all []hierarchy
	byMount := map[string]int{}
	for controller, mountPoint := range b.f.CgroupMounts {
		if controller == "" {
			continue
		}
		i, ok := byMount[mountPoint]
		if !ok {
			i = len(all)
			byMount[mountPoint] = i
			all = append(all, hierarchy{name: path.Base(mountPoint), mountPoint: mountPoint})
		}
		all[i].controllers = append(all[i].controllers, controller)
	}
	for i := range all {
		slices.Sort(all[i].controllers)
	}
	slices.SortFunc(all, func(x, y hierarchy) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.mountPoint, y.mountPoint)
	})
	return all
}

// directory is what the container sees of h without a cgroup namespace: its own cgroup, else the
// runtime's. The last resort is the whole hierarchy, and then own is false.
func (b *builder) directory(h hierarchy) (dir string, own bool) {
	for _, paths := range []map[string]string{b.f.CgroupPaths, b.f.OwnCgroups} {
		for _, c := range h.controllers {
			if p := paths[c]; p != "" {
				return p, true
			}
		}
	}
	return h.mountPoint, false
}

func (b *builder) hierarchy(e *mountEntry, h hierarchy) {
	target := path.Join(e.target, h.name)
	if !b.own(specs.CgroupNamespace) {
		dir, own := b.directory(h)
		c := e.opts.change()
		if !own {
			// Cgroups of others are not the container's to write to, whatever was asked for.
			c.set |= unix.MOUNT_ATTR_RDONLY
			c.clear &^= unix.MOUNT_ATTR_RDONLY
		}
		b.add(Bind{
			Target: target, Source: dir, Recursive: true,
			Set: c.set, Clear: c.clear, Propagation: e.opts.propagation,
		})
		return
	}
	// The super block is the host's, so that read-only is a matter of the mount alone.
	set := uint64(cgroupAttrs)
	if e.opts.has(unix.MS_RDONLY) {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	m := Mount{Target: target, Type: "cgroup", Source: "cgroup", Set: set, Options: h.controllers}
	if len(h.controllers) == 1 && h.controllers[0] == "name=systemd" {
		m.Source = "systemd"
	}
	if dir, own := b.directory(h); own && b.restricted() && b.mode(specs.CgroupNamespace) == Joined {
		// As for cgroup2: the namespace may be another user namespace's.
		m.Refused, m.Instead = "bind", dir
	}
	b.add(m)
}

// cgroup2 mounts the unified hierarchy. Without a cgroup namespace it is the host's own mount that
// is bound: a new one would take milliseconds on an idle host, and would reset the options of the
// hierarchy that all mounts share (nsdelegate, memory_recursiveprot), as mount options of the initial
// cgroup namespace apply to the whole.
func (b *builder) cgroup2(e *mountEntry) {
	if host := b.f.CgroupMounts[""]; host != "" && !b.own(specs.CgroupNamespace) {
		c := e.opts.change()
		b.add(Bind{
			Target: e.target, Source: host, Set: c.set, Clear: c.clear,
			RecSet: e.opts.recSet, RecClear: e.opts.recClear, Propagation: e.opts.propagation,
		})
		return
	}
	m := Mount{
		Target: e.target, Type: "cgroup2", Source: e.source, Set: attrs(e.opts.flags), Options: e.opts.data,
		Propagation: e.opts.propagation, RecSet: e.opts.recSet, RecClear: e.opts.recClear,
	}
	if own := b.f.CgroupPaths[""]; own != "" {
		// A cgroup namespace that the user namespace does not own: the container's own directory
		// looks the same.
		m.Refused, m.Instead = "bind", own
	}
	b.add(m)
}
