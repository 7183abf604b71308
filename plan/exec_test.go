package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func mustExec(t *testing.T, container *specs.Spec, p *specs.Process, f Facts, o Options) *Plan {
	t.Helper()
	got, err := Exec(container, p, merge(f), o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// guest is a process of an exec that leaves everything open.
func guest() *specs.Process {
	return &specs.Process{Args: []string{"/bin/y"}, Cwd: "/", Env: []string{"PATH=/bin"}}
}

func TestExecOrder(t *testing.T) {
	container := with(func(s *specs.Spec) {
		s.Process.ApparmorProfile = "prof"
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}}
	})
	for _, test := range []struct {
		name   string
		change func(*specs.Process)
		o      Options
		want   string
	}{
		{"with a filter", func(*specs.Process) {}, Options{Seccomp: filter},
			"keyring affinity umask cwd home stdio signals exec-label close-fds bounding user lookup executing seccomp caps exec"},
		{"no_new_privs", func(p *specs.Process) { p.NoNewPrivileges = true }, Options{Seccomp: filter},
			"keyring affinity umask cwd home stdio signals exec-label close-fds bounding no-new-privs user caps lookup executing seccomp exec"},
		{"terminal and scheduling", func(p *specs.Process) {
			p.Terminal, p.Scheduler = true, &specs.Scheduler{Policy: specs.SchedBatch}
			p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE}
			p.Env = []string{"HOME=/h"}
		}, Options{NoNewKeyring: true},
			"affinity console umask scheduler io-priority cwd stdio signals exec-label close-fds bounding user caps lookup executing exec"},
		{"reaper", func(*specs.Process) {}, Options{Reap: true},
			"keyring affinity umask cwd home stdio signals exec-label close-fds bounding user caps lookup init signals executing exec"},
		{"fifo", func(*specs.Process) {}, Options{WaitFifo: "/f", Reap: true},
			"keyring affinity umask cwd home stdio exec-label lookup hold signals close-fds bounding user caps lookup init signals executing exec"},
		{"the container's init and sockets are not for exec", func(*specs.Process) {}, Options{Init: true, ListenFDs: 3},
			"keyring affinity umask cwd home stdio signals exec-label close-fds bounding user caps lookup executing exec"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := guest()
			test.change(p)
			if got := strings.Join(ops(mustExec(t, container, p, Facts{AppArmor: true}, test.o)), " "); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

// full is a container whose process sets everything that an exec can inherit.
func full() *specs.Spec {
	mask, score := uint32(0o7), 5
	return with(func(s *specs.Spec) {
		s.Process.ApparmorProfile, s.Process.SelinuxLabel = "prof", "label"
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Permitted: []string{"CAP_KILL"}}
		s.Process.User = specs.User{UID: 9, GID: 9, Umask: &mask, AdditionalGids: []uint32{9}}
		s.Process.OOMScoreAdj = &score
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CPU", Soft: 1, Hard: 1}}
		s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedIdle}
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: 1}
		s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "1", Final: "0,2"}
		s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}
	})
}

func TestExecInherits(t *testing.T) {
	p := mustExec(t, full(), guest(), Facts{AppArmor: true, SELinux: true}, Options{ID: "c1"})
	if got := stepsOf[ExecLabel](p); !slices.Equal(got, []ExecLabel{{"apparmor", "prof"}, {"selinux", "label"}}) {
		t.Errorf("labels %+v", got)
	}
	if got := one[Bounding](t, p).Keep; got != 1<<5|1 {
		t.Errorf("bounding %#x", got)
	}
	if got := one[Caps](t, p); got != (Caps{Permitted: 1 << 5}) {
		t.Errorf("caps %+v", got)
	}
	if got := one[Umask](t, p).Mask; got != 0o7 {
		t.Errorf("umask %o", got)
	}
	if p.OOMScoreAdj == nil || *p.OOMScoreAdj != 5 {
		t.Errorf("score %v", p.OOMScoreAdj)
	}
	if len(p.Rlimits) != 1 || p.Rlimits[0].Name != "RLIMIT_CPU" {
		t.Errorf("limits %+v", p.Rlimits)
	}
	if got := one[Scheduler](t, p); got.Policy != 5 {
		t.Errorf("scheduler %+v", got)
	}
	if got := one[IOPriority](t, p); got != (IOPriority{Class: 1, Priority: 1}) {
		t.Errorf("priority %+v", got)
	}
	if !slices.Equal(p.InitialAffinity, []int{1}) || !slices.Equal(one[Affinity](t, p).CPUs, []int{0, 2}) {
		t.Errorf("CPUs %v %+v", p.InitialAffinity, stepsOf[Affinity](p))
	}
	if got := one[Personality](t, p); got.Domain != 8 {
		t.Errorf("personality %+v", got)
	}
	if got := one[MemoryPolicy](t, p); got.Mode != 4 {
		t.Errorf("memory policy %+v", got)
	}
	if got := one[Keyring](t, p); got != (Keyring{Name: "_ses.c1", Label: "label"}) {
		t.Errorf("keyring %+v", got)
	}
	// The user, no_new_privs and the environment are not inherited: a process file gives its own.
	if got := one[User](t, p); !reflect.DeepEqual(got, User{Groups: []int64{}}) {
		t.Errorf("user %+v", got)
	}
	if slices.Contains(ops(p), "no-new-privs") {
		t.Error("no_new_privs is inherited")
	}
	if p.Namespaces != nil || p.Sources != nil {
		t.Errorf("namespaces %v sources %v", p.Namespaces, p.Sources)
	}
}

func TestExecOverrides(t *testing.T) {
	mask, score := uint32(0), -5
	own := guest()
	own.ApparmorProfile, own.SelinuxLabel = "p2", "l2"
	own.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_SYS_ADMIN"}}
	own.User = specs.User{UID: 1, GID: 2, Umask: &mask, AdditionalGids: []uint32{3}}
	own.OOMScoreAdj = &score
	own.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_AS", Soft: 1, Hard: 1}}
	own.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 3}
	own.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE}
	own.ExecCPUAffinity = &specs.CPUAffinity{Initial: "3"}
	p := mustExec(t, full(), own, Facts{AppArmor: true, SELinux: true}, Options{})
	if got := stepsOf[ExecLabel](p); !slices.Equal(got, []ExecLabel{{"apparmor", "p2"}, {"selinux", "l2"}}) {
		t.Errorf("labels %+v", got)
	}
	if one[Bounding](t, p).Keep != 1<<21 || one[Caps](t, p) != (Caps{}) {
		t.Errorf("caps %+v", stepsOf[Caps](p))
	}
	if one[Umask](t, p).Mask != 0 || *p.OOMScoreAdj != -5 || p.Rlimits[0].Name != "RLIMIT_AS" {
		t.Errorf("%+v %v %+v", stepsOf[Umask](p), *p.OOMScoreAdj, p.Rlimits)
	}
	if one[Scheduler](t, p) != (Scheduler{Policy: 1, Priority: 3}) || one[IOPriority](t, p).Class != 2 {
		t.Errorf("%+v %+v", stepsOf[Scheduler](p), stepsOf[IOPriority](p))
	}
	if got := one[User](t, p); !reflect.DeepEqual(got, User{UID: 1, GID: 2, Groups: []int64{3}}) {
		t.Errorf("user %+v", got)
	}
	// An initial set without a final one stays (config.md, execCPUAffinity).
	if !slices.Equal(p.InitialAffinity, []int{3}) || stepsOf[Affinity](p) != nil {
		t.Errorf("CPUs %v %+v", p.InitialAffinity, stepsOf[Affinity](p))
	}
}

func TestExecWithoutAffinityGetsAllCPUs(t *testing.T) {
	p := mustExec(t, base(), guest(), Facts{}, Options{})
	if got := one[Affinity](t, p); got.CPUs == nil || len(got.CPUs) != 0 || p.InitialAffinity != nil {
		t.Errorf("%+v %v", got, p.InitialAffinity)
	}
}

func TestExecRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		spec   *specs.Spec
		change func(*specs.Process)
		want   string
	}{
		{"nothing to run", base(), func(p *specs.Process) { p.Args = nil }, "process.args: empty"},
		{"filter", with(func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow} }), func(*specs.Process) {}, "linux.seccomp: not compiled"},
		{"affinity", base(), func(p *specs.Process) { p.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "z"} }, `process.execCPUAffinity.final: "z" is not a number or a range`},
		{"label", base(), func(p *specs.Process) { p.SelinuxLabel = "l" }, "process.selinuxLabel: SELinux is not enabled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := guest()
			test.change(p)
			if _, err := Exec(test.spec, p, Facts{}, Options{}); err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := Exec(base(), nil, Facts{}, Options{}); err == nil {
		t.Error("a plan of nothing")
	}
	if _, err := Exec(nil, guest(), Facts{}, Options{}); err == nil {
		t.Error("a plan for no container")
	}
	if p, err := Exec(&specs.Spec{}, guest(), Facts{}, Options{}); err != nil || len(p.Steps) == 0 {
		t.Errorf("a container without process and linux: %v", err)
	}
}

func TestCapabilities(t *testing.T) {
	const kill, admin, bpf = 1 << 5, 1 << 21, 1 << 39
	names := func(n ...string) []string { return n }
	for _, test := range []struct {
		name     string
		caps     specs.LinuxCapabilities
		f        Facts
		userNS   bool
		bounding uint64
		want     Caps
		warnings []string
		err      string
	}{
		{"all five", specs.LinuxCapabilities{Bounding: names("CAP_KILL", "CAP_SYS_ADMIN"), Effective: names("CAP_KILL"), Permitted: names("CAP_KILL", "CAP_SYS_ADMIN"), Inheritable: names("CAP_KILL"), Ambient: names("CAP_KILL")},
			Facts{}, false, kill | admin, Caps{Effective: kill, Permitted: kill | admin, Inheritable: kill, Ambient: kill}, nil, ""},
		{"empty sets drop everything", specs.LinuxCapabilities{}, Facts{}, false, 0, Caps{}, nil, ""},
		{"unknown names", specs.LinuxCapabilities{Bounding: names("CAP_Z", "CAP_A", "CAP_KILL", "kill"), Ambient: names("CAP_A")}, Facts{}, false, kill, Caps{},
			[]string{"process.capabilities: unknown to this kernel, ignored: CAP_A, CAP_Z, kill"}, ""},
		{"newer than the kernel", specs.LinuxCapabilities{Bounding: names("CAP_BPF", "CAP_KILL")}, Facts{LastCap: 37}, false, kill, Caps{},
			[]string{"process.capabilities: unknown to this kernel, ignored: CAP_BPF"}, ""},
		{"kernel not known", specs.LinuxCapabilities{Bounding: names("CAP_BPF")}, Facts{}, false, bpf, Caps{}, nil, ""},
		{"withheld from the runtime", specs.LinuxCapabilities{Bounding: names("CAP_KILL", "CAP_SYS_ADMIN"), Permitted: names("CAP_SYS_ADMIN"), Effective: names("CAP_SYS_ADMIN"), Inheritable: names("CAP_SYS_ADMIN")},
			Facts{BoundingCaps: kill}, false, kill, Caps{},
			[]string{"process.capabilities: missing from the runtime's bounding set, ignored: CAP_SYS_ADMIN"}, ""},
		{"a user namespace has them anyway", specs.LinuxCapabilities{Bounding: names("CAP_SYS_ADMIN")}, Facts{BoundingCaps: kill}, true, admin, Caps{}, nil, ""},
		{"ambient needs both", specs.LinuxCapabilities{Bounding: names("CAP_KILL", "CAP_SYS_ADMIN"), Permitted: names("CAP_KILL", "CAP_SYS_ADMIN"), Inheritable: names("CAP_KILL"), Ambient: names("CAP_KILL", "CAP_SYS_ADMIN")},
			Facts{}, false, kill | admin, Caps{Permitted: kill | admin, Inheritable: kill, Ambient: kill},
			[]string{"process.capabilities.ambient: not both permitted and inheritable, ignored: CAP_SYS_ADMIN"}, ""},
		{"effective beyond permitted", specs.LinuxCapabilities{Bounding: names("CAP_KILL"), Effective: names("CAP_KILL")}, Facts{}, false, 0, Caps{}, nil,
			"process.capabilities.effective: not in permitted: CAP_KILL"},
		{"inheritable beyond bounding", specs.LinuxCapabilities{Inheritable: names("CAP_KILL")}, Facts{}, false, 0, Caps{}, nil,
			"process.capabilities.inheritable: not in bounding: CAP_KILL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := with(func(s *specs.Spec) {
				s.Process.Capabilities = &test.caps
				if test.userNS {
					userNS(s)
				}
			})
			p, err := Create(spec, "/b", "/r", test.f, Options{})
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := one[Bounding](t, p).Keep; got != test.bounding {
				t.Errorf("bounding %#x, want %#x", got, test.bounding)
			}
			if got := one[Caps](t, p); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if !slices.Equal(p.Warnings, test.warnings) {
				t.Errorf("warnings %q", p.Warnings)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		want environment
	}{
		{"none", nil, environment{vars: []string{}}},
		{"the last of a name stays, in its place", []string{"A=1", "B=2", "A=3", "PATH=/a", "PATH=/b"},
			environment{vars: []string{"B=2", "A=3", "PATH=/b"}, path: "/b"}},
		{"home", []string{"HOME=/h"}, environment{vars: []string{"HOME=/h"}, hasHome: true}},
		{"an empty home is none", []string{"HOME=/h", "HOME="}, environment{vars: []string{}}},
		{"an equals sign in the value", []string{"A=b=c", "B="}, environment{vars: []string{"A=b=c", "B="}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readEnvironment("process.env", test.env)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
