package plan

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// WriteText writes the plan for people: what the runtime does, then the stage's steps, numbered, a
// line each. The error is w's.
func (p *Plan) WriteText(w io.Writer) error {
	var t text
	t.outside(p)
	for i, s := range p.Steps {
		t.line("%3d  %-13s  %s", i+1, s.Op(), describe(s))
	}
	for _, warning := range p.Warnings {
		t.line("warning: %s", clean(warning))
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// StepWords gives the arguments of each step in words, as WriteText does.
func (p *Plan) StepWords() []string {
	words := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		words[i] = describe(s)
	}
	return words
}

type text struct{ strings.Builder }

// line never writes white space at the end: some steps have no words.
func (t *text) line(format string, args ...any) {
	t.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " "))
	t.WriteByte('\n')
}

func (t *text) outside(p *Plan) {
	if len(p.Namespaces) > 0 {
		words := make([]string, 0, len(p.Namespaces))
		for _, n := range p.Namespaces {
			words = append(words, join(string(n.Type), string(n.Mode), clean(n.Path)))
		}
		t.line("namespaces: %s", strings.Join(words, ", "))
	}
	for _, clock := range sortedKeys(p.TimeOffsets) {
		o := p.TimeOffsets[clock]
		t.line("time offset: %s %d s %d ns", clean(clock), o.Secs, o.Nanosecs)
	}
	t.mappings("uid map", p.UIDMappings)
	t.mappings("gid map", p.GIDMappings)
	for _, l := range p.Rlimits {
		t.line("limit: %s soft %s hard %s", l.Name, limit(l.Soft), limit(l.Hard))
	}
	if p.OOMScoreAdj != nil {
		t.line("oom score adjustment: %d", *p.OOMScoreAdj)
	}
	if len(p.InitialAffinity) > 0 {
		t.line("initial CPUs: %s", ranges(p.InitialAffinity))
	}
	if p.CgroupOwner != nil {
		t.line("cgroup owner: uid %d", *p.CgroupOwner)
	}
	for _, name := range sortedKeys(p.NetDevices) {
		t.line("network device: %s", join(clean(name), arrow(clean(p.NetDevices[name].Name))))
	}
	if r := p.IntelRdt; r != nil {
		t.line("resource director: %s", join(prefix("class ", clean(r.ClosID)), clean(r.L3CacheSchema), clean(r.MemBwSchema),
			clean(strings.Join(r.Schemata, " ")), word(r.EnableMonitoring, "monitored")))
	}
	for i, s := range p.Sources {
		t.line("descriptor %d: %s", i, describeSource(s))
	}
}

func (t *text) mappings(what string, maps []specs.LinuxIDMapping) {
	if maps != nil {
		t.line("%s: %s", what, idMapWords(maps))
	}
}

func idMapWords(maps []specs.LinuxIDMapping) string {
	words := make([]string, 0, len(maps))
	for _, m := range maps {
		words = append(words, fmt.Sprintf("%d->%d x%d", m.ContainerID, m.HostID, m.Size))
	}
	return strings.Join(words, ", ")
}

func describeSource(s Source) string {
	words := []string{string(s.Kind), clean(s.Path), word(s.Recursive, "recursive"), msNames(s.Propagation), prefix("for ", s.Field)}
	if m := s.IDMap; m != nil {
		words = append(words, word(!m.Recursive, "idmap"), word(m.Recursive, "ridmap"), prefix("of ", clean(m.UserNS)),
			prefix("uid ", idMapWords(m.UIDMappings)), prefix("gid ", idMapWords(m.GIDMappings)))
	}
	return join(words...)
}

// describe gives a step's arguments in words.
func describe(s Step) string {
	for _, f := range []func(Step) (string, bool){describeMount, describeFile, describeProcess, describeLast} {
		if words, ok := f(s); ok {
			return words
		}
	}
	return ""
}

func describeMount(s Step) (string, bool) {
	switch s := s.(type) {
	case Propagation:
		return msNames(s.Flags), true
	case Root:
		return join(clean(s.Path), descriptor(s.FD), prefix("parent ", msNames(s.Parent)), word(s.Plain, "not attached")), true
	case Mount:
		return join(clean(s.Target), clean(s.Type), prefix("from ", clean(s.Source)), attrNames(s.Set), prefix("super block ", msNames(s.SBFlags)),
			clean(strings.Join(s.Options, ",")), propagations(s.Propagation), prefix("recursive ", changeWords(s.RecSet, s.RecClear)),
			word(s.CopyUp, "copy up"), prefix("label ", clean(s.Label)), prefix("if refused bind ", clean(s.Instead))), true
	case Bind:
		return join(clean(s.Target), "from", clean(s.Source), descriptor(s.FD), word(s.Inside, "inside"), word(s.Recursive, "recursive"),
			changeWords(s.Set, s.Clear), prefix("must not keep ", attrNames(s.Must)), propagations(s.Propagation),
			prefix("recursive ", changeWords(s.RecSet, s.RecClear)), prefix("label ", clean(s.Label))), true
	case Remount:
		return join(clean(s.Target), word(s.Bind, "the mount alone"), changeWords(s.Set, s.Clear), prefix("super block ", msNames(s.SBFlags)),
			clean(strings.Join(s.Options, ","))), true
	case RootAttr:
		return attrNames(s.Set), true
	case MountAttr:
		return join(clean(s.Target), attrNames(s.Set)), true
	case Pivot:
		return join(s.Method, msNames(s.Propagation), word(s.DevNull, "then reopen /dev/null")), true
	}
	return "", false
}

func describeFile(s Step) (string, bool) {
	switch s := s.(type) {
	case Mkdir:
		return join(clean(s.Path), octal(s.Mode), id("uid ", s.UID), id("gid ", s.GID)), true
	case Symlink:
		return join(clean(s.Path), arrow(clean(s.Target)), word(s.Keep, "unless there"), word(s.Replace, "replacing")), true
	case Device:
		if s.Bind {
			return join(clean(s.Path), "the host's"), true
		}
		numbers := fmt.Sprintf("%d:%d", s.Major, s.Minor)
		if s.Type == "p" {
			numbers = ""
		}
		return join(clean(s.Path), s.Type, numbers, octal(s.Mode), fmt.Sprintf("owner %d:%d", s.UID, s.GID)), true
	case Readonly:
		return clean(s.Path), true
	case Mask:
		return join(clean(s.Path), prefix("label ", clean(s.Label))), true
	case Sysctl:
		return join(clean(s.Key), "=", clean(s.Value)), true
	}
	return "", false
}

func describeProcess(s Step) (string, bool) {
	switch s := s.(type) {
	case Keyring:
		return join(clean(s.Name), prefix("label ", clean(s.Label)), prefix("permissions +", hexMask(uint64(s.Perm)))), true
	case Hook:
		timeout := ""
		if s.Timeout != 0 {
			timeout = fmt.Sprintf("within %d ms", s.Timeout)
		}
		return join(item(s.Point, s.Index), clean(s.Path), quoted(s.Args), timeout), true
	case Console:
		size := ""
		if s.Rows != 0 && s.Cols != 0 {
			size = fmt.Sprintf("%d rows %d columns", s.Rows, s.Cols)
		}
		return join(word(s.Mount, "at /dev/console"), size, fmt.Sprintf("uid %d", s.UID)), true
	case Hostname:
		return clean(s.Name), true
	case Domainname:
		return clean(s.Name), true
	case Umask:
		return octal(s.Mask), true
	case Personality:
		return fmt.Sprintf("%#x", s.Domain), true
	case Scheduler:
		return schedulerWords(s), true
	case IOPriority:
		return fmt.Sprintf("%s level %d", [...]string{"none", "realtime", "best effort", "idle"}[s.Class&3], s.Priority), true
	case MemoryPolicy:
		return join(fmt.Sprintf("mode %#x", s.Mode), prefix("nodes ", ranges(s.Nodes))), true
	case Affinity:
		if len(s.CPUs) == 0 {
			return "all CPUs", true
		}
		return "CPUs " + ranges(s.CPUs), true
	}
	return "", false
}

func describeLast(s Step) (string, bool) {
	switch s := s.(type) {
	case Cwd:
		return join(clean(s.Path), word(s.Make, "made where missing"), word(s.Retry, "again as the user if denied")), true
	case ExecLabel:
		return join(s.Kind, clean(s.Label)), true
	case Home:
		return fmt.Sprintf("uid %d", s.UID), true
	case Stdio:
		return fmt.Sprintf("uid %d", s.UID), true
	case Lookup:
		return join(clean(s.Name), prefix("in ", clean(s.Path))), true
	case SyncCreated:
		return fmt.Sprintf("descriptor %d", s.FD), true
	case Hold:
		return join(fmt.Sprintf("descriptor %d", s.FD), word(s.Detach, "detached")), true
	case Init:
		return word(s.Subreaper, "as subreaper"), true
	case Bounding:
		return "keep " + capWords(s.Keep), true
	case User:
		return join(fmt.Sprintf("%d:%d", s.UID, s.GID), groupWords(s)), true
	case Caps:
		return fmt.Sprintf("effective %s; permitted %s; inheritable %s; ambient %s",
			capWords(s.Effective), capWords(s.Permitted), capWords(s.Inheritable), capWords(s.Ambient)), true
	case Seccomp:
		return join(fmt.Sprintf("%d instructions", instructions(s.Program)), prefix("flags ", hexMask(s.Flags)), word(s.Listener, "with listener")), true
	case CloseFDs:
		text := fmt.Sprintf("from %d", s.Keep)
		if s.Limit {
			text += fmt.Sprintf(", then no more than %d:%d files", s.Soft, s.Hard)
		}
		return text, true
	case Execute:
		return quoted(s.Args), true
	}
	return "", false
}

// instructions counts the 8-byte struct sock_filter in a base64 program.
func instructions(program string) int {
	return base64.StdEncoding.DecodedLen(len(program)) / 8
}

func schedulerWords(s Scheduler) string {
	policy := strconv.Itoa(int(s.Policy))
	if int(s.Policy) < len(schedulerPolicies) {
		policy = string(schedulerPolicies[s.Policy])
	}
	words := []string{policy}
	if s.Flags != 0 {
		words = append(words, "flags "+hexMask(s.Flags))
	}
	for _, f := range []struct {
		name string
		v    int64
	}{{"nice", int64(s.Nice)}, {"priority", int64(s.Priority)}} {
		if f.v != 0 {
			words = append(words, fmt.Sprintf("%s %d", f.name, f.v))
		}
	}
	if s.Period != 0 || s.Runtime != 0 || s.Deadline != 0 {
		words = append(words, fmt.Sprintf("runtime %d deadline %d period %d ns", s.Runtime, s.Deadline, s.Period))
	}
	return join(words...)
}

func groupWords(u User) string {
	if u.NoGroups {
		return "groups as they are"
	}
	if len(u.Groups) == 0 {
		return "no groups"
	}
	words := make([]string, 0, len(u.Groups))
	for _, g := range u.Groups {
		words = append(words, strconv.FormatInt(g, 10))
	}
	return "groups " + strings.Join(words, ",")
}

// capWords names the capabilities of a mask without their prefix.
func capWords(mask uint64) string {
	names := capNames(mask)
	if len(names) == len(capabilityNames) {
		return "all"
	}
	if len(names) == 0 {
		return "none"
	}
	for i, n := range names {
		names[i] = strings.ToLower(strings.TrimPrefix(n, "CAP_"))
	}
	return strings.Join(names, ",")
}

type flagName struct {
	bit  uint64
	name string
}

var msFlagNames = []flagName{
	{unix.MS_RDONLY, "ro"},
	{unix.MS_SYNCHRONOUS, "sync"},
	{unix.MS_MANDLOCK, "mand"},
	{unix.MS_DIRSYNC, "dirsync"},
	{unix.MS_SILENT, "silent"},
	{unix.MS_I_VERSION, "iversion"},
	{unix.MS_LAZYTIME, "lazytime"},
	{unix.MS_UNBINDABLE, "unbindable"},
	{unix.MS_PRIVATE, "private"},
	{unix.MS_SLAVE, "slave"},
	{unix.MS_SHARED, "shared"},
	{unix.MS_REC, "recursive"},
}

var attrFlagNames = []flagName{
	{unix.MOUNT_ATTR_RDONLY, "ro"},
	{unix.MOUNT_ATTR_NOSUID, "nosuid"},
	{unix.MOUNT_ATTR_NODEV, "nodev"},
	{unix.MOUNT_ATTR_NOEXEC, "noexec"},
	{unix.MOUNT_ATTR__ATIME, "atime"}, // the whole mode, when it is cleared
	{unix.MOUNT_ATTR_NOATIME, "noatime"},
	{unix.MOUNT_ATTR_STRICTATIME, "strictatime"},
	{unix.MOUNT_ATTR_NODIRATIME, "nodiratime"},
	{unix.MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"},
}

// flagWords names the bits of mask; what has no name is given as a number.
func flagWords(mask uint64, names []flagName) string {
	var words []string
	for _, f := range names {
		if mask&f.bit == f.bit {
			words = append(words, f.name)
			mask &^= f.bit
		}
	}
	if mask != 0 {
		words = append(words, hexMask(mask))
	}
	return strings.Join(words, ",")
}

func msNames(flags uint64) string  { return flagWords(flags, msFlagNames) }
func attrNames(attr uint64) string { return flagWords(attr, attrFlagNames) }

func changeWords(set, clear uint64) string {
	return join(prefix("set ", attrNames(set)), prefix("clear ", attrNames(clear)))
}

func propagations(list []uint64) string {
	words := make([]string, 0, len(list))
	for _, flags := range list {
		words = append(words, msNames(flags))
	}
	return strings.Join(words, " then ")
}

// clean quotes what would not stay on its line.
func clean(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return strconv.Quote(s)
		}
	}
	return s
}

func quoted(args []string) string {
	words := make([]string, 0, len(args))
	for _, a := range args {
		words = append(words, strconv.Quote(a))
	}
	return strings.Join(words, " ")
}

// ranges writes a sorted list as "0-3,7".
func ranges(list []int) string {
	var words []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		w := strconv.Itoa(list[i])
		if j > i {
			w += "-" + strconv.Itoa(list[j])
		}
		words = append(words, w)
		i = j + 1
	}
	return strings.Join(words, ",")
}

// join joins the words that are not empty.
func join(words ...string) string {
	kept := make([]string, 0, len(words))
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}

func word(ok bool, s string) string {
	if ok {
		return s
	}
	return ""
}

func prefix(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}

func arrow(s string) string { return prefix("-> ", s) }

func octal(mode uint32) string { return fmt.Sprintf("%04o", mode) }

func hexMask(v uint64) string {
	if v == 0 {
		return ""
	}
	return "0x" + strconv.FormatUint(v, 16)
}

func id(p string, v *int64) string {
	if v == nil {
		return ""
	}
	return p + strconv.FormatInt(*v, 10)
}

func descriptor(fd *int) string {
	if fd == nil {
		return ""
	}
	return "by descriptor " + strconv.Itoa(*fd)
}

func limit(v uint64) string {
	if v == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}
