package plan

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// optionKind says which of the sets below an option belongs to.
type optionKind uint8

const (
	kindFlag        optionKind = iota // an MS_* flag, set or cleared
	kindPropagation                   // a change of propagation of its own
	kindRecursive                     // MOUNT_ATTR_*, set or cleared on the whole tree
	kindCopyUp
	kindIDMap
	kindRecursiveIDMap
)

// option is one row of the table. The words and what they mean are those of mount(8), the recursive
// ones those of runtime-spec config.md ("Linux mount options"); an option that is not here belongs to
// the file system.
type option struct {
	name  string
	kind  optionKind
	clear bool
	flag  uint64 // MS_* for kindFlag and kindPropagation, MOUNT_ATTR_* for kindRecursive
}

var optionTable = []option{
	{name: "async", clear: true, flag: unix.MS_SYNCHRONOUS},
	{name: "atime", clear: true, flag: unix.MS_NOATIME},
	{name: "bind", flag: unix.MS_BIND},
	{name: "defaults"},
	{name: "dev", clear: true, flag: unix.MS_NODEV},
	{name: "diratime", clear: true, flag: unix.MS_NODIRATIME},
	{name: "dirsync", flag: unix.MS_DIRSYNC},
	{name: "exec", clear: true, flag: unix.MS_NOEXEC},
	{name: "idmap", kind: kindIDMap},
	{name: "iversion", flag: unix.MS_I_VERSION},
	{name: "lazytime", flag: unix.MS_LAZYTIME},
	{name: "loud", clear: true, flag: unix.MS_SILENT},
	{name: "mand", flag: unix.MS_MANDLOCK},
	{name: "noatime", flag: unix.MS_NOATIME},
	{name: "nodev", flag: unix.MS_NODEV},
	{name: "nodiratime", flag: unix.MS_NODIRATIME},
	{name: "noexec", flag: unix.MS_NOEXEC},
	{name: "noiversion", clear: true, flag: unix.MS_I_VERSION},
	{name: "nolazytime", clear: true, flag: unix.MS_LAZYTIME},
	{name: "nomand", clear: true, flag: unix.MS_MANDLOCK},
	{name: "norelatime", clear: true, flag: unix.MS_RELATIME},
	{name: "nostrictatime", clear: true, flag: unix.MS_STRICTATIME},
	{name: "nosuid", flag: unix.MS_NOSUID},
	{name: "nosymfollow", flag: unix.MS_NOSYMFOLLOW},
	{name: "private", kind: kindPropagation, flag: unix.MS_PRIVATE},
	{name: "ratime", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_NOATIME},
	{name: "rbind", flag: unix.MS_BIND | unix.MS_REC},
	{name: "rdev", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_NODEV},
	{name: "rdiratime", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_NODIRATIME},
	{name: "relatime", flag: unix.MS_RELATIME},
	{name: "remount", flag: unix.MS_REMOUNT},
	{name: "rexec", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_NOEXEC},
	{name: "ridmap", kind: kindRecursiveIDMap},
	{name: "rnoatime", kind: kindRecursive, flag: unix.MOUNT_ATTR_NOATIME},
	{name: "rnodev", kind: kindRecursive, flag: unix.MOUNT_ATTR_NODEV},
	{name: "rnodiratime", kind: kindRecursive, flag: unix.MOUNT_ATTR_NODIRATIME},
	{name: "rnoexec", kind: kindRecursive, flag: unix.MOUNT_ATTR_NOEXEC},
	{name: "rnorelatime", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_RELATIME},
	{name: "rnostrictatime", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_STRICTATIME},
	{name: "rnosuid", kind: kindRecursive, flag: unix.MOUNT_ATTR_NOSUID},
	{name: "rnosymfollow", kind: kindRecursive, flag: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "ro", flag: unix.MS_RDONLY},
	{name: "rprivate", kind: kindPropagation, flag: unix.MS_PRIVATE | unix.MS_REC},
	{name: "rrelatime", kind: kindRecursive, flag: unix.MOUNT_ATTR_RELATIME},
	{name: "rro", kind: kindRecursive, flag: unix.MOUNT_ATTR_RDONLY},
	{name: "rrw", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_RDONLY},
	{name: "rshared", kind: kindPropagation, flag: unix.MS_SHARED | unix.MS_REC},
	{name: "rslave", kind: kindPropagation, flag: unix.MS_SLAVE | unix.MS_REC},
	{name: "rstrictatime", kind: kindRecursive, flag: unix.MOUNT_ATTR_STRICTATIME},
	{name: "rsuid", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_NOSUID},
	{name: "rsymfollow", kind: kindRecursive, clear: true, flag: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "runbindable", kind: kindPropagation, flag: unix.MS_UNBINDABLE | unix.MS_REC},
	{name: "rw", clear: true, flag: unix.MS_RDONLY},
	{name: "shared", kind: kindPropagation, flag: unix.MS_SHARED},
	{name: "silent", flag: unix.MS_SILENT},
	{name: "slave", kind: kindPropagation, flag: unix.MS_SLAVE},
	{name: "strictatime", flag: unix.MS_STRICTATIME},
	{name: "suid", clear: true, flag: unix.MS_NOSUID},
	{name: "symfollow", clear: true, flag: unix.MS_NOSYMFOLLOW},
	{name: "sync", flag: unix.MS_SYNCHRONOUS},
	{name: "tmpcopyup", kind: kindCopyUp},
	{name: "unbindable", kind: kindPropagation, flag: unix.MS_UNBINDABLE},
}

func findOption(name string) (option, bool) {
	i, ok := slices.BinarySearchFunc(optionTable, name, func(o option, name string) int {
		return strings.Compare(o.name, name)
	})
	if !ok {
		return option{}, false
	}
	return optionTable[i], true
}

// MountOptions lists the options that the plan understands itself, sorted, for `features`.
func MountOptions() []string {
	names := make([]string, 0, len(optionTable))
	for _, o := range optionTable {
		names = append(names, o.name)
	}
	return names
}

// PropagationFlags gives the MS_* flags of a propagation word ("rslave").
func PropagationFlags(name string) (uint64, bool) {
	o, ok := findOption(name)
	if !ok || o.kind != kindPropagation {
		return 0, false
	}
	return o.flag, true
}

// A MountRequest is what kind of mount the type and the options of an entry ask for, for those who
// check it before there is a plan.
type MountRequest struct {
	Bind, Remount, IDMap bool
	Data                 string // the first option that the file system gets, if any
}

// ReadMount tells what kind of mount an entry asks for. A type bind makes a bind mount, as with
// mount(8), though the kernel knows no such type.
func ReadMount(fsType string, options []string) MountRequest {
	var r MountRequest
	for _, name := range options {
		o, known := findOption(name)
		switch {
		case !known:
			if r.Data == "" {
				r.Data = name
			}
		case o.kind == kindIDMap, o.kind == kindRecursiveIDMap:
			r.IDMap = true
		case o.kind == kindFlag && o.flag&unix.MS_BIND != 0:
			r.Bind = true
		case o.kind == kindFlag && o.flag == unix.MS_REMOUNT:
			r.Remount = true
		}
	}
	r.Bind = r.Bind || fsType == "bind" && !r.Remount
	return r
}

// mountOptions is a mount's option list, sorted by what the options act on.
type mountOptions struct {
	flags       uint64 // MS_*
	cleared     uint64 // MS_* that were cleared by name
	propagation []uint64
	recursive   bool // there are recursive attributes
	recSet      uint64
	recClear    uint64
	data        []string // for the file system
	copyUp      bool
	idmap       bool
	idmapRec    bool
}

func (o *mountOptions) has(flag uint64) bool { return o.flags&flag != 0 }

// parseOptions sorts options by what they act on. Of two that contradict each other the later one
// holds.
func parseOptions(options []string) mountOptions {
	var m mountOptions
	for _, name := range options {
		o, known := findOption(name)
		if !known {
			m.data = splitData(m.data, name)
			continue
		}
		switch o.kind {
		case kindFlag:
			m.flag(o)
		case kindPropagation:
			m.propagation = append(m.propagation, o.flag)
		case kindRecursive:
			m.recursiveFlag(o)
		case kindCopyUp:
			m.copyUp = true
		case kindIDMap:
			m.idmap, m.idmapRec = true, false
		case kindRecursiveIDMap:
			m.idmap, m.idmapRec = true, true
		}
	}
	return m
}

func (o *mountOptions) flag(row option) {
	if row.clear {
		o.flags &^= row.flag
		o.cleared |= row.flag
		return
	}
	o.flags |= row.flag
	o.cleared &^= row.flag
}

// recursiveFlag keeps the rule of mount_setattr(2) that a change of the access time mode names the
// whole mode in attr_clr. The modes are an enumeration, so a later one replaces an earlier one.
func (o *mountOptions) recursiveFlag(row option) {
	o.recursive = true
	if row.flag&unix.MOUNT_ATTR__ATIME == row.flag { // also MOUNT_ATTR_RELATIME, which is 0
		o.recClear |= unix.MOUNT_ATTR__ATIME
		if !row.clear {
			o.recSet = o.recSet&^unix.MOUNT_ATTR__ATIME | row.flag
		} else {
			o.recSet &^= row.flag
		}
		return
	}
	if row.clear {
		o.recClear |= row.flag
		o.recSet &^= row.flag
		return
	}
	o.recSet |= row.flag
	o.recClear &^= row.flag
}

// splitData appends the file system options in s. mount(2) takes one string for all of them, so
// that an entry may hold several; fsconfig(2) takes them one at a time. A comma that is quoted
// (SELinux contexts) or escaped (overlay's lowerdir) separates nothing.
func splitData(data []string, s string) []string {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && !quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			data = appendData(data, s[start:i])
			start = i + 1
		}
	}
	return appendData(data, s[start:])
}

// appendData drops the quotes of SELinux contexts: the kernel strips them from mount(2)'s string,
// not from a value given by itself.
func appendData(data []string, s string) []string {
	if s == "" {
		return data
	}
	key, value, ok := strings.Cut(s, "=")
	if ok && len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		switch key {
		case "context", "fscontext", "defcontext", "rootcontext":
			s = key + "=" + value[1:len(value)-1]
		}
	}
	return append(data, s)
}

const (
	superFlags = unix.MS_RDONLY | unix.MS_SYNCHRONOUS | unix.MS_DIRSYNC | unix.MS_MANDLOCK |
		unix.MS_LAZYTIME | unix.MS_SILENT | unix.MS_I_VERSION
	atimeFlags = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME | unix.MS_NODIRATIME
	atimeAttrs = unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NODIRATIME
	// plainAttrs are the mount attributes that are a bit each.
	plainAttrs = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV |
		unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSYMFOLLOW
)

var attrOfFlag = [...]struct{ flag, attr uint64 }{
	{unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{unix.MS_NODEV, unix.MOUNT_ATTR_NODEV},
	{unix.MS_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{unix.MS_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
	{unix.MS_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
}

// attrs translates the MS_* flags of a mount into MOUNT_ATTR_*. The access time mode is chosen as
// mount(2) does: strictatime over noatime, relatime where neither is set.
func attrs(flags uint64) uint64 {
	var set uint64
	for _, r := range attrOfFlag {
		if flags&r.flag != 0 {
			set |= r.attr
		}
	}
	switch {
	case flags&unix.MS_STRICTATIME != 0:
		set |= unix.MOUNT_ATTR_STRICTATIME
	case flags&unix.MS_NOATIME != 0:
		set |= unix.MOUNT_ATTR_NOATIME
	}
	return set
}

// attrChange is a change of an existing mount's attributes: of clear first, then set. must is the
// part of it that may not be given up where a more privileged namespace has locked it.
type attrChange struct{ set, clear, must uint64 }

// change gives what a bind mount's options do to the attributes that it took from its source. No
// option at all leaves them; any option replaces them all, as "mount -o bind,ro" followed by
// "mount -o remount,bind,ro" would. The access time attributes stay unless one of them is named,
// which is mount(2)'s rule for MS_REMOUNT.
func (o *mountOptions) change() attrChange {
	const structural = unix.MS_BIND | unix.MS_REC | unix.MS_REMOUNT
	if o.flags&^structural == 0 && o.cleared == 0 {
		return attrChange{}
	}
	c := attrChange{set: attrs(o.flags), must: attrs(o.cleared &^ atimeFlags)}
	switch {
	case o.flags&atimeFlags != 0:
		c.clear = atimeAttrs
		c.must |= unix.MOUNT_ATTR__ATIME
	case o.cleared&(unix.MS_NOATIME|unix.MS_STRICTATIME) != 0:
		// Not handled by runc, which leaves the source's mode: the option would do nothing.
		c.clear = unix.MOUNT_ATTR__ATIME
		c.must |= unix.MOUNT_ATTR__ATIME
	}
	if o.cleared&unix.MS_NODIRATIME != 0 {
		c.clear |= unix.MOUNT_ATTR_NODIRATIME
		c.must |= unix.MOUNT_ATTR_NODIRATIME
	}
	c.clear |= plainAttrs &^ c.set
	if c.set&unix.MOUNT_ATTR_NODIRATIME != 0 {
		c.clear &^= unix.MOUNT_ATTR_NODIRATIME
	}
	return c
}
