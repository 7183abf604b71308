package plan

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A Plan is everything that a create or an exec does: Steps is the stage's part, in order; the rest
// is the runtime's.
type Plan struct {
	// Namespaces has one row for each of the eight types, in a fixed order; nil in an exec, which
	// joins the namespaces of the container's init process.
	Namespaces []Namespace `json:"namespaces,omitempty"`
	// TimeOffsets are for a new time namespace, keyed by clock ("monotonic", "boottime").
	TimeOffsets map[string]specs.LinuxTimeOffset `json:"timeOffsets,omitempty"`
	// UIDMappings and GIDMappings are for a new user namespace; nil where it is joined.
	UIDMappings []specs.LinuxIDMapping `json:"uidMappings,omitempty"`
	GIDMappings []specs.LinuxIDMapping `json:"gidMappings,omitempty"`
	// Rlimits are set on the stage by the runtime (prlimit(2)), since raising a hard limit needs
	// the host's CAP_SYS_RESOURCE: after the last frame with descriptors went to the stage, so that
	// a small RLIMIT_NOFILE harms the container alone.
	Rlimits []Rlimit `json:"rlimits,omitempty"`
	// OOMScoreAdj is written by the runtime; nil leaves the inherited value.
	OOMScoreAdj *int `json:"oomScoreAdj,omitempty"`
	// InitialAffinity are the CPUs to start the stage on (exec); nil leaves them alone. The step
	// affinity sets the final ones.
	InitialAffinity []int `json:"initialAffinity,omitempty"`
	// CgroupOwner is the host's user ID that gets the container's cgroup (v2 delegation): set where
	// a cgroup namespace of its own and a writable cgroup mount are asked for.
	CgroupOwner *uint32 `json:"cgroupOwner,omitempty"`
	// NetDevices are moved by the runtime, keyed by their name on the host.
	NetDevices map[string]specs.LinuxNetDevice `json:"netDevices,omitempty"`
	// IntelRdt is applied by the runtime.
	IntelRdt *specs.LinuxIntelRdt `json:"intelRdt,omitempty"`
	// Sources are the descriptors that go with the plan frame, in this order.
	Sources []Source `json:"sources,omitempty"`
	// Steps are the stage's.
	Steps []Step `json:"-"`
	// Warnings are for the log: what was asked for and is not done, each with its field.
	Warnings []string `json:"warnings,omitempty"`
}

// Mode says what a container does about a namespace.
type Mode string

// The modes.
const (
	Host   Mode = "host"   // stays in the runtime's
	New    Mode = "new"    // gets one of its own
	Joined Mode = "joined" // enters the one at Path
)

// Namespace is one row of Plan.Namespaces.
type Namespace struct {
	Type specs.LinuxNamespaceType `json:"type"`
	Mode Mode                     `json:"mode"`
	Path string                   `json:"path,omitempty"`
}

// Rlimit is a resource limit by the kernel's number (RLIMIT_*).
type Rlimit struct {
	Name string `json:"name"`
	Type int    `json:"type"`
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// SourceKind says what the runtime opens.
type SourceKind string

// The kinds of sources.
const (
	// SourceListener is the listening start socket.
	SourceListener SourceKind = "listener"
	// SourceTree is a detached clone of the mounts at Path, taken in the stage's mount namespace:
	// open_tree(2) with OPEN_TREE_CLONE, and AT_RECURSIVE where Recursive is set; then
	// mount_setattr(2) with Propagation (AT_RECURSIVE) and with the ID mapping.
	SourceTree SourceKind = "tree"
	// SourceDirectory is the directory at Path (O_PATH).
	SourceDirectory SourceKind = "directory"
	// SourceFifo is the fifo at Path (O_PATH).
	SourceFifo SourceKind = "fifo"
)

// A Source is a descriptor that the runtime opens for the stage, and closes after the plan frame
// went out.
type Source struct {
	Kind SourceKind `json:"kind"`
	Path string     `json:"path,omitempty"` // on the host
	// Recursive takes the mounts below Path along.
	Recursive bool `json:"recursive,omitempty"`
	// Propagation (MS_SLAVE and the like, with MS_REC) is what the clone gets. It is taken before
	// the stage has cut its mounts off from the host's, and would be a peer of a shared original: a
	// mount inside the container would reach the host.
	Propagation uint64 `json:"propagation,omitempty"`
	// IDMap makes the clone an ID-mapped mount (MOUNT_ATTR_IDMAP).
	IDMap *IDMap `json:"idMap,omitempty"`
	// Field is the configuration's path of this source, for messages: "mounts[3].source".
	Field string `json:"field,omitempty"`
}

// IDMap is the ID mapping of a mount: a user namespace to join by path, or mappings to make one of.
type IDMap struct {
	UserNS      string                 `json:"userNS,omitempty"`
	UIDMappings []specs.LinuxIDMapping `json:"uidMappings,omitempty"`
	GIDMappings []specs.LinuxIDMapping `json:"gidMappings,omitempty"`
	// Recursive maps the mounts below too (mount_setattr(2) with AT_RECURSIVE).
	Recursive bool `json:"recursive,omitempty"`
}

// Facts are what the plan has to know about the host. The container package gathers them.
type Facts struct {
	// Rootless: the runtime's effective user ID is not 0. The runtime cannot open what the
	// user cannot.
	Rootless bool
	// InUserNS: the runtime runs in a user namespace that is not the initial one. Device nodes are
	// bound from the host, as mknod(2) is refused there.
	InUserNS bool
	// SetgroupsDenied: setgroups(2) will be refused in the container's user namespace ("deny" in
	// the setgroups file).
	SetgroupsDenied bool
	// CgroupVersion is "v1", "hybrid", "v2" or "none".
	CgroupVersion string
	// CgroupMounts are the mount points of the v1 hierarchies by controller ("cpu", "cpuacct",
	// "name=systemd"; co-mounted controllers have the same mount point), and of v2 under "".
	CgroupMounts map[string]string
	// CgroupPaths are the container's own cgroup directories on the host, by the same keys.
	CgroupPaths map[string]string
	// OwnCgroups are the runtime's own cgroup directories, by the same keys: what the container
	// sees of a v1 hierarchy in which it has no cgroup of its own. May be nil.
	OwnCgroups map[string]string
	// AppArmor and SELinux: the LSM is enabled.
	AppArmor, SELinux bool
	// LastCap is the highest capability the kernel knows (/proc/sys/kernel/cap_last_cap); 0 stands
	// for the highest that this package knows.
	LastCap int
	// BoundingCaps is the runtime's own bounding set; 0 stands for all capabilities.
	BoundingCaps uint64
	// Kcore: /proc/kcore exists.
	Kcore bool
	// Root and Sources tell about the root file system and the sources of bind mounts, by absolute
	// path on the host. A path without an entry exists and is reachable.
	Root    SourceFact
	Sources map[string]SourceFact
	// InitRoot leads to the root directory of the container's init, for an exec into a container
	// that has no mount namespace; empty where it is not needed.
	InitRoot string
	// UIDMappings and GIDMappings are those of a user namespace that is joined by path.
	UIDMappings, GIDMappings []specs.LinuxIDMapping
}

// SourceFact tells about one path on the host.
type SourceFact struct {
	// Missing: it does not exist.
	Missing bool
	// Unreachable: root of the container's user namespace may be unable to open it. The runtime
	// opens it then; saying so where it is not needed is harmless.
	Unreachable bool
}

// Options are what the command line and the runtime itself add to the configuration.
type Options struct {
	ID            string // the container's
	NoPivot       bool   // --no-pivot
	NoNewKeyring  bool   // --no-new-keyring
	ListenFDs     int    // socket activation: descriptors 3 and up
	ListenFDNames string // LISTEN_FDNAMES, as it came
	PreserveFDs   int    // --preserve-fds: descriptors after those
	Init          bool   // --init: the stage stays as pid 1 (also annotation org.runack.init)
	Reap          bool   // exec --reap: the stage stays as the reaper of the exec'd tree
	WaitFifo      string // exec: path of a fifo to wait for before the program runs
	Detach        bool   // exec: the runtime does not stay
	// Seccomp is the compiled filter. It is required where NeedsSeccomp says so.
	Seccomp *Seccomp
}

// NeedsSeccomp tells whether spec asks for a filter, so that Options.Seccomp has to be there.
// Neither a default action nor a rule is no filter, as with runc.
func NeedsSeccomp(spec *specs.Spec) bool {
	if spec == nil || spec.Linux == nil || spec.Linux.Seccomp == nil {
		return false
	}
	s := spec.Linux.Seccomp
	return s.DefaultAction != "" || len(s.Syscalls) > 0
}

// Error is a configuration that cannot be planned: the field's path in the configuration and what
// is wrong with it.
type Error struct {
	Field  string
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Field + ": " + e.Reason }
