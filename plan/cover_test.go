package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// samplePlans are plans that together have every step.
func samplePlans(t testing.TB) []*Plan {
	t.Helper()
	f := hybridFacts()
	f.SELinux = true
	f.Root.Unreachable = true
	o := Options{ID: "c1", Init: true, ListenFDs: 1, Seccomp: filter}
	var plans []*Plan
	for _, name := range []string{"default", "docker", "rootless", "all"} {
		p, err := Create(loadSpec(t, name), "/b", "/b/rootfs", f, o)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	p, err := Exec(loadSpec(t, "all"), readJSON[specs.Process](t, "exec.process.json"), f, Options{ID: "c1", Reap: true, WaitFifo: "/f", Seccomp: filter})
	if err != nil {
		t.Fatal(err)
	}
	return append(plans, p)
}

func TestEveryStepIsEmitted(t *testing.T) {
	emitted := map[reflect.Type]bool{}
	for _, p := range samplePlans(t) {
		for _, s := range p.Steps {
			emitted[reflect.TypeOf(s)] = true
		}
	}
	for _, s := range allSteps {
		if !emitted[reflect.TypeOf(s)] {
			t.Errorf("no plan has a step %s", s.Op())
		}
	}
}

func TestWriteText(t *testing.T) {
	for _, p := range samplePlans(t) {
		var b bytes.Buffer
		if err := p.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		numbered := 0
		for _, l := range lines {
			if l != strings.TrimRight(l, " ") {
				t.Errorf("white space at the end: %q", l)
			}
			if l[0] == ' ' || l[0] >= '0' && l[0] <= '9' {
				numbered++
			}
		}
		if numbered != len(p.Steps) {
			t.Errorf("%d lines for %d steps", numbered, len(p.Steps))
		}
	}
}

// TestWriteTextStaysOnItsLine gives a configuration that would like to forge output.
func TestWriteTextStaysOnItsLine(t *testing.T) {
	evil := "x\n  1  exec  forged\x1b[2J"
	p := mustCreate(t, with(func(s *specs.Spec) {
		s.Process.Args, s.Process.Cwd, s.Hostname, s.Domainname = []string{evil}, "/"+evil, evil, evil
		s.Process.Env = []string{"PATH=" + evil}
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{evil}, []string{evil}
		s.Linux.Sysctl = map[string]string{"net." + evil: evil}
		s.Linux.Devices = []specs.LinuxDevice{{Path: evil, Type: "c"}}
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{evil: {Name: evil}}
		s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: evil}}}
		s.Mounts = []specs.Mount{{Destination: evil, Type: evil, Source: evil, Options: []string{evil}}, {Destination: "/x", Source: evil, Options: []string{"bind"}}}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{evil}}
		without(s, specs.NetworkNamespace)
		namespace(s, specs.NetworkNamespace, evil)
	}), Facts{}, Options{ID: evil})
	var b bytes.Buffer
	if err := p.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.String() {
		if r != '\n' && r < ' ' {
			t.Fatalf("a control character: %q", b.String())
		}
	}
	if strings.Contains(b.String(), "\n  1  exec  forged") {
		t.Errorf("a forged line:\n%s", b.String())
	}
}

func TestFlagWords(t *testing.T) {
	for _, test := range []struct {
		got, want string
	}{
		{msNames(unix.MS_SLAVE | unix.MS_REC), "slave,recursive"},
		{msNames(1 << 40), "0x10000000000"},
		{attrNames(unix.MOUNT_ATTR__ATIME | attrRO), "ro,atime"},
		{attrNames(unix.MOUNT_ATTR_STRICTATIME), "strictatime"},
		{attrNames(0), ""},
		{ranges([]int{0, 1, 2, 5, 7, 8}), "0-2,5,7-8"},
		{ranges(nil), ""},
		{capWords(0), "none"},
		{capWords(1<<41 - 1), "all"},
		{capWords(1<<5 | 1), "chown,kill"},
		{limit(unix.RLIM_INFINITY), "unlimited"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

func TestMarshalJSON(t *testing.T) {
	p := samplePlans(t)[3]
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Namespaces []Namespace
		Rlimits    []Rlimit
		Sources    []Source
		Steps      []map[string]any
	}
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Namespaces, p.Namespaces) || !reflect.DeepEqual(back.Sources, p.Sources) || !reflect.DeepEqual(back.Rlimits, p.Rlimits) {
		t.Errorf("%+v", back)
	}
	if len(back.Steps) != len(p.Steps) {
		t.Fatalf("%d steps of %d", len(back.Steps), len(p.Steps))
	}
	for i, s := range p.Steps {
		if back.Steps[i]["op"] != s.Op() {
			t.Errorf("step %d is %v, want %s", i, back.Steps[i]["op"], s.Op())
		}
	}
}

// FuzzCreate feeds mutated configurations and process files. Whatever they hold, a plan or an *Error
// comes out, and the plan can be written in all its forms.
func FuzzCreate(f *testing.F) {
	for _, name := range []string{"default", "docker", "rootless", "all"} {
		data, err := json.Marshal(loadSpec(f, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint16(0))
		f.Add(data, uint16(0xffff))
	}
	f.Add([]byte(`{"process":{"args":["a"],"cwd":"/"}}`), uint16(1))
	f.Add([]byte(`{"process":{"args":["a"],"cwd":"/"},"mounts":[{"destination":"x","type":"cgroup"}],"linux":{}}`), uint16(2))
	f.Fuzz(func(t *testing.T, data []byte, bits uint16) {
		var spec specs.Spec
		if json.Unmarshal(data, &spec) != nil {
			return
		}
		facts, o := fuzzFacts(bits)
		p, err := Create(&spec, "/b", "/b/rootfs", facts, o)
		checkFuzzed(t, p, err)
		p, err = Exec(&spec, spec.Process, facts, o)
		checkFuzzed(t, p, err)
	})
}

// fuzzFacts turns bits into facts and options.
func fuzzFacts(bits uint16) (Facts, Options) {
	bit := func(n int) bool { return bits>>n&1 != 0 }
	f := hybridFacts()
	if bit(0) {
		f = v2Facts()
	}
	if bit(1) {
		f.CgroupVersion, f.CgroupMounts, f.CgroupPaths = "none", nil, nil
	}
	f.Rootless, f.InUserNS, f.SELinux, f.AppArmor, f.Kcore = bit(2), bit(3), bit(4), bit(5), bit(6)
	f.Root.Unreachable = bit(7)
	o := Options{ID: "c1", NoPivot: bit(8), NoNewKeyring: bit(9), Init: bit(10), Reap: bit(11)}
	if bit(12) {
		o.WaitFifo, o.Detach = "/run/fifo", bit(13)
	}
	if bit(12) {
		o.ListenFDs, o.PreserveFDs = 3, 4
	}
	if !bit(13) {
		o.Seccomp = filter
	}
	return f, o
}

func checkFuzzed(t *testing.T, p *Plan, err error) {
	t.Helper()
	if err != nil {
		if e := (*Error)(nil); !errors.As(err, &e) || p != nil || strings.ContainsRune(err.Error(), 0) {
			t.Fatalf("error %T %v, plan %v", err, err, p)
		}
		return
	}
	wire, err := p.WireSteps()
	if err != nil || !json.Valid(wire) {
		t.Fatalf("wire: %v in %s", err, wire)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteText(io.Discard); err != nil {
		t.Fatal(err)
	}
	checkInvariants(t, p)
}

// checkInvariants holds for every plan.
func checkInvariants(t *testing.T, p *Plan) {
	t.Helper()
	if _, ok := p.Steps[len(p.Steps)-1].(Execute); !ok || len(stepsOf[Execute](p)) != 1 {
		t.Fatal("exec is not the last step")
	}
	if len(stepsOf[User](p)) != 1 || len(stepsOf[SyncExecuting](p)) != 1 || len(stepsOf[CloseFDs](p)) != 1 || len(stepsOf[Lookup](p)) == 0 {
		t.Fatalf("a step is missing: %q", ops(p))
	}
	for _, s := range p.Steps {
		switch s := s.(type) {
		case Bind:
			checkIndex(t, p, s.FD)
			checkAttrs(t, s.Set, s.Clear)
			checkAttrs(t, s.RecSet, s.RecClear)
			checkTarget(t, s.Target)
			if s.Must&^s.Clear != 0 {
				t.Fatalf("must clear more than is cleared: %+v", s)
			}
		case Root:
			checkIndex(t, p, s.FD)
		case SyncCreated:
			checkIndex(t, p, &s.FD)
		case Hold:
			checkIndex(t, p, &s.FD)
		case Mount:
			checkAttrs(t, s.RecSet, s.RecClear)
			checkTarget(t, s.Target)
		case Remount:
			checkAttrs(t, s.Set, s.Clear|unix.MOUNT_ATTR__ATIME)
			checkTarget(t, s.Target)
		case Caps:
			if s.Effective&^s.Permitted != 0 || s.Ambient&^(s.Permitted&s.Inheritable) != 0 {
				t.Fatalf("the kernel refuses %+v", s)
			}
		}
	}
}

func checkIndex(t *testing.T, p *Plan, fd *int) {
	t.Helper()
	if fd != nil && (*fd < 0 || *fd >= len(p.Sources)) {
		t.Fatalf("descriptor %d of %d", *fd, len(p.Sources))
	}
}

// checkAttrs holds a change against mount_setattr(2): the time mode is cleared whole or not at all,
// and set to one of its three values only when it is cleared; nothing else is set and cleared.
func checkAttrs(t *testing.T, set, clear uint64) {
	t.Helper()
	const mode = unix.MOUNT_ATTR__ATIME
	if c := clear & mode; c != 0 && c != mode || c == 0 && set&mode != 0 {
		t.Fatalf("time mode: set %#x clear %#x", set, clear)
	}
	switch set & mode {
	case unix.MOUNT_ATTR_RELATIME, unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME:
	default:
		t.Fatalf("no time mode: %#x", set)
	}
	if both := set & clear &^ mode; both != 0 {
		t.Fatalf("set and cleared: %#x", both)
	}
}

func checkTarget(t *testing.T, target string) {
	t.Helper()
	if target == "" || target[0] != '/' || target == "/" || strings.Contains(target+"/", "/../") {
		t.Fatalf("target %q", target)
	}
}

func TestInvariantsOfSamples(t *testing.T) {
	for _, p := range samplePlans(t) {
		checkInvariants(t, p)
	}
}

func BenchmarkCreate(b *testing.B) {
	for _, name := range []string{"default", "docker"} {
		b.Run(name, func(b *testing.B) {
			spec, f := loadSpec(b, name), hybridFacts()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Create(spec, "/b", "/b/rootfs", f, Options{ID: "c1", Seccomp: filter}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkExec(b *testing.B) {
	spec, p, f := loadSpec(b, "docker"), readJSON[specs.Process](b, "exec.process.json"), hybridFacts()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Exec(spec, p, f, Options{ID: "c1", Seccomp: filter}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWireSteps(b *testing.B) {
	p, err := Create(loadSpec(b, "docker"), "/b", "/b/rootfs", hybridFacts(), Options{ID: "c1", Seccomp: filter})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.WireSteps(); err != nil {
			b.Fatal(err)
		}
	}
}
