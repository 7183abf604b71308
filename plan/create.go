package plan

import (
	"path"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Create plans the creation of a container. dir is the bundle's absolute directory, to which
// relative sources of bind mounts refer; rootfs is the root file system's absolute path. An error is
// an *Error. The plan shares memory with spec, which must not change before the plan is done with.
func Create(spec *specs.Spec, dir, rootfs string, f Facts, o Options) (*Plan, error) {
	if spec != nil && spec.Annotations["org.runack.init"] == "true" {
		o.Init = true
	}
	o.Reap = false
	var proc *specs.Process
	if spec != nil {
		proc = spec.Process
	}
	b, err := newBuilder(spec, proc, "process", f, o)
	if err != nil {
		return nil, err
	}
	b.dir, b.rootfs = dir, rootfs
	if err := b.create(); err != nil {
		return nil, err
	}
	return b.plan, nil
}

func (b *builder) create() error {
	if !path.IsAbs(b.rootfs) {
		return refuse("root.path", "not an absolute path: "+strconv.Quote(b.rootfs))
	}
	entries, err := b.mounts()
	if err != nil {
		return err
	}
	p, err := b.readProgram(b.proc.Capabilities, labels{b.proc.ApparmorProfile, b.proc.SelinuxLabel})
	if err != nil {
		return err
	}
	if err := b.checkCreate(); err != nil {
		return err
	}
	if err := b.runtimePart(entries); err != nil {
		return err
	}
	p.env.activate(b.o.ListenFDs, b.o.ListenFDNames)
	listener := b.source(Source{Kind: SourceListener})

	b.keyring(p.labels.seLinux, b.keyringPerm())
	b.add(Affinity{CPUs: []int{}})
	if b.mode(specs.NetworkNamespace) == New {
		b.add(Loopback{})
	}
	if err := b.rootfsSteps(entries, &p); err != nil {
		return err
	}
	b.console(true)
	if err := b.finish(entries); err != nil {
		return err
	}
	if err := b.attributes(b.proc.Scheduler, b.proc.IOPriority); err != nil {
		return err
	}
	// Before created, so that a profile that does not exist fails the create; startContainer hooks
	// inherit it.
	b.execLabels(p.labels)
	p.labels = labels{}
	b.place(&p)
	b.lookup(&p)
	b.add(SyncCreated{FD: *listener})
	b.hooks("startContainer", p.env.vars)
	// Root may have found what the user cannot execute; PATH is the user's to search.
	b.last(&p, b.proc.User.UID != 0 && searched(p.args[0]))
	return nil
}

// checkCreate refuses what would otherwise be ignored or fail without naming its field.
func (b *builder) checkCreate() error {
	switch {
	case NeedsSeccomp(b.spec) && b.o.Seccomp == nil:
		return refuse("linux.seccomp", "not compiled")
	case b.linux.MountLabel != "" && !b.f.SELinux:
		return refuse("linux.mountLabel", "SELinux is not enabled")
	case b.f.Root.Missing:
		return refuse("root.path", b.rootfs+": ENOENT (2)")
	}
	if b.own(specs.MountNamespace) {
		return nil
	}
	// Each of these would change the host's own mounts.
	const reason = "needs a mount namespace in linux.namespaces"
	switch {
	case len(b.linux.MaskedPaths) > 0:
		return refuse("linux.maskedPaths", reason)
	case len(b.linux.ReadonlyPaths) > 0:
		return refuse("linux.readonlyPaths", reason)
	case b.spec.Root != nil && b.spec.Root.Readonly:
		return refuse("root.readonly", reason)
	case b.linux.RootfsPropagation != "":
		return refuse("linux.rootfsPropagation", reason)
	}
	return nil
}

// runtimePart fills in what the runtime does outside.
func (b *builder) runtimePart(entries []mountEntry) error {
	for _, t := range namespaceTypes {
		b.plan.Namespaces = append(b.plan.Namespaces, b.ns[t])
	}
	if b.mode(specs.TimeNamespace) == New {
		b.plan.TimeOffsets = b.linux.TimeOffsets
	}
	if b.mode(specs.UserNamespace) == New {
		b.plan.UIDMappings, b.plan.GIDMappings = b.linux.UIDMappings, b.linux.GIDMappings
	}
	b.plan.NetDevices = b.linux.NetDevices
	b.plan.IntelRdt = b.linux.IntelRdt
	b.plan.CgroupOwner = b.cgroupOwner(entries)
	b.cgroupWarnings()
	return b.outside(b.proc.Rlimits, b.proc.OOMScoreAdj)
}

// cgroupOwner is the host's ID of the container's user where it may have its cgroup: with a cgroup
// namespace of its own and the hierarchy mounted writable (config-linux.md, "Cgroup ownership").
func (b *builder) cgroupOwner(entries []mountEntry) *uint32 {
	if b.mode(specs.CgroupNamespace) != New {
		return nil
	}
	for i := range entries {
		e := &entries[i]
		if e.target == "/sys/fs/cgroup" && e.source == "cgroup" && !e.opts.has(unix.MS_RDONLY) {
			return b.hostUID(b.proc.User.UID)
		}
	}
	return nil
}

// hostUID translates a user ID of the container, nil where it has none on the host.
func (b *builder) hostUID(id uint32) *uint32 {
	maps := b.linux.UIDMappings
	switch b.mode(specs.UserNamespace) {
	case Host:
		return &id
	case Joined:
		maps = b.f.UIDMappings
	case New:
	}
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			host := m.HostID + (id - m.ContainerID)
			return &host
		}
	}
	return nil
}

// keyringPerm lets the possessor's user search the keyring; with a user namespace everybody may,
// since its owner there is another ID (keyrings(7): 0x8 is other-search, 0x080000 user-search).
func (b *builder) keyringPerm() uint32 {
	if b.own(specs.UserNamespace) {
		return 0x8
	}
	return 0x80000
}

// rootfsSteps builds the root file system, lets the hooks see it, and enters it.
func (b *builder) rootfsSteps(entries []mountEntry, p *program) error {
	propagation, err := b.rootPropagation()
	if err != nil {
		return err
	}
	b.root(propagation)
	for i := range entries {
		if err := b.mountSteps(&entries[i]); err != nil {
			return err
		}
	}
	dev := ownDev(entries)
	if dev {
		if err := b.devices(); err != nil {
			return err
		}
	}
	b.add(SyncMounted{})
	b.hooks("createContainer", nil)
	b.pivot(propagation, dev)
	if path.Clean(p.cwd) != "/" {
		// While the root is still writable. An existing directory stays as it is.
		b.add(Mkdir{Path: p.cwd, Mode: 0o755})
	}
	return nil
}

// root cuts the mount namespace off from the host's before anything is attached in it, and the mount
// that the root lies on once more: pivot_root(2) refuses a shared parent, and what is attached there
// would propagate.
func (b *builder) root(propagation uint64) {
	if !b.own(specs.MountNamespace) {
		b.add(Root{Path: b.rootfs, Plain: true})
		return
	}
	flags, parent := propagation, uint64(unix.MS_PRIVATE)
	switch {
	case propagation&unix.MS_UNBINDABLE != 0:
		// Nothing could be bound any more; it comes last.
		flags = unix.MS_PRIVATE | unix.MS_REC
	case flags == 0:
		flags = unix.MS_SLAVE | unix.MS_REC
	}
	if propagation&unix.MS_SLAVE != 0 {
		parent = unix.MS_SLAVE
	}
	step := Root{Path: b.rootfs, Parent: parent}
	if b.f.Root.Unreachable && b.own(specs.UserNamespace) && !b.f.Rootless {
		step.FD = b.source(Source{
			Kind: SourceTree, Path: b.rootfs, Recursive: true,
			Propagation: b.clonePropagation(), Field: "root.path",
		})
	}
	b.add(Propagation{Flags: flags}, step)
}

func (b *builder) pivot(propagation uint64, dev bool) {
	step := Pivot{Method: "pivot", DevNull: dev}
	switch {
	case b.o.NoPivot && b.own(specs.MountNamespace):
		step.Method = "move"
	case !b.own(specs.MountNamespace):
		step.Method = "chroot"
	}
	// Private and slave were applied to everything at the start.
	if propagation&(unix.MS_PRIVATE|unix.MS_SLAVE|unix.MS_UNBINDABLE) == 0 {
		step.Propagation = propagation
	}
	b.add(step)
}

// hooks adds the hooks of one point. env is what a hook without an environment gets.
func (b *builder) hooks(point string, env []string) {
	if b.spec.Hooks == nil {
		return
	}
	list := b.spec.Hooks.CreateContainer
	if point == "startContainer" {
		list = b.spec.Hooks.StartContainer
	}
	for i, h := range list {
		step := Hook{Point: point, Index: i, Path: h.Path, Args: h.Args, Env: h.Env}
		if len(step.Args) == 0 {
			step.Args = []string{h.Path}
		}
		if len(step.Env) == 0 {
			step.Env = env
		}
		if h.Timeout != nil {
			step.Timeout = int64(*h.Timeout) * 1000
		}
		b.add(step)
	}
}

// finish closes the root file system against writing and sets what belongs to the namespaces.
func (b *builder) finish(entries []mountEntry) error {
	if b.own(specs.MountNamespace) {
		b.readonlySteps(entries)
		if b.spec.Root != nil && b.spec.Root.Readonly {
			b.add(RootAttr{Set: unix.MOUNT_ATTR_RDONLY})
		}
	}
	mask := uint32(defaultUmask)
	if b.proc.User.Umask != nil {
		mask = *b.proc.User.Umask
	}
	b.add(Umask{Mask: mask})
	if b.spec.Hostname != "" {
		if !b.own(specs.UTSNamespace) {
			return refuse("hostname", "needs a uts namespace in linux.namespaces")
		}
		b.add(Hostname{Name: b.spec.Hostname})
	}
	if b.spec.Domainname != "" {
		if !b.own(specs.UTSNamespace) {
			return refuse("domainname", "needs a uts namespace in linux.namespaces")
		}
		b.add(Domainname{Name: b.spec.Domainname})
	}
	if err := b.sysctls(); err != nil {
		return err
	}
	b.protect()
	propagation, err := b.rootPropagation()
	if propagation&unix.MS_UNBINDABLE != 0 {
		b.add(Propagation{Flags: propagation})
	}
	return err
}

// protect adds read-only and masked paths. A path masked twice is masked once.
func (b *builder) protect() {
	for _, p := range b.linux.ReadonlyPaths {
		b.add(Readonly{Path: p})
	}
	seen := make(map[string]struct{}, len(b.linux.MaskedPaths))
	for _, p := range b.linux.MaskedPaths {
		clean := path.Clean(p)
		if _, dup := seen[clean]; dup {
			continue
		}
		seen[clean] = struct{}{}
		b.add(Mask{Path: p, Label: b.linux.MountLabel})
	}
}
