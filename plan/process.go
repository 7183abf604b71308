package plan

import (
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultUmask is runc's where process.user.umask is not set.
const defaultUmask = 0o022

// keyring joins a session keyring of the container's own, which is shared by its exec processes but
// not by the host. perm is added to the keyring's, so that the container's root can search it.
func (b *builder) keyring(label string, perm uint32) {
	if b.o.NoNewKeyring {
		return
	}
	b.add(Keyring{Name: "_ses." + b.o.ID, Label: label, Perm: perm})
}

// console adds the terminal. bind also puts it at /dev/console.
func (b *builder) console(bind bool) {
	if !b.proc.Terminal {
		return
	}
	c := Console{Mount: bind, UID: int64(b.proc.User.UID)}
	if size := b.proc.ConsoleSize; size != nil && size.Height <= 0xffff && size.Width <= 0xffff {
		c.Rows, c.Cols = uint16(size.Height), uint16(size.Width)
	}
	b.add(c)
}

// labels are the LSM labels of the program.
type labels struct{ appArmor, seLinux string }

// checkLabels refuses what the host cannot do: a container that silently ran unconfined would be
// worse than none. "unconfined" asks for nothing.
func (b *builder) checkLabels(l *labels) error {
	if l.seLinux != "" && !b.f.SELinux {
		return refuse(b.at+".selinuxLabel", "SELinux is not enabled")
	}
	if l.appArmor != "" && !b.f.AppArmor {
		if l.appArmor != "unconfined" {
			return refuse(b.at+".apparmorProfile", "AppArmor is not enabled")
		}
		l.appArmor = ""
	}
	return nil
}

func (b *builder) execLabels(l labels) {
	if l.appArmor != "" {
		b.add(ExecLabel{Kind: "apparmor", Label: l.appArmor})
	}
	if l.seLinux != "" {
		b.add(ExecLabel{Kind: "selinux", Label: l.seLinux})
	}
}

// program is what the steps around the final execve need.
type program struct {
	args   []string
	env    environment
	cwd    string
	labels labels
	caps   *specs.LinuxCapabilities
	sets   capSets
}

// readProgram checks the fields that Create and Exec treat alike.
func (b *builder) readProgram(caps *specs.LinuxCapabilities, l labels) (program, error) {
	p := program{args: b.proc.Args, cwd: b.proc.Cwd, labels: l, caps: caps}
	if len(p.args) == 0 {
		return p, refuse(b.at+".args", "empty")
	}
	for i, a := range p.args {
		if hasNUL(a) {
			return p, refuse(item(b.at+".args", i), "contains a NUL byte")
		}
	}
	if !path.IsAbs(p.cwd) || hasNUL(p.cwd) {
		return p, refuse(b.at+".cwd", "not an absolute path: "+strconv.Quote(p.cwd))
	}
	var err error
	if p.env, err = readEnvironment(b.at+".env", b.proc.Env); err != nil {
		return p, err
	}
	if err = b.checkLabels(&p.labels); err != nil {
		return p, err
	}
	if caps != nil {
		p.sets, err = b.capabilities(b.at+".capabilities", caps)
	}
	return p, err
}

// outside fills in what the runtime does to the process.
func (b *builder) outside(limits []specs.POSIXRlimit, score *int) error {
	for i, l := range limits {
		n, ok := rlimitNumber(l.Type)
		if !ok {
			return refuse(item(b.at+".rlimits", i)+".type", "unknown limit "+strconv.Quote(l.Type))
		}
		b.plan.Rlimits = append(b.plan.Rlimits, Rlimit{Name: l.Type, Type: n, Soft: l.Soft, Hard: l.Hard})
	}
	b.plan.OOMScoreAdj = score
	return nil
}

// attributes adds scheduling, personality and memory policy, in runc's order. The latter two are the
// container's, for exec processes too.
func (b *builder) attributes(s *specs.Scheduler, io *specs.LinuxIOPriority) error {
	if s != nil {
		step, err := schedulerStep(b.at+".scheduler", s)
		if err != nil {
			return err
		}
		b.add(step)
	}
	if io != nil {
		class, ok := ioClass(io.Class)
		if !ok {
			return refuse(b.at+".ioPriority.class", "unknown class "+strconv.Quote(string(io.Class)))
		}
		b.add(IOPriority{Class: class, Priority: io.Priority})
	}
	if err := b.personality(); err != nil {
		return err
	}
	return b.memoryPolicy()
}

func (b *builder) personality() error {
	p := b.linux.Personality
	if p == nil {
		return nil
	}
	if len(p.Flags) > 0 {
		b.warn("linux.personality.flags", "none is defined, ignored")
	}
	switch p.Domain {
	case specs.PerLinux:
		b.add(Personality{Domain: 0})
	case specs.PerLinux32:
		b.add(Personality{Domain: 8})
	default:
		return refuse("linux.personality.domain", "unknown domain "+strconv.Quote(string(p.Domain)))
	}
	return nil
}

func (b *builder) memoryPolicy() error {
	m := b.linux.MemoryPolicy
	if m == nil {
		return nil
	}
	mode, ok := memoryModes[m.Mode]
	if !ok {
		return refuse("linux.memoryPolicy.mode", "unknown mode "+strconv.Quote(string(m.Mode)))
	}
	for i, f := range m.Flags {
		bit, ok := memoryFlags[f]
		if !ok {
			return refuse(item("linux.memoryPolicy.flags", i), "unknown flag "+strconv.Quote(string(f)))
		}
		mode |= bit
	}
	nodes, reason := parseList(m.Nodes)
	if reason != "" {
		return refuse("linux.memoryPolicy.nodes", reason)
	}
	b.add(MemoryPolicy{Mode: mode, Nodes: nodes})
	return nil
}

// place adds the working directory, the user's home and the owner of the standard descriptors.
func (b *builder) place(p *program) {
	uid := int64(b.proc.User.UID)
	b.add(Cwd{Path: p.cwd, Retry: true})
	if !p.env.hasHome {
		b.add(Home{UID: uid})
	}
	b.add(Stdio{UID: uid})
}

// lookup finds the program with the rights that the process has at that point.
func (b *builder) lookup(p *program) {
	b.add(Lookup{Name: p.args[0], Path: p.env.path})
}

// last adds the last actions, alike for init and exec processes, in the order of the design page:
// rights go away one after the other, and nothing is done after a right is gone that needs it.
// again repeats the lookup once the process is the user.
func (b *builder) last(p *program, again bool) {
	b.add(Signals{})
	b.execLabels(p.labels) // by a descriptor of /proc
	b.closeFDs()
	if p.caps != nil {
		b.add(Bounding{Keep: p.sets.bounding})
	}
	if b.proc.NoNewPrivileges {
		b.add(NoNewPrivs{})
	}
	b.user()
	// Without no_new_privs only CAP_SYS_ADMIN may load a filter (seccomp(2)), so the final
	// capabilities come after it.
	filterFirst := b.o.Seccomp != nil && !b.proc.NoNewPrivileges
	if !filterFirst {
		b.finalCaps(p)
	}
	if again {
		b.lookup(p)
	}
	if b.o.Init || b.o.Reap {
		// After the change of IDs, so that the process that stays is no more than the user. It waits
		// with all signals blocked, which the program must not inherit.
		b.add(Init{Subreaper: b.o.Reap}, Signals{})
	}
	b.add(SyncExecuting{})
	if b.o.Seccomp != nil {
		b.add(*b.o.Seccomp)
	}
	if filterFirst {
		b.finalCaps(p)
	}
	b.add(Execute{Args: p.args, Env: p.env.vars, ListenPID: b.o.ListenFDs > 0})
}

// stageFiles is how many descriptors the stage needs for itself, with room to spare.
const stageFiles = 64

// closeFDs adds the step, which also sets a limit of files that does not leave the stage its own: until
// then there is one that does.
func (b *builder) closeFDs() {
	step := CloseFDs{Keep: 3 + b.o.ListenFDs + b.o.PreserveFDs}
	enough := uint64(step.Keep + stageFiles)
	for i := range b.plan.Rlimits {
		if l := &b.plan.Rlimits[i]; l.Type == unix.RLIMIT_NOFILE && l.Soft < enough {
			step.Limit, step.Soft, step.Hard = true, l.Soft, l.Hard
			l.Soft, l.Hard = enough, max(enough, l.Hard)
		}
	}
	b.add(step)
}

func (b *builder) finalCaps(p *program) {
	if p.caps != nil {
		b.add(p.sets.caps)
	}
}

// user adds the change of IDs. Where a user namespace has no more than its maker's own group, groups
// may not be set (user_namespaces(7)): those of /etc/group stay what they are.
func (b *builder) user() {
	u := b.proc.User
	step := User{UID: int64(u.UID), GID: int64(u.GID), Groups: []int64{}}
	if b.f.SetgroupsDenied {
		step.NoGroups = true
		if len(u.AdditionalGids) > 0 {
			b.warn(b.at+".user.additionalGids", "setgroups is denied in the user namespace, ignored")
		}
	} else {
		for _, g := range u.AdditionalGids {
			step.Groups = append(step.Groups, int64(g))
		}
	}
	b.add(step)
}

// searched tells whether name is looked up in PATH.
func searched(name string) bool { return !strings.Contains(name, "/") }
