package plan

// A Step is one typed act of stage-1. Its JSON form is what the stage reads: an object whose "op"
// names the step and whose other fields are its arguments; the stage refuses unknown, missing and
// mistyped fields before it does anything (nsexec/stage/steps.def has the same list).
//
// Paths are inside the container's root unless a field says otherwise. Descriptors are indices
// into the descriptors of the plan frame, in the order of Plan.Sources. Flags are the kernel's
// numbers.
type Step interface {
	// Op is the step's name on the wire.
	Op() string
}

// Keyring joins a new session keyring (keyctl(2) KEYCTL_JOIN_SESSION_KEYRING).
type Keyring struct {
	Name  string `json:"name"`
	Label string `json:"label,omitempty"` // SELinux key creation label
	Perm  uint32 `json:"perm,omitempty"`  // permission bits added to the keyring's (keyctl(2) KEYCTL_SETPERM)
}

// Loopback brings the interface lo up.
type Loopback struct{}

// Propagation changes the propagation of the mount namespace's root, before the container's root
// is attached. Flags is MS_SLAVE|MS_REC and the like.
type Propagation struct {
	Flags uint64 `json:"flags"`
}

// Root attaches the root file system at its own place in the new mount namespace and makes it the
// base of every later path.
type Root struct {
	Path   string `json:"path"`             // on the host
	FD     *int   `json:"fd,omitempty"`     // a detached mount, or with Plain a directory, opened by the runtime instead
	Parent uint64 `json:"parent,omitempty"` // propagation flags for the mount that Path lies on, e.g. MS_PRIVATE
	Plain  bool   `json:"plain,omitempty"`  // no mount namespace of its own: Path, or fd, is the base as it is
}

// Mount mounts a new file system (fsopen(2), fsmount(2), move_mount(2)). A tmpfs without an option
// mode takes the mode of the directory it covers; the target of a proc or sysfs is a directory and
// reached through no symbolic link.
type Mount struct {
	Target      string   `json:"target"`
	Type        string   `json:"type"`
	Source      string   `json:"source,omitempty"`
	SBFlags     uint64   `json:"sbFlags,omitempty"`     // MS_RDONLY, MS_SYNCHRONOUS, MS_DIRSYNC, MS_MANDLOCK, MS_LAZYTIME, MS_SILENT, MS_I_VERSION
	Set         uint64   `json:"set,omitempty"`         // MOUNT_ATTR_*
	Options     []string `json:"options,omitempty"`     // file system options, "key" or "key=value"
	Propagation []uint64 `json:"propagation,omitempty"` // MS_SHARED, MS_SLAVE, ..., MS_REC; applied in order
	RecSet      uint64   `json:"recSet,omitempty"`      // mount_setattr(2) with AT_RECURSIVE
	RecClear    uint64   `json:"recClear,omitempty"`
	CopyUp      bool     `json:"copyUp,omitempty"`  // tmpfs: take over what the target holds
	Label       string   `json:"label,omitempty"`   // SELinux mount label, without quotes; on an mqueue set as the root's attribute
	Refused     string   `json:"refused,omitempty"` // "bind": on EPERM or EBUSY (user namespaces) bind the host's Instead, recursively
	Instead     string   `json:"instead,omitempty"` // the host's path for Refused
}

// Bind attaches a clone of an existing tree (open_tree(2), mount_setattr(2), move_mount(2)). The
// stage makes a missing target: a directory or a file, as the source is.
type Bind struct {
	Target      string   `json:"target"`
	Source      string   `json:"source"`           // on the host; for messages alone where FD is given
	FD          *int     `json:"fd,omitempty"`     // a detached tree opened by the runtime
	Inside      bool     `json:"inside,omitempty"` // Source lies inside the container's root
	Recursive   bool     `json:"recursive,omitempty"`
	Set         uint64   `json:"set,omitempty"`
	Clear       uint64   `json:"clear,omitempty"` // flags locked by a more privileged namespace stay, as with runc
	Must        uint64   `json:"must,omitempty"`  // the part of Clear that was asked for by name: an error where one of them is locked
	RecSet      uint64   `json:"recSet,omitempty"`
	RecClear    uint64   `json:"recClear,omitempty"`
	Propagation []uint64 `json:"propagation,omitempty"`
	Label       string   `json:"label,omitempty"` // SELinux relabel is the engine's work; kept for messages
}

// Remount changes the flags of the mount at Target (a "remount" entry of mounts). SBFlags and
// Options reconfigure the file system, and superblock flags that SBFlags lacks are cleared, as
// mount(2) does; Set and Clear change the mount alone.
type Remount struct {
	Target  string   `json:"target"`
	Bind    bool     `json:"bind,omitempty"` // the mount alone
	SBFlags uint64   `json:"sbFlags,omitempty"`
	Options []string `json:"options,omitempty"`
	Set     uint64   `json:"set,omitempty"`
	Clear   uint64   `json:"clear,omitempty"`
}

// Mkdir makes a directory and what is missing above it; an existing one is left alone.
type Mkdir struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
	UID  *int64 `json:"uid,omitempty"`
	GID  *int64 `json:"gid,omitempty"`
}

// Symlink makes Path point to Target. An existing Path is left alone when it points to Target
// already or when Keep is set, and replaced when Replace is set; else it is an error.
type Symlink struct {
	Path    string `json:"path"`
	Target  string `json:"target"`
	Keep    bool   `json:"keep,omitempty"`
	Replace bool   `json:"replace,omitempty"`
}

// Device makes a device node, or binds the host's where mknod is not permitted.
type Device struct {
	Path  string `json:"path"`
	Type  string `json:"type"` // "c", "b" or "p"
	Major int64  `json:"major"`
	Minor int64  `json:"minor"`
	Mode  uint32 `json:"mode"` // permission bits, not masked by any umask
	UID   int64  `json:"uid"`
	GID   int64  `json:"gid"`
	Bind  bool   `json:"bind,omitempty"` // bind the host's Path (user namespaces) instead of mknod
}

// Hook runs a hook of the container's namespaces: createContainer (Path is the runtime's) before
// the pivot, startContainer (Path is the container's) after it. State comes with proceed and start.
//
// The program of a startContainer hook belongs to the container, so it gets the container's rights
// and no more: its child carries out the later bounding, user, caps, no-new-privs and seccomp steps
// before it executes the hook.
type Hook struct {
	Point   string   `json:"point"` // "createContainer" or "startContainer"
	Index   int      `json:"index"`
	Path    string   `json:"path"`
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Timeout int64    `json:"timeout,omitempty"` // milliseconds, 0 for none
}

// SyncMounted sends mounted and waits for proceed.
type SyncMounted struct{}

// Pivot makes the root the process's root.
type Pivot struct {
	Method      string `json:"method"`                // "pivot", "move" (--no-pivot) or "chroot" (no mount namespace)
	Propagation uint64 `json:"propagation,omitempty"` // rootfsPropagation of the new root: MS_SHARED and the like
	DevNull     bool   `json:"devNull,omitempty"`     // standard descriptors that are the host's /dev/null become the container's
}

// Console takes a new terminal from the container's devpts, makes it the process's stdio and
// controlling terminal, binds it over /dev/console where Mount is set, and sends the master.
type Console struct {
	Mount bool   `json:"mount,omitempty"`
	Rows  uint16 `json:"rows,omitempty"`
	Cols  uint16 `json:"cols,omitempty"`
	UID   int64  `json:"uid"` // owner of the terminal
	Label string `json:"label,omitempty"`
}

// RootAttr changes the flags of the root mount: readonly root.
type RootAttr struct {
	Set uint64 `json:"set"`
}

// MountAttr adds flags to the mount at Target after everything below it is made: a read-only /dev.
type MountAttr struct {
	Target string `json:"target"`
	Set    uint64 `json:"set"`
}

// Readonly makes an existing path read-only; a missing one is skipped.
type Readonly struct {
	Path string `json:"path"`
}

// Mask hides an existing path behind /dev/null or an empty read-only tmpfs; a missing one is
// skipped.
type Mask struct {
	Path  string `json:"path"`
	Label string `json:"label,omitempty"`
}

// Sysctl writes Value to the kernel parameter Key (with slashes, below /proc/sys).
type Sysctl struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Hostname sets the UTS namespace's host name.
type Hostname struct {
	Name string `json:"name"`
}

// Domainname sets the UTS namespace's NIS domain name.
type Domainname struct {
	Name string `json:"name"`
}

// Cwd changes to the process's working directory, made where it is missing, and checks that it
// lies inside the root.
type Cwd struct {
	Path string `json:"path"`
	Make bool   `json:"make,omitempty"`
	// AfterUser: a directory that root could not enter is tried again as the user.
	Retry bool `json:"retry,omitempty"`
}

// Umask sets the file mode creation mask.
type Umask struct {
	Mask uint32 `json:"mask"`
}

// Personality sets the execution domain (personality(2)).
type Personality struct {
	Domain uint64 `json:"domain"`
}

// Scheduler sets the scheduling policy (sched_setattr(2)).
type Scheduler struct {
	Policy   uint32 `json:"policy"`
	Flags    uint64 `json:"flags,omitempty"`
	Nice     int32  `json:"nice,omitempty"`
	Priority uint32 `json:"priority,omitempty"`
	Runtime  uint64 `json:"runtime,omitempty"`  // nanoseconds
	Deadline uint64 `json:"deadline,omitempty"` // nanoseconds
	Period   uint64 `json:"period,omitempty"`   // nanoseconds
}

// IOPriority sets the I/O class and level (ioprio_set(2)).
type IOPriority struct {
	Class    int `json:"class"`
	Priority int `json:"priority"`
}

// MemoryPolicy sets the NUMA policy (set_mempolicy(2)).
type MemoryPolicy struct {
	Mode  int   `json:"mode"` // with its MPOL_F_* flags
	Nodes []int `json:"nodes,omitempty"`
}

// Affinity sets the CPUs the process may run on (sched_setaffinity(2)). An empty list is every
// CPU there may ever be, best effort: the runtime's own affinity must not reach the container.
type Affinity struct {
	CPUs []int `json:"cpus"`
}

// ExecLabel sets the LSM label of the next execve.
type ExecLabel struct {
	Kind  string `json:"kind"` // "apparmor" or "selinux"
	Label string `json:"label"`
}

// Home adds HOME of the user to the environment, from the container's /etc/passwd ("/" where it
// has none).
type Home struct {
	UID int64 `json:"uid"`
}

// Stdio gives the standard descriptors to the user, where they are not /dev/null or a terminal
// that is somebody else's.
type Stdio struct {
	UID int64 `json:"uid"`
}

// Lookup finds the program: args[0] itself where it has a slash, else by PATH of the environment.
// A failure carries runc's words.
type Lookup struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"` // the value of PATH
}

// SyncCreated sends created and waits on the start socket for start.
type SyncCreated struct {
	FD int `json:"fd"` // the listening socket
}

// Hold sends holding and waits until somebody opens a fifo for reading.
type Hold struct {
	FD     int  `json:"fd"`               // the fifo (O_PATH)
	Detach bool `json:"detach,omitempty"` // the runtime leaves meanwhile
}

// Init keeps the stage as pid 1: it forks, the child goes on with the later steps, and the parent
// forwards signals, reaps, and leaves with the child's status. For an exec'd tree a second process
// does the reaping, and stays until nothing is left of the tree.
type Init struct {
	Subreaper bool `json:"subreaper,omitempty"` // exec --reap: not pid 1
}

// Bounding drops capabilities from the bounding set: all that Keep lacks.
type Bounding struct {
	Keep uint64 `json:"keep"` // bit mask
}

// User sets groups, gid and uid, keeping capabilities until Caps.
type User struct {
	UID      int64   `json:"uid"`
	GID      int64   `json:"gid"`
	Groups   []int64 `json:"groups"`
	NoGroups bool    `json:"noGroups,omitempty"` // setgroups is denied (unprivileged user namespace)
}

// Caps sets the final capability sets (bit masks).
type Caps struct {
	Effective   uint64 `json:"effective"`
	Permitted   uint64 `json:"permitted"`
	Inheritable uint64 `json:"inheritable"`
	Ambient     uint64 `json:"ambient"`
}

// NoNewPrivs sets no_new_privs.
type NoNewPrivs struct{}

// SyncExecuting sends executing. Nothing but seccomp, final capabilities and execve follows.
type SyncExecuting struct{}

// Seccomp loads a compiled filter.
type Seccomp struct {
	Program  string `json:"program"` // base64 of struct sock_filter[], host byte order
	Flags    uint64 `json:"flags,omitempty"`
	Listener bool   `json:"listener,omitempty"` // hand the notification descriptor over (listener frame)
}

// Signals empties the signal mask and resets every disposition that can be set.
type Signals struct{}

// CloseFDs closes every descriptor from Keep on, and with Limit sets the number of files (getrlimit(2),
// RLIMIT_NOFILE), where it is one that the stage could not work under.
type CloseFDs struct {
	Keep  int    `json:"keep"` // 3 + preserved descriptors
	Limit bool   `json:"limit,omitempty"`
	Soft  uint64 `json:"soft,omitempty"`
	Hard  uint64 `json:"hard,omitempty"`
}

// Execute executes the program that Lookup found.
type Execute struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
	// ListenPID replaces LISTEN_PID in the environment by the process's pid.
	ListenPID bool `json:"listenPid,omitempty"`
}

// Op implements Step.
func (Keyring) Op() string { return "keyring" }

// Op implements Step.
func (Loopback) Op() string { return "loopback" }

// Op implements Step.
func (Propagation) Op() string { return "propagation" }

// Op implements Step.
func (Root) Op() string { return "root" }

// Op implements Step.
func (Mount) Op() string { return "mount" }

// Op implements Step.
func (Bind) Op() string { return "bind" }

// Op implements Step.
func (Remount) Op() string { return "remount" }

// Op implements Step.
func (Mkdir) Op() string { return "mkdir" }

// Op implements Step.
func (Symlink) Op() string { return "symlink" }

// Op implements Step.
func (Device) Op() string { return "device" }

// Op implements Step.
func (Hook) Op() string { return "hook" }

// Op implements Step.
func (SyncMounted) Op() string { return "mounted" }

// Op implements Step.
func (Pivot) Op() string { return "pivot" }

// Op implements Step.
func (Console) Op() string { return "console" }

// Op implements Step.
func (RootAttr) Op() string { return "root-attr" }

// Op implements Step.
func (MountAttr) Op() string { return "mount-attr" }

// Op implements Step.
func (Readonly) Op() string { return "readonly" }

// Op implements Step.
func (Mask) Op() string { return "mask" }

// Op implements Step.
func (Sysctl) Op() string { return "sysctl" }

// Op implements Step.
func (Hostname) Op() string { return "hostname" }

// Op implements Step.
func (Domainname) Op() string { return "domainname" }

// Op implements Step.
func (Cwd) Op() string { return "cwd" }

// Op implements Step.
func (Umask) Op() string { return "umask" }

// Op implements Step.
func (Personality) Op() string { return "personality" }

// Op implements Step.
func (Scheduler) Op() string { return "scheduler" }

// Op implements Step.
func (IOPriority) Op() string { return "io-priority" }

// Op implements Step.
func (MemoryPolicy) Op() string { return "memory-policy" }

// Op implements Step.
func (Affinity) Op() string { return "affinity" }

// Op implements Step.
func (ExecLabel) Op() string { return "exec-label" }

// Op implements Step.
func (Home) Op() string { return "home" }

// Op implements Step.
func (Stdio) Op() string { return "stdio" }

// Op implements Step.
func (Lookup) Op() string { return "lookup" }

// Op implements Step.
func (SyncCreated) Op() string { return "created" }

// Op implements Step.
func (Hold) Op() string { return "hold" }

// Op implements Step.
func (Init) Op() string { return "init" }

// Op implements Step.
func (Bounding) Op() string { return "bounding" }

// Op implements Step.
func (User) Op() string { return "user" }

// Op implements Step.
func (Caps) Op() string { return "caps" }

// Op implements Step.
func (NoNewPrivs) Op() string { return "no-new-privs" }

// Op implements Step.
func (SyncExecuting) Op() string { return "executing" }

// Op implements Step.
func (Seccomp) Op() string { return "seccomp" }

// Op implements Step.
func (Signals) Op() string { return "signals" }

// Op implements Step.
func (CloseFDs) Op() string { return "close-fds" }

// Op implements Step.
func (Execute) Op() string { return "exec" }
