package nsexec

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/plan"
)

// A Mix is the namespaces of a process to be made.
type Mix struct {
	Namespaces  []plan.Namespace // at most one of a type; a missing type is the host's
	TimeOffsets map[string]specs.LinuxTimeOffset
	// Privileged: the runtime has CAP_SYS_ADMIN outside, so it enters namespaces before a user
	// namespace takes that away; a user without it enters them with what the user namespace gives.
	Privileged bool
	// Init is the pidfd of a container's init process, for an exec: all of its namespaces that
	// differ from ours are entered at once. InitPid is its pid. Namespaces stays empty then.
	Init    *os.File
	InitPid int
}

// Who does something about a namespace.
const (
	byStage0 = "stage-0"
	byClone  = "clone"
	byStage1 = "stage-1"
)

// A Row says who does what about which namespace. Rows are in the order in which it happens.
type Row struct {
	Who    string // "stage-0", "clone" (stage-0's one clone3) or "stage-1"
	Do     string // "setns", "unshare", "timens", "entertime" or "clone"
	Flags  uint64 // CLONE_NEW*
	Value  string // timens: what is written
	Object string // for messages: "net /run/netns/x", "net of pid 42"
	Path   string // setns: the file to open; empty for the pidfd of an exec's init
}

// A Table is the whole process tree's part in the namespaces.
type Table struct {
	Rows []Row
	// Dumpable: a user without privilege can write the id maps of a dumpable process only. Nobody
	// else is in the new user namespace yet, so nobody can trace it.
	Dumpable bool
	init     *os.File
}

// kinds has the order in which namespaces are entered: mount last, since it changes what paths mean.
var kinds = []struct {
	typ  specs.LinuxNamespaceType
	flag uint64
	file string // below /proc/PID/ns
}{
	{specs.UserNamespace, unix.CLONE_NEWUSER, "user"},
	{specs.TimeNamespace, unix.CLONE_NEWTIME, "time"},
	{specs.PIDNamespace, unix.CLONE_NEWPID, "pid"},
	{specs.NetworkNamespace, unix.CLONE_NEWNET, "net"},
	{specs.IPCNamespace, unix.CLONE_NEWIPC, "ipc"},
	{specs.UTSNamespace, unix.CLONE_NEWUTS, "uts"},
	{specs.CgroupNamespace, unix.CLONE_NEWCGROUP, "cgroup"},
	{specs.MountNamespace, unix.CLONE_NEWNS, "mnt"},
}

// Table decides who enters or makes which namespace.
//
//   - Entering needs privilege over the namespace, which a user namespace entered or made before
//     takes away from the host's root and gives to an ordinary user.
//   - A new time namespace gets its offsets between unshare and its first process, so stage-0
//     makes it. Without privilege only the new user namespace may: then stage-1 does, and enters it
//     itself.
//   - A new cgroup namespace's root is the maker's cgroup, so stage-1 makes it after the join. A
//     joined one is entered after the join too, for a cgroup outside of it cannot be joined
//     (cgroup_namespaces(7)), unless a user namespace would forbid it by then.
//   - All else is new with the one clone3, which makes the user namespace first, so that it owns
//     the others.
func (m Mix) Table() (Table, error) {
	if m.Init != nil {
		return m.execTable()
	}
	user := m.mode(specs.UserNamespace)
	t := Table{Dumpable: !m.Privileged && user == plan.New}
	if user == plan.Joined && !m.Privileged {
		t.add(m.joinRow(byStage0, specs.UserNamespace))
	}
	for _, k := range kinds {
		if m.mode(k.typ) != plan.Joined || k.typ == specs.UserNamespace {
			continue
		}
		if k.typ != specs.CgroupNamespace || user != plan.Host {
			t.add(m.joinRow(byStage0, k.typ))
		}
	}
	if user == plan.Joined && m.Privileged {
		t.add(m.joinRow(byStage0, specs.UserNamespace))
	}
	stage1Time := m.mode(specs.TimeNamespace) == plan.New && user == plan.New && !m.Privileged
	if m.mode(specs.TimeNamespace) == plan.New && !stage1Time {
		t.addTime(byStage0, m.TimeOffsets)
	}
	t.addClone(m)
	if m.mode(specs.CgroupNamespace) == plan.Joined && user == plan.Host {
		t.add(m.joinRow(byStage1, specs.CgroupNamespace))
	}
	if m.mode(specs.CgroupNamespace) == plan.New {
		t.add(Row{Who: byStage1, Do: "unshare", Flags: unix.CLONE_NEWCGROUP, Object: "cgroup"})
	}
	if stage1Time {
		t.addTime(byStage1, m.TimeOffsets)
		t.add(Row{Who: byStage1, Do: "entertime", Object: "time"})
	}
	return t, nil
}

func (m Mix) mode(typ specs.LinuxNamespaceType) plan.Mode {
	for _, n := range m.Namespaces {
		if n.Type == typ {
			return n.Mode
		}
	}
	return plan.Host
}

func (m Mix) joinRow(who string, typ specs.LinuxNamespaceType) Row {
	i := slices.IndexFunc(m.Namespaces, func(n plan.Namespace) bool { return n.Type == typ })
	path := m.Namespaces[i].Path
	return Row{Who: who, Do: "setns", Flags: flagOf(typ), Object: string(typ) + " " + path, Path: path}
}

func flagOf(typ specs.LinuxNamespaceType) uint64 {
	for _, k := range kinds {
		if k.typ == typ {
			return k.flag
		}
	}
	return 0
}

func (t *Table) add(r Row) { t.Rows = append(t.Rows, r) }

func (t *Table) addTime(who string, offsets map[string]specs.LinuxTimeOffset) {
	t.add(Row{Who: who, Do: "unshare", Flags: unix.CLONE_NEWTIME, Object: "time"})
	var lines strings.Builder
	for _, clock := range []string{"monotonic", "boottime"} {
		if o, ok := offsets[clock]; ok {
			fmt.Fprintf(&lines, "%s %d %d\n", clock, o.Secs, o.Nanosecs)
		}
	}
	if lines.Len() > 0 {
		t.add(Row{Who: who, Do: "timens", Value: lines.String(), Object: "time"})
	}
}

func (t *Table) addClone(m Mix) {
	r := Row{Who: byClone, Do: "clone"}
	var names []string
	for _, k := range kinds {
		if m.mode(k.typ) == plan.New && k.typ != specs.TimeNamespace && k.typ != specs.CgroupNamespace {
			r.Flags |= k.flag
			names = append(names, string(k.typ))
		}
	}
	r.Object = strings.Join(names, " ")
	t.add(r)
}

// execTable joins init's namespaces by its pidfd, all at once (setns(2)). Those that are ours
// already are left out: the kernel refuses one's own user namespace with EINVAL.
func (m Mix) execTable() (Table, error) {
	t := Table{init: m.Init}
	var flags uint64
	var names []string
	cgroup := false
	for _, k := range kinds {
		same, err := sameNamespace(m.InitPid, k.file)
		if err != nil {
			return Table{}, err
		}
		switch {
		case same:
		case k.typ == specs.CgroupNamespace && !m.foreignCgroup():
			cgroup = true
		default:
			flags |= k.flag
			names = append(names, string(k.typ))
		}
	}
	of := " of pid " + strconv.Itoa(m.InitPid)
	if flags != 0 {
		t.add(Row{Who: byStage0, Do: "setns", Flags: flags, Object: strings.Join(names, " ") + of})
	}
	t.add(Row{Who: byClone, Do: "clone"})
	if cgroup {
		t.add(Row{Who: byStage1, Do: "setns", Flags: unix.CLONE_NEWCGROUP, Object: "cgroup" + of})
	}
	return t, nil
}

// foreignCgroup tells whether init's cgroup namespace belongs to another user namespace than init's
// own. It has to be entered together with that one, which takes the right to it away.
func (m Mix) foreignCgroup() bool {
	dir := "/proc/" + strconv.Itoa(m.InitPid) + "/ns/"
	fd, err := unix.Open(dir+"cgroup", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // joining it will say why
	}
	defer unix.Close(fd) //nolint:errcheck // read only
	owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if err != nil {
		// EPERM: an owner that this process may not know is none of the container's.
		return errors.Is(err, unix.EPERM)
	}
	defer unix.Close(owner) //nolint:errcheck // read only
	var theirs, its unix.Stat_t
	if unix.Stat(dir+"user", &theirs) != nil || unix.Fstat(owner, &its) != nil {
		return false
	}
	return theirs.Ino != its.Ino
}

// sameNamespace compares a namespace of pid with ours: this thread's, since another may be in a
// container's for a moment. A kernel without the namespace has one for all.
func sameNamespace(pid int, file string) (bool, error) {
	var ours, theirs unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/"+file, &ours); err != nil {
		return true, nil //nolint:nilerr // no such namespace in this kernel
	}
	path := "/proc/" + strconv.Itoa(pid) + "/ns/" + file
	if err := unix.Stat(path, &theirs); err != nil {
		var errno unix.Errno
		errors.As(err, &errno)
		return false, &handshake.StageError{Side: handshake.Runtime, Step: "look at namespace", Object: path, Errno: errno}
	}
	return ours.Ino == theirs.Ino && ours.Dev == theirs.Dev, nil
}

// An Entry is a table with its descriptors open: what spawn and join carry. The caller adds the
// cgroup's descriptors to the lists and closes the entry.
type Entry struct {
	Spawn    handshake.SpawnBody
	SpawnFDs []int
	Join     handshake.JoinBody
	JoinFDs  []int
	opened   []int
}

// Open opens what the table names.
func (t Table) Open() (*Entry, error) {
	e := &Entry{Spawn: handshake.SpawnBody{Dumpable: t.Dumpable}}
	for _, r := range t.Rows {
		var err error
		switch r.Who {
		case byClone:
			e.Spawn.Clone = r.Flags
		case byStage0:
			err = e.action(t, r, &e.Spawn.Actions, &e.SpawnFDs)
		default:
			err = e.action(t, r, &e.Join.Actions, &e.JoinFDs)
		}
		if err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

func (e *Entry) action(t Table, r Row, actions *[]handshake.Action, fds *[]int) error {
	a := handshake.Action{Do: r.Do, Flags: r.Flags, Value: r.Value, Object: r.Object}
	if r.Do == "setns" {
		fd, err := e.namespaceFD(t, r)
		if err != nil {
			return err
		}
		a.FD = new(int)
		*a.FD = len(*fds)
		*fds = append(*fds, fd)
	}
	*actions = append(*actions, a)
	return nil
}

func (e *Entry) namespaceFD(t Table, r Row) (int, error) {
	if r.Path == "" {
		return int(t.init.Fd()), nil
	}
	fd, err := unix.Open(r.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		var errno unix.Errno
		errors.As(err, &errno)
		return -1, &handshake.StageError{Side: handshake.Runtime, Step: "open namespace", Object: r.Object, Errno: errno}
	}
	e.opened = append(e.opened, fd)
	return fd, nil
}

// Close closes what Open opened; descriptors that the caller added stay the caller's.
func (e *Entry) Close() {
	for _, fd := range e.opened {
		_ = unix.Close(fd)
	}
	e.opened = nil
}
