package plan

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// stepsOf gives the steps of one type, in order.
func stepsOf[T Step](p *Plan) []T {
	var found []T
	for _, s := range p.Steps {
		if v, ok := s.(T); ok {
			found = append(found, v)
		}
	}
	return found
}

// base is a small configuration with all namespaces that most have.
func base() *specs.Spec {
	return &specs.Spec{
		Process: &specs.Process{Args: []string{"/bin/x"}, Cwd: "/", Env: []string{"PATH=/bin"}, NoNewPrivileges: true},
		Root:    &specs.Root{Path: "rootfs"},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}, {Type: specs.UTSNamespace}, {Type: specs.IPCNamespace},
			{Type: specs.NetworkNamespace},
		}},
	}
}

// with gives base after a change.
func with(change func(s *specs.Spec)) *specs.Spec {
	s := base()
	change(s)
	return s
}

func namespace(s *specs.Spec, t specs.LinuxNamespaceType, path string) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t, Path: path})
}

func without(s *specs.Spec, t specs.LinuxNamespaceType) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}

func userNS(s *specs.Spec) {
	namespace(s, specs.UserNamespace, "")
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 2000, Size: 10}}
}

func mounts(m ...specs.Mount) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = m }
}

func mustCreate(t *testing.T, spec *specs.Spec, f Facts, o Options) *Plan {
	t.Helper()
	if f.LastCap == 0 {
		f = merge(f)
	}
	p, err := Create(spec, "/b", "/b/rootfs", f, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// merge fills what a test left open with the hybrid host's.
func merge(f Facts) Facts {
	h := hybridFacts()
	if f.CgroupVersion == "" {
		f.CgroupVersion, f.CgroupMounts, f.CgroupPaths = h.CgroupVersion, h.CgroupMounts, h.CgroupPaths
	}
	if f.BoundingCaps == 0 {
		f.BoundingCaps = h.BoundingCaps
	}
	f.LastCap = h.LastCap
	return f
}

// one gives the only step of a type.
func one[T Step](t *testing.T, p *Plan) T {
	t.Helper()
	found := stepsOf[T](p)
	if len(found) != 1 {
		t.Fatalf("%d steps of type %T: %+v", len(found), *new(T), found)
	}
	return found[0]
}

// ops gives the plan's steps by name.
func ops(p *Plan) []string {
	names := make([]string, 0, len(p.Steps))
	for _, s := range p.Steps {
		names = append(names, s.Op())
	}
	return names
}

// from gives the names from the first op of that name on.
func from(p *Plan, op string) []string {
	names := ops(p)
	if i := slices.Index(names, op); i >= 0 {
		return names[i:]
	}
	return nil
}

func TestOrderOfLastActions(t *testing.T) {
	caps := &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}}
	for _, test := range []struct {
		name   string
		change func(*specs.Process)
		o      Options
		want   string
	}{
		{"no_new_privs and a filter", func(p *specs.Process) { p.Capabilities = caps }, Options{Seccomp: filter},
			"signals close-fds bounding no-new-privs user caps executing seccomp exec"},
		{"privileges and a filter: CAP_SYS_ADMIN loads it", func(p *specs.Process) { p.Capabilities, p.NoNewPrivileges = caps, false },
			Options{Seccomp: filter}, "signals close-fds bounding user executing seccomp caps exec"},
		{"no_new_privs alone", func(p *specs.Process) { p.Capabilities = caps }, Options{},
			"signals close-fds bounding no-new-privs user caps executing exec"},
		{"neither", func(p *specs.Process) { p.Capabilities, p.NoNewPrivileges = caps, false }, Options{},
			"signals close-fds bounding user caps executing exec"},
		{"capabilities not given stay", func(*specs.Process) {}, Options{Seccomp: filter},
			"signals close-fds no-new-privs user executing seccomp exec"},
		{"a user searches PATH again", func(p *specs.Process) { p.User.UID, p.Args = 5, []string{"x"} }, Options{},
			"signals close-fds no-new-privs user lookup executing exec"},
		{"root does not", func(p *specs.Process) { p.Args = []string{"x"} }, Options{},
			"signals close-fds no-new-privs user executing exec"},
		{"nor is a path searched", func(p *specs.Process) { p.User.UID = 5 }, Options{},
			"signals close-fds no-new-privs user executing exec"},
		{"built-in init", func(p *specs.Process) { p.Capabilities = caps }, Options{Init: true, Seccomp: filter},
			"signals close-fds bounding no-new-privs user caps init signals executing seccomp exec"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustCreate(t, with(func(s *specs.Spec) { test.change(s.Process) }), Facts{}, test.o)
			if got := strings.Join(from(p, "signals"), " "); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestOrderOfCreate(t *testing.T) {
	f := v2Facts()
	f.SELinux = true
	p, err := Create(loadSpec(t, "all"), "/b", "/rootfs", f, Options{ID: "c1", Seccomp: filter, ListenFDs: 1})
	if err != nil {
		t.Fatal(err)
	}
	// Each op must come before the next one; what is between them does not matter here.
	order := []string{
		"keyring", "propagation", "root", "mount", "device", "symlink", "mounted", "hook", "pivot", "mkdir", "mount-attr",
		"root-attr", "umask", "hostname", "domainname", "sysctl", "readonly", "mask", "scheduler", "io-priority", "personality",
		"memory-policy", "exec-label", "cwd", "home", "stdio", "lookup", "created", "signals", "close-fds", "bounding", "user",
		"executing", "seccomp", "caps", "exec",
	}
	names := ops(p)
	last := -1
	for _, op := range order {
		i := slices.Index(names, op)
		if i <= last {
			t.Errorf("%s at %d, must come after %d: %q", op, i, last, names)
		}
		last = i
	}
	hooks := stepsOf[Hook](p)
	created, pivot := slices.Index(names, "created"), slices.Index(names, "pivot")
	if len(hooks) != 3 || hooks[0].Point != "createContainer" || hooks[2].Point != "startContainer" || hooks[2].Index != 1 {
		t.Fatalf("hooks %+v", hooks)
	}
	for i, s := range p.Steps {
		if h, ok := s.(Hook); ok && (h.Point == "createContainer") != (i < pivot) {
			t.Errorf("%s hook at step %d, pivot at %d", h.Point, i, pivot)
		} else if ok && h.Point == "startContainer" && i < created {
			t.Errorf("startContainer hook before created")
		}
	}
}

func TestHooks(t *testing.T) {
	five := 5
	p := mustCreate(t, with(func(s *specs.Spec) {
		s.Process.Env = []string{"A=1", "PATH=/x", "A=2"}
		s.Hooks = &specs.Hooks{
			Prestart:        []specs.Hook{{Path: "/not/a/step"}},
			CreateContainer: []specs.Hook{{Path: "/cc", Timeout: &five}},
			StartContainer:  []specs.Hook{{Path: "/sc"}, {Path: "/sc", Args: []string{"a"}, Env: []string{"B=1"}}},
		}
	}), Facts{}, Options{})
	want := []Hook{
		{Point: "createContainer", Path: "/cc", Args: []string{"/cc"}, Timeout: 5000},
		{Point: "startContainer", Path: "/sc", Args: []string{"/sc"}, Env: []string{"PATH=/x", "A=2"}},
		{Point: "startContainer", Index: 1, Path: "/sc", Args: []string{"a"}, Env: []string{"B=1"}},
	}
	if got := stepsOf[Hook](p); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

func TestRootAndPropagation(t *testing.T) {
	const rec = unix.MS_REC
	for _, test := range []struct {
		word        string
		noPivot     bool
		propagation uint64
		parent      uint64
		pivot       Pivot
	}{
		{"", false, unix.MS_SLAVE | rec, unix.MS_PRIVATE, Pivot{Method: "pivot", DevNull: true}},
		{"", true, unix.MS_SLAVE | rec, unix.MS_PRIVATE, Pivot{Method: "move", DevNull: true}},
		{"private", false, unix.MS_PRIVATE, unix.MS_PRIVATE, Pivot{Method: "pivot", DevNull: true}},
		{"rprivate", false, unix.MS_PRIVATE | rec, unix.MS_PRIVATE, Pivot{Method: "pivot", DevNull: true}},
		{"slave", false, unix.MS_SLAVE, unix.MS_SLAVE, Pivot{Method: "pivot", DevNull: true}},
		{"rslave", true, unix.MS_SLAVE | rec, unix.MS_SLAVE, Pivot{Method: "move", DevNull: true}},
		{"shared", false, unix.MS_SHARED, unix.MS_PRIVATE, Pivot{Method: "pivot", DevNull: true, Propagation: unix.MS_SHARED}},
		{"rshared", false, unix.MS_SHARED | rec, unix.MS_PRIVATE, Pivot{Method: "pivot", DevNull: true, Propagation: unix.MS_SHARED | rec}},
	} {
		t.Run(test.word, func(t *testing.T) {
			p := mustCreate(t, with(func(s *specs.Spec) { s.Linux.RootfsPropagation = test.word }), Facts{}, Options{NoPivot: test.noPivot})
			if got := one[Propagation](t, p); got.Flags != test.propagation {
				t.Errorf("propagation %#x, want %#x", got.Flags, test.propagation)
			}
			if got := one[Root](t, p); got != (Root{Path: "/b/rootfs", Parent: test.parent}) {
				t.Errorf("root %+v", got)
			}
			if got := one[Pivot](t, p); got != test.pivot {
				t.Errorf("pivot %+v, want %+v", got, test.pivot)
			}
		})
	}
}

func TestLimitsThatCgroupV2LacksAreWarnedAbout(t *testing.T) {
	one, on, small := uint64(1), true, uint16(10)
	runtime, class := int64(5), uint32(5)
	all := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Swappiness: &one, DisableOOMKiller: &on},
		CPU:     &specs.LinuxCPU{RealtimeRuntime: &runtime, RealtimePeriod: &one},
		Network: &specs.LinuxNetwork{ClassID: &class, Priorities: []specs.LinuxInterfacePriority{{Name: "lo"}}},
		BlockIO: &specs.LinuxBlockIO{LeafWeight: &small, WeightDevice: []specs.LinuxWeightDevice{{LeafWeight: &small}}},
	}
	for version, want := range map[string]int{"v1": 0, "hybrid": 0, "v2": 8} {
		p := mustCreate(t, with(func(s *specs.Spec) { s.Linux.Resources = all }), Facts{CgroupVersion: version, CgroupMounts: map[string]string{"cpu": "/c"}}, Options{})
		got := 0
		for _, w := range p.Warnings {
			if strings.HasPrefix(w, "linux.resources.") && strings.HasSuffix(w, ": ignored: cgroup v2 has nothing like it") {
				got++
			}
		}
		if got != want {
			t.Errorf("%s: %d warnings, want %d: %q", version, got, want, p.Warnings)
		}
	}
}

// Before everything is bound, nothing may be unbindable.
func TestUnbindableComesLast(t *testing.T) {
	p := mustCreate(t, with(func(s *specs.Spec) { s.Linux.RootfsPropagation = "runbindable" }), Facts{}, Options{})
	want := []Propagation{{Flags: unix.MS_PRIVATE | unix.MS_REC}, {Flags: unix.MS_UNBINDABLE | unix.MS_REC}}
	if got := stepsOf[Propagation](p); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	names := ops(p)
	last := len(names) - 1 - slices.Index(reversed(names), "propagation")
	for _, op := range []string{"bind", "mount", "mask", "readonly", "device"} {
		if slices.Contains(names[last:], op) {
			t.Errorf("%s comes after the mounts are unbindable", op)
		}
	}
}

func reversed(names []string) []string {
	names = slices.Clone(names)
	slices.Reverse(names)
	return names
}

func TestNoMountNamespace(t *testing.T) {
	p := mustCreate(t, with(func(s *specs.Spec) { without(s, specs.MountNamespace) }), Facts{}, Options{})
	if got := one[Root](t, p); got != (Root{Path: "/b/rootfs", Plain: true}) {
		t.Errorf("root %+v", got)
	}
	if got := one[Pivot](t, p); got.Method != "chroot" {
		t.Errorf("pivot %+v", got)
	}
	for _, op := range []string{"propagation", "root-attr", "mount-attr"} {
		if slices.Contains(ops(p), op) {
			t.Errorf("%s would change the host's mounts", op)
		}
	}
}

func TestUnreachableRoot(t *testing.T) {
	f := Facts{Root: SourceFact{Unreachable: true}}
	p := mustCreate(t, with(userNS), f, Options{})
	root := one[Root](t, p)
	if root.FD == nil {
		t.Fatalf("no descriptor: %+v", root)
	}
	want := Source{Kind: SourceTree, Path: "/b/rootfs", Recursive: true, Propagation: unix.MS_SLAVE | unix.MS_REC, Field: "root.path"}
	if got := p.Sources[*root.FD]; !reflect.DeepEqual(got, want) {
		t.Errorf("source %+v, want %+v", got, want)
	}
	if p := mustCreate(t, base(), f, Options{}); one[Root](t, p).FD != nil {
		t.Error("a descriptor without a user namespace")
	}
	f.Rootless = true
	if p := mustCreate(t, with(userNS), f, Options{}); one[Root](t, p).FD != nil {
		t.Error("a descriptor that the runtime cannot open either")
	}
}

func TestCwdIsMadeBeforeTheRootIsReadOnly(t *testing.T) {
	p := mustCreate(t, with(func(s *specs.Spec) { s.Process.Cwd, s.Root.Readonly = "/a/b", true }), Facts{}, Options{})
	names := ops(p)
	mkdir, attr, cwd := slices.Index(names, "mkdir"), slices.Index(names, "root-attr"), slices.Index(names, "cwd")
	if mkdir < 0 || mkdir > attr || attr > cwd {
		t.Errorf("%q", names)
	}
	if got := one[Mkdir](t, p); got != (Mkdir{Path: "/a/b", Mode: 0o755}) {
		t.Errorf("%+v", got)
	}
	if got := one[Cwd](t, p); got != (Cwd{Path: "/a/b", Retry: true}) {
		t.Errorf("%+v", got)
	}
	if p := mustCreate(t, base(), Facts{}, Options{}); slices.Contains(ops(p), "mkdir") {
		t.Error("the root is made")
	}
}

func TestKeyring(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*specs.Spec)
		o      Options
		want   []Keyring
	}{
		{"plain", func(*specs.Spec) {}, Options{ID: "c1"}, []Keyring{{Name: "_ses.c1", Perm: 0x80000}}},
		{"user namespace", userNS, Options{ID: "c1"}, []Keyring{{Name: "_ses.c1", Perm: 0x8}}},
		{"label", func(s *specs.Spec) { s.Process.SelinuxLabel = "l" }, Options{ID: "c1"}, []Keyring{{Name: "_ses.c1", Perm: 0x80000, Label: "l"}}},
		{"none", func(*specs.Spec) {}, Options{ID: "c1", NoNewKeyring: true}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustCreate(t, with(test.change), Facts{SELinux: true}, test.o)
			if got := stepsOf[Keyring](p); !slices.Equal(got, test.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestLoopbackInANewNetworkNamespaceOnly(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*specs.Spec)
		want   int
	}{
		{"new", func(*specs.Spec) {}, 1},
		{"host", func(s *specs.Spec) { without(s, specs.NetworkNamespace) }, 0},
		{"joined", func(s *specs.Spec) {
			without(s, specs.NetworkNamespace)
			namespace(s, specs.NetworkNamespace, "/proc/1/ns/net")
		}, 0},
	} {
		if got := len(stepsOf[Loopback](mustCreate(t, with(test.change), Facts{}, Options{}))); got != test.want {
			t.Errorf("%s: %d", test.name, got)
		}
	}
}

func TestUmask(t *testing.T) {
	zero, some := uint32(0), uint32(0o77)
	for _, test := range []struct {
		set  *uint32
		want uint32
	}{{nil, 0o22}, {&zero, 0}, {&some, 0o77}} {
		p := mustCreate(t, with(func(s *specs.Spec) { s.Process.User.Umask = test.set }), Facts{}, Options{})
		if got := one[Umask](t, p).Mask; got != test.want {
			t.Errorf("%o, want %o", got, test.want)
		}
	}
}

func TestLabels(t *testing.T) {
	for _, test := range []struct {
		name    string
		process specs.Process
		f       Facts
		want    []ExecLabel
		err     string
	}{
		{"apparmor", specs.Process{ApparmorProfile: "p"}, Facts{AppArmor: true}, []ExecLabel{{"apparmor", "p"}}, ""},
		{"unconfined", specs.Process{ApparmorProfile: "unconfined"}, Facts{AppArmor: true}, []ExecLabel{{"apparmor", "unconfined"}}, ""},
		{"unconfined without AppArmor", specs.Process{ApparmorProfile: "unconfined"}, Facts{}, nil, ""},
		{"no AppArmor", specs.Process{ApparmorProfile: "p"}, Facts{}, nil, "process.apparmorProfile: AppArmor is not enabled"},
		{"selinux", specs.Process{SelinuxLabel: "l"}, Facts{SELinux: true}, []ExecLabel{{"selinux", "l"}}, ""},
		{"no SELinux", specs.Process{SelinuxLabel: "l"}, Facts{}, nil, "process.selinuxLabel: SELinux is not enabled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := with(func(s *specs.Spec) {
				s.Process.ApparmorProfile, s.Process.SelinuxLabel = test.process.ApparmorProfile, test.process.SelinuxLabel
			})
			p, err := Create(spec, "/b", "/b/rootfs", merge(test.f), Options{})
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := stepsOf[ExecLabel](p); !slices.Equal(got, test.want) {
				t.Errorf("got %+v", got)
			}
			names := ops(p)
			if i := slices.Index(names, "exec-label"); i > slices.Index(names, "created") {
				t.Error("a profile that does not exist would fail only at start")
			}
		})
	}
}

func TestSocketActivation(t *testing.T) {
	spec := with(func(s *specs.Spec) { s.Process.Env = []string{"LISTEN_FDS=9", "LISTEN_PID=7", "HOME=/h"} })
	p := mustCreate(t, spec, Facts{}, Options{ListenFDs: 2, ListenFDNames: "a:b", PreserveFDs: 3})
	e := one[Execute](t, p)
	want := []string{"LISTEN_FDS=2", "LISTEN_PID=1", "HOME=/h", "LISTEN_FDNAMES=a:b"}
	if !slices.Equal(e.Env, want) || !e.ListenPID {
		t.Errorf("env %q, replace pid %v", e.Env, e.ListenPID)
	}
	if got := one[CloseFDs](t, p).Keep; got != 8 {
		t.Errorf("keeps %d", got)
	}
	if e := one[Execute](t, mustCreate(t, spec, Facts{}, Options{})); e.ListenPID || !slices.Contains(e.Env, "LISTEN_PID=7") {
		t.Errorf("without sockets: %+v", e)
	}
}

func TestOutsideWork(t *testing.T) {
	score := -10
	p := mustCreate(t, with(func(s *specs.Spec) {
		userNS(s)
		namespace(s, specs.TimeNamespace, "")
		namespace(s, specs.CgroupNamespace, "")
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}}
		s.Process.OOMScoreAdj = &score
		s.Process.User.UID = 3
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_RTTIME", Soft: 1, Hard: 2}, {Type: "RLIMIT_CPU", Soft: 3, Hard: 4}}
		s.Mounts = []specs.Mount{{Destination: "/sys/fs/cgroup/", Type: "cgroup", Source: "cgroup"}}
	}), v2Facts(), Options{})
	if !reflect.DeepEqual(p.Rlimits, []Rlimit{{"RLIMIT_RTTIME", 15, 1, 2}, {"RLIMIT_CPU", 0, 3, 4}}) {
		t.Errorf("limits %+v", p.Rlimits)
	}
	if p.OOMScoreAdj == nil || *p.OOMScoreAdj != -10 {
		t.Errorf("score %v", p.OOMScoreAdj)
	}
	if len(p.TimeOffsets) != 1 || len(p.UIDMappings) != 1 || len(p.GIDMappings) != 1 {
		t.Errorf("offsets %v maps %v %v", p.TimeOffsets, p.UIDMappings, p.GIDMappings)
	}
	if p.CgroupOwner == nil || *p.CgroupOwner != 1003 {
		t.Errorf("owner %v", p.CgroupOwner)
	}
	if len(p.Namespaces) != 8 || p.Namespaces[0] != (Namespace{Type: specs.UserNamespace, Mode: New}) {
		t.Errorf("namespaces %+v", p.Namespaces)
	}
	if p.Sources[one[SyncCreated](t, p).FD].Kind != SourceListener {
		t.Errorf("sources %+v", p.Sources)
	}
}

func TestJoinedUserNamespaceHasNoMappings(t *testing.T) {
	p := mustCreate(t, with(func(s *specs.Spec) {
		userNS(s)
		without(s, specs.UserNamespace)
		namespace(s, specs.UserNamespace, "/proc/9/ns/user")
	}), Facts{}, Options{})
	if p.UIDMappings != nil || p.GIDMappings != nil {
		t.Errorf("%v %v", p.UIDMappings, p.GIDMappings)
	}
}

func TestSupplementaryGroups(t *testing.T) {
	spec := with(func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 1, GID: 2, AdditionalGids: []uint32{3, 4294967294}}
	})
	if got := one[User](t, mustCreate(t, spec, Facts{}, Options{})); !reflect.DeepEqual(got, User{UID: 1, GID: 2, Groups: []int64{3, 4294967294}}) {
		t.Errorf("%+v", got)
	}
	if got := one[User](t, mustCreate(t, spec, Facts{Rootless: true}, Options{})); got.NoGroups {
		t.Error("a user with subordinate IDs can have groups")
	}
	p := mustCreate(t, spec, Facts{SetgroupsDenied: true}, Options{})
	if got := one[User](t, p); !reflect.DeepEqual(got, User{UID: 1, GID: 2, Groups: []int64{}, NoGroups: true}) {
		t.Errorf("%+v", got)
	}
	if !slices.ContainsFunc(p.Warnings, func(w string) bool { return strings.HasPrefix(w, "process.user.additionalGids: ") }) {
		t.Errorf("ignored in silence: %q", p.Warnings)
	}
}

func TestConsole(t *testing.T) {
	spec := with(func(s *specs.Spec) {
		s.Process.Terminal, s.Process.ConsoleSize, s.Process.User.UID = true, &specs.Box{Height: 24, Width: 80}, 7
	})
	if got := one[Console](t, mustCreate(t, spec, Facts{}, Options{})); got != (Console{Mount: true, Rows: 24, Cols: 80, UID: 7}) {
		t.Errorf("%+v", got)
	}
	spec.Process.Terminal = false
	if got := stepsOf[Console](mustCreate(t, spec, Facts{}, Options{})); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestAnnotationInit(t *testing.T) {
	spec := with(func(s *specs.Spec) { s.Annotations = map[string]string{"org.runack.init": "true"} })
	if got := one[Init](t, mustCreate(t, spec, Facts{}, Options{})); got.Subreaper {
		t.Errorf("%+v", got)
	}
}

func TestCreateRefuses(t *testing.T) {
	bind := func(m specs.Mount) func(*specs.Spec) { return mounts(m) }
	for _, test := range []struct {
		name   string
		change func(*specs.Spec)
		want   string
	}{
		{"no process", func(s *specs.Spec) { s.Process = nil }, "process: missing"},
		{"no program", func(s *specs.Spec) { s.Process.Args = nil }, "process.args: empty"},
		{"NUL in an argument", func(s *specs.Spec) { s.Process.Args = []string{"a", "b\x00"} }, "process.args[1]: contains a NUL byte"},
		{"relative cwd", func(s *specs.Spec) { s.Process.Cwd = "a" }, `process.cwd: not an absolute path: "a"`},
		{"environment", func(s *specs.Spec) { s.Process.Env = []string{"A=1", "B"} }, "process.env[1]: no '='"},
		{"nameless variable", func(s *specs.Spec) { s.Process.Env = []string{"=1"} }, "process.env[0]: no name before '='"},
		{"unknown namespace", func(s *specs.Spec) { namespace(s, "space", "") }, `linux.namespaces[5].type: unknown namespace "space"`},
		{"namespace twice", func(s *specs.Spec) { namespace(s, specs.PIDNamespace, "/x") }, "linux.namespaces[5]: a second pid namespace"},
		{"limit", func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}} }, `process.rlimits[0].type: unknown limit "RLIMIT_X"`},
		{"hostname of the host", func(s *specs.Spec) { without(s, specs.UTSNamespace); s.Hostname = "h" }, "hostname: needs a uts namespace in linux.namespaces"},
		{"domainname of the host", func(s *specs.Spec) { without(s, specs.UTSNamespace); s.Domainname = "h" }, "domainname: needs a uts namespace in linux.namespaces"},
		{"masks of the host", func(s *specs.Spec) { without(s, specs.MountNamespace); s.Linux.MaskedPaths = []string{"/x"} }, "linux.maskedPaths: needs a mount namespace in linux.namespaces"},
		{"readonly paths of the host", func(s *specs.Spec) { without(s, specs.MountNamespace); s.Linux.ReadonlyPaths = []string{"/x"} }, "linux.readonlyPaths: needs a mount namespace in linux.namespaces"},
		{"readonly root of the host", func(s *specs.Spec) { without(s, specs.MountNamespace); s.Root.Readonly = true }, "root.readonly: needs a mount namespace in linux.namespaces"},
		{"propagation of the host", func(s *specs.Spec) { without(s, specs.MountNamespace); s.Linux.RootfsPropagation = "slave" }, "linux.rootfsPropagation: needs a mount namespace in linux.namespaces"},
		{"propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "ro" }, `linux.rootfsPropagation: unknown propagation "ro"`},
		{"mount label", func(s *specs.Spec) { s.Linux.MountLabel = "l" }, "linux.mountLabel: SELinux is not enabled"},
		{"filter", func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow} }, "linux.seccomp: not compiled"},
		{"device", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} }, `linux.devices[0].type: unknown device type "z"`},
		{"class", func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: "X"} }, `process.ioPriority.class: unknown class "X"`},
		{"policy", func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "X"} }, `process.scheduler.policy: unknown policy "X"`},
		{"flag", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedRR, Flags: []specs.LinuxSchedulerFlag{"X"}}
		}, `process.scheduler.flags[0]: unknown flag "X"`},
		{"domain", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: "X"} }, `linux.personality.domain: unknown domain "X"`},
		{"mode", func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "X"} }, `linux.memoryPolicy.mode: unknown mode "X"`},
		{"nodes", func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "x"} }, `linux.memoryPolicy.nodes: "x" is not a number or a range`},
		{"mount on the root", bind(specs.Mount{Destination: "/a/..", Type: "tmpfs"}), "mounts[0].destination: the container's root itself"},
		{"mount on the root by its own path", bind(specs.Mount{Destination: "/b/rootfs/", Type: "tmpfs"}), "mounts[0].destination: the container's root itself"},
		{"no destination", bind(specs.Mount{Type: "tmpfs"}), "mounts[0].destination: missing"},
		{"no type", bind(specs.Mount{Destination: "/x", Type: "none"}), "mounts[0].type: missing, and no option makes it a bind mount"},
		{"tmpfs on /proc", bind(specs.Mount{Destination: "/./proc", Type: "tmpfs"}), "mounts[0].destination: /proc takes a procfs alone"},
		{"tmpfs in /proc", bind(specs.Mount{Destination: "/x/../proc/sys/kernel", Type: "tmpfs"}), "mounts[0].destination: inside /proc"},
		{"bind in /proc", bind(specs.Mount{Destination: "/proc/self/attr", Source: "/x", Options: []string{"bind"}}), "mounts[0].destination: inside /proc"},
		{"proc in /proc by the root's own path", bind(specs.Mount{Destination: "/b/rootfs/proc/x", Type: "proc"}), "mounts[0].destination: inside /proc"},
		{"data with bind", bind(specs.Mount{Destination: "/x", Source: "/x", Options: []string{"bind", "size=1"}}), `mounts[0].options: a bind mount takes no option of the file system: "size=1"`},
		{"idmap without bind", bind(specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"idmap"}}), "mounts[0].options: only bind mounts can be ID-mapped"},
		{"idmap without mappings", bind(specs.Mount{Destination: "/x", Source: "/x", Options: []string{"bind", "idmap"}}), "mounts[0].uidMappings: missing for an ID-mapped mount"},
		{"missing source", bind(specs.Mount{Destination: "/x", Source: "/missing", Options: []string{"bind"}}), "mounts[0].source: /missing: ENOENT (2)"},
		{"NUL in an option", bind(specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"a", "\x00"}}), "mounts[0].options[1]: contains a NUL byte"},
		{"NUL in a destination", bind(specs.Mount{Destination: "/x\x00", Type: "tmpfs"}), "mounts[0].destination: contains a NUL byte"},
		{"sysctl that climbs", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net/../kernel/core_pattern": "x"} }, "linux.sysctl[net/../kernel/core_pattern]: not the name of a kernel parameter"},
		{"sysctl that climbs in dots", func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.//.kernel": "x"} }, "linux.sysctl[net.//.kernel]: not the name of a kernel parameter"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := merge(Facts{Sources: map[string]SourceFact{"/missing": {Missing: true}}})
			p, err := Create(with(test.change), "/b", "/b/rootfs", f, Options{})
			if err == nil {
				t.Fatalf("a plan: %q", ops(p))
			}
			if err.Error() != test.want {
				t.Errorf("\n got %s\nwant %s", err, test.want)
			}
			if e := (*Error)(nil); !errors.As(err, &e) {
				t.Errorf("%T", err)
			}
		})
	}
	if _, err := Create(nil, "", "", Facts{}, Options{}); err == nil {
		t.Error("a plan of nothing")
	}
	if _, err := Create(base(), "/b", "rootfs", Facts{}, Options{}); err == nil {
		t.Error("a relative root")
	}
	o := Options{NoPivot: true}
	for _, word := range []string{"private", "rprivate"} {
		if _, err := Create(with(func(s *specs.Spec) { s.Linux.RootfsPropagation = word }), "/b", "/r", Facts{}, o); err == nil {
			t.Errorf("%s without pivot_root", word)
		}
	}
}

func TestSysctlPath(t *testing.T) {
	for _, test := range []struct{ key, want string }{
		{"net.ipv4.ip_forward", "net/ipv4/ip_forward"},
		{"net/ipv4/ip_forward", "net/ipv4/ip_forward"},
		{"net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"},
		{"net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"},
		{"abi", "abi"},
		{"", ""}, {".", ""}, {"net..x", ""}, {"net/../x", ""}, {"net/./x", ""}, {"/net", ""}, {"net/", ""}, {"net.//.x", ""}, {"net\x00", ""},
	} {
		got, ok := sysctlPath(test.key)
		if got != test.want && ok || ok != (test.want != "") {
			t.Errorf("%q: %q %v", test.key, got, ok)
		}
	}
}

func TestSysctlsAreSorted(t *testing.T) {
	p := mustCreate(t, with(func(s *specs.Spec) {
		s.Linux.Sysctl = map[string]string{"net.b": "2", "net.a": "1", "kernel.sem": "3"}
	}), Facts{}, Options{})
	want := []Sysctl{{"kernel/sem", "3"}, {"net/a", "1"}, {"net/b", "2"}}
	if got := stepsOf[Sysctl](p); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestMasksOnce(t *testing.T) {
	p := mustCreate(t, with(func(s *specs.Spec) {
		s.Linux.MaskedPaths = []string{"/proc/kcore", "/proc//kcore", "/proc/keys"}
	}), Facts{}, Options{})
	if got := stepsOf[Mask](p); !slices.Equal(got, []Mask{{Path: "/proc/kcore"}, {Path: "/proc/keys"}}) {
		t.Errorf("%+v", got)
	}
}
