package plan

import (
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountEntry is one entry of mounts, understood.
type mountEntry struct {
	field  string // mounts[3]
	target string // clean, inside the container's root
	source string
	fsType string // "bind" for every bind mount
	opts   mountOptions
	spec   *specs.Mount
}

func (b *builder) mounts() ([]mountEntry, error) {
	entries := make([]mountEntry, 0, len(b.spec.Mounts))
	for i := range b.spec.Mounts {
		e, err := b.entry(item("mounts", i), &b.spec.Mounts[i])
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (b *builder) entry(field string, m *specs.Mount) (mountEntry, error) {
	e := mountEntry{field: field, spec: m, source: m.Source, fsType: m.Type, opts: parseOptions(m.Options)}
	if err := noNUL(field, m); err != nil {
		return e, err
	}
	if m.Destination == "" {
		return e, refuse(field+".destination", "missing")
	}
	if m.Destination[0] != '/' {
		b.warn(field+".destination", strconv.Quote(m.Destination)+" is not absolute, taken as relative to /")
	}
	e.target = insideRoot(b.rootfs, m.Destination)
	if e.fsType == "bind" && !e.opts.has(unix.MS_REMOUNT) {
		// The type alone is enough for mount(8), though not for the kernel.
		e.opts.flags |= unix.MS_BIND
	}
	if e.opts.has(unix.MS_BIND) {
		e.fsType = "bind"
		if !path.IsAbs(e.source) {
			e.source = path.Join(b.dir, e.source)
		}
	}
	return e, e.check()
}

func noNUL(field string, m *specs.Mount) error {
	switch {
	case hasNUL(m.Destination):
		return refuse(field+".destination", "contains a NUL byte")
	case hasNUL(m.Source):
		return refuse(field+".source", "contains a NUL byte")
	case hasNUL(m.Type):
		return refuse(field+".type", "contains a NUL byte")
	}
	for i, o := range m.Options {
		if hasNUL(o) {
			return refuse(item(field+".options", i), "contains a NUL byte")
		}
	}
	return nil
}

// insideRoot makes a destination absolute and clean. Like runc it takes a destination that starts
// with the root file system's own path as one inside of it.
func insideRoot(rootfs, destination string) string {
	p := path.Clean("/" + destination)
	root := path.Clean("/" + rootfs)
	if root == "/" {
		return p
	}
	if p == root {
		return "/"
	}
	if rest, ok := strings.CutPrefix(p, root+"/"); ok {
		return "/" + rest
	}
	return p
}

// OverProc tells whether a mount may cover a file of procfs, as in runc: what lxcfs emulates, and two
// switches. Everything else below /proc is refused, since a false file there can take a container's
// protection away (CVE-2019-16884, CVE-2023-27561).
func OverProc(path string) bool { return slices.Contains(overProc, path) }

var overProc = []string{
	"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/slabinfo",
	"/proc/stat", "/proc/swaps", "/proc/sys/crypto/fips_enabled", "/proc/sys/kernel/ns_last_pid",
	"/proc/uptime",
}

func (e *mountEntry) check() error {
	o := &e.opts
	switch {
	case e.target == "/":
		return refuse(e.field+".destination", "the container's root itself")
	case e.target == "/proc" && e.fsType != "proc" && e.fsType != "bind" && !o.has(unix.MS_REMOUNT):
		return refuse(e.field+".destination", "/proc takes a procfs alone")
	case strings.HasPrefix(e.target, "/proc/") && !o.has(unix.MS_REMOUNT) && !OverProc(e.target):
		return refuse(e.field+".destination", "inside /proc")
	case (e.fsType == "" || e.fsType == "none") && !o.has(unix.MS_REMOUNT):
		return refuse(e.field+".type", "missing, and no option makes it a bind mount")
	case o.has(unix.MS_BIND) && len(o.data) > 0:
		return refuse(e.field+".options", "a bind mount takes no option of the file system: "+strconv.Quote(o.data[0]))
	case e.mapped() && !o.has(unix.MS_BIND):
		return refuse(e.field+".options", "only bind mounts can be ID-mapped")
	}
	return nil
}

func (e *mountEntry) mapped() bool {
	return e.opts.idmap || e.spec.UIDMappings != nil || e.spec.GIDMappings != nil
}

// late tells whether a read-only mount becomes so only at the end: things are still made in /dev and
// in a tmpfs.
func (e *mountEntry) late() bool { return e.fsType == "tmpfs" || e.target == "/dev" }

// mountSteps adds the steps of one entry of mounts.
func (b *builder) mountSteps(e *mountEntry) error {
	switch {
	case e.opts.has(unix.MS_REMOUNT):
		b.remount(e)
		return nil
	case e.opts.has(unix.MS_BIND):
		return b.bind(e)
	case e.fsType == "cgroup":
		return b.cgroup(e)
	case e.fsType == "cgroup2" && b.f.CgroupVersion == "v2":
		b.cgroup2(e)
		return nil
	}
	b.mount(e)
	return nil
}

func (b *builder) mount(e *mountEntry) {
	flags := e.opts.flags
	if e.late() {
		flags &^= unix.MS_RDONLY
	}
	m := Mount{
		Target: e.target, Type: e.fsType, Source: e.source,
		SBFlags: flags & superFlags, Set: attrs(flags), Options: e.opts.data,
		Propagation: e.opts.propagation, RecSet: e.opts.recSet, RecClear: e.opts.recClear,
	}
	switch e.fsType {
	case "proc":
		// The host's /proc shows the container's processes only where they share a PID namespace.
		if b.restricted() && !b.own(specs.PIDNamespace) {
			m.Refused, m.Instead = "bind", "/proc"
		}
	case "sysfs":
		if b.restricted() {
			m.Refused, m.Instead = "bind", "/sys"
		}
	case "mqueue":
		m.Label = b.linux.MountLabel
		// The host's shows the container's queues only where they share an IPC namespace.
		if b.restricted() && !b.own(specs.IPCNamespace) {
			m.Refused, m.Instead = "bind", "/dev/mqueue"
		}
	case "tmpfs":
		m.CopyUp = e.opts.copyUp
		m.Label = b.linux.MountLabel
	default:
		m.Label = b.linux.MountLabel
	}
	if e.opts.copyUp && e.fsType != "tmpfs" {
		b.warn(e.field+".options", "tmpcopyup is for tmpfs, ignored")
	}
	b.add(m)
}

func (b *builder) remount(e *mountEntry) {
	if e.opts.has(unix.MS_BIND) {
		c := e.opts.change()
		b.add(Remount{Target: e.target, Bind: true, Set: c.set, Clear: c.clear})
		return
	}
	flags := e.opts.flags
	if e.late() {
		flags &^= unix.MS_RDONLY
	}
	r := Remount{Target: e.target, SBFlags: flags & superFlags, Options: e.opts.data, Set: attrs(flags)}
	r.Clear = plainAttrs &^ r.Set
	if flags&atimeFlags != 0 {
		r.Clear |= atimeAttrs &^ (r.Set & unix.MOUNT_ATTR_NODIRATIME)
	}
	b.add(r)
}

func (b *builder) bind(e *mountEntry) error {
	fact := b.f.Sources[e.source]
	if fact.Missing {
		return refuse(e.field+".source", e.source+": ENOENT (2)")
	}
	c := e.opts.change()
	s := Bind{
		Target: e.target, Source: e.source, Recursive: e.opts.has(unix.MS_REC),
		Set: c.set, Clear: c.clear, Must: c.must,
		RecSet: e.opts.recSet, RecClear: e.opts.recClear,
		Propagation: e.opts.propagation, Label: b.linux.MountLabel,
	}
	var err error
	if s.FD, err = b.bindSource(e, fact.Unreachable); err != nil {
		return err
	}
	b.add(s)
	return nil
}

// bindSource lets the runtime open what the container's root cannot, and what is to be ID-mapped: the
// latter needs privileges over the file system's owner.
func (b *builder) bindSource(e *mountEntry, unreachable bool) (*int, error) {
	mapping, err := b.idMap(e)
	if err != nil {
		return nil, err
	}
	if mapping == nil && !(unreachable && b.own(specs.UserNamespace) && !b.f.Rootless) {
		return nil, nil
	}
	return b.source(Source{
		Kind: SourceTree, Path: e.source, Recursive: e.opts.has(unix.MS_REC),
		Propagation: b.clonePropagation(), IDMap: mapping, Field: e.field + ".source",
	}), nil
}

// clonePropagation is what a clone of the host's mounts gets: the same as all others of the
// container's namespace by the step propagation. Shared stays shared.
func (b *builder) clonePropagation() uint64 {
	flags, _ := PropagationFlags(b.linux.RootfsPropagation)
	switch {
	case flags == 0:
		return unix.MS_SLAVE | unix.MS_REC
	case flags&unix.MS_UNBINDABLE != 0:
		return unix.MS_PRIVATE | unix.MS_REC // see root
	}
	if flags&unix.MS_SHARED != 0 {
		return 0
	}
	return flags | unix.MS_REC
}

func (b *builder) idMap(e *mountEntry) (*IDMap, error) {
	if !e.mapped() {
		return nil, nil
	}
	if b.f.Rootless {
		return nil, refuse(e.field+".options", "ID-mapped mounts need root")
	}
	m := &IDMap{UIDMappings: e.spec.UIDMappings, GIDMappings: e.spec.GIDMappings, Recursive: e.opts.idmapRec}
	if m.UIDMappings == nil && m.GIDMappings == nil {
		switch ns := b.ns[specs.UserNamespace]; ns.Mode {
		case Joined:
			m.UserNS = ns.Path
			return m, nil
		case New:
			m.UIDMappings, m.GIDMappings = b.linux.UIDMappings, b.linux.GIDMappings
		case Host:
		}
	}
	if len(m.UIDMappings) == 0 {
		return nil, refuse(e.field+".uidMappings", "missing for an ID-mapped mount")
	}
	if len(m.GIDMappings) == 0 {
		return nil, refuse(e.field+".gidMappings", "missing for an ID-mapped mount")
	}
	return m, nil
}

// readonlySteps makes the mounts read-only that had to stay writable until everything in them was
// made. A bind mount is read-only already.
func (b *builder) readonlySteps(entries []mountEntry) {
	for i := range entries {
		e := &entries[i]
		lateCgroup := e.fsType == "cgroup" && b.f.CgroupVersion != "v2"
		if !e.opts.has(unix.MS_RDONLY) || e.opts.has(unix.MS_BIND) || !e.late() && !lateCgroup {
			continue
		}
		b.add(MountAttr{Target: e.target, Set: unix.MOUNT_ATTR_RDONLY})
	}
}
