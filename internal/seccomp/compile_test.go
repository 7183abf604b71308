package seccomp

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/plan"
)

// TestCompilerIDIsCurrent: a program in the cache is of this compiler and of this package's sources.
func TestCompilerIDIsCurrent(t *testing.T) {
	out, err := exec.Command("bash", "-c", `LC_ALL=C ls *.go | grep -v _test.go | xargs cat compiler.bin | sha256sum | cut -d' ' -f1`).Output()
	if err != nil {
		t.Fatal(err)
	}
	if compilerID != string(out) {
		t.Errorf("compiler.id is %q and would be %q now: run make", compilerID, out)
	}
}

func TestRequest(t *testing.T) {
	p := &specs.LinuxSeccomp{
		DefaultAction: specs.ActKill, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX32},
		Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}, ListenerPath: "/x", ListenerMetadata: "y",
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "not a name", "b\nend", "", "write"}, Action: specs.ActErrno},
			{Names: []string{"clone"}, Action: specs.ActTrace, ErrnoRet: new(uint(7)), Args: []specs.LinuxSeccompArg{
				{Index: 0, Value: 1 << 63, ValueTwo: 2, Op: specs.OpMaskedEqual}, {Index: 5, Value: 3, Op: specs.OpLessThan}}},
			{Names: []string{"a"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Op: specs.OpEqualTo}, {Value: 1, Op: specs.OpEqualTo}}},
			{Action: specs.ActNotify},
		},
	}
	const want = `seccomp 1
default KILL_THREAD 0
arch x86_64
arch x32
rule 0 ERRNO 1 all 0 read write
rule 1 TRACE 7 all 2 0 MASKED_EQ 9223372036854775808 2 5 LT 3 0 clone
rule 2 ALLOW 0 any 2 0 EQ 0 0 0 EQ 1 0 a
rule 3 NOTIFY 0 all 0
end
`
	got, err := request(p)
	if err != nil || string(got) != want {
		t.Errorf("%v:\n%s\nwant:\n%s", err, got, want)
	}
	p.Flags, p.ListenerPath, p.ListenerMetadata = nil, "", ""
	if again, err := request(p); err != nil || string(again) != want {
		t.Errorf("what does not change the program changes the request: %v:\n%s", err, again)
	}
}

func TestRefusals(t *testing.T) {
	many := make([]string, 200_000)
	for i := range many {
		many[i] = "some_name"
	}
	for _, r := range []struct {
		name    string
		profile specs.LinuxSeccomp
		field   string
	}{
		{"default action", specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_X Y"}, "linux.seccomp.defaultAction"},
		{"flag", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"X"}}, "linux.seccomp.flags[0]"},
		{"architecture", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"X Y"}}, "linux.seccomp.architectures[0]"},
		{"architecture that libseccomp lacks", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86, "SCMP_ARCH_VAX"}}, "linux.seccomp.architectures[1]"},
		{"operator", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Action: specs.ActErrno}, {Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Op: "X"}}}}}, "linux.seccomp.syscalls[1].args[0].op"},
		{"action", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Action: "X"}}}, "linux.seccomp.syscalls[0].action"},
		{"too long", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Action: specs.ActErrno, Names: many}}}, "linux.seccomp"},
		{"too many conditions", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Action: specs.ActErrno, Names: []string{"read"}, Args: slices.Repeat([]specs.LinuxSeccompArg{{Op: specs.OpEqualTo}}, 300)}}}, "linux.seccomp.syscalls[0].args"},
		{"too many instructions", manyConditions(), "linux.seccomp"},
	} {
		_, err := Filter(&r.profile, "")
		var e *plan.Error
		if !errors.As(err, &e) || e.Field != r.field {
			t.Errorf("%s: got %v, want an error of %s", r.name, err, r.field)
		}
	}
}

// manyConditions is a profile whose program the kernel would not take.
func manyConditions() specs.LinuxSeccomp {
	p := specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i := range uint64(2000) {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 2, Value: i << 33, Op: specs.OpEqualTo}, {Index: 1, Value: i, Op: specs.OpEqualTo}}})
	}
	return p
}

// What does not come from request: the compiler trusts nobody.
func TestCompilerRefusesMalformedRequests(t *testing.T) {
	const head = "seccomp 1\ndefault ALLOW 0\n"
	for _, req := range []string{
		"", "seccomp 1", "seccomp 2\ndefault ALLOW 0\nend\n", "seccomp 1\nend\n", head, head + "end", head + "end\nend\n", head + "\nend\n",
		"seccomp 1\ndefault\nend\n", "seccomp 1\ndefault ALLOW\nend\n", "seccomp 1\ndefault ALLOW 0 0\nend\n", "seccomp 1\ndefault ALLOW 65536\nend\n",
		"seccomp 1\ndefault ALLOW -1\nend\n", "seccomp 1\ndefault ALLOW 0x1\nend\n", "seccomp 1\ndefault allow 0\nend\n",
		head + "arch\nend\n", head + "arch x86 x32\nend\n", head + "arch " + strings.Repeat("x", 1000) + "\nend\n",
		head + "rule\nend\n", head + "rule 0 ERRNO 1 all\nend\n", head + "rule 0 ERRNO 1 some 0 read\nend\n", head + "rule 0 ERRNO 1 all 1 read\nend\n",
		head + "rule 0 ERRNO 1 all 1 6 EQ 0 0 read\nend\n", head + "rule 0 ERRNO 1 all 1 0 XX 0 0 read\nend\n",
		head + "rule 0 ERRNO 1 all 257 0 EQ 0 0 read\nend\n", head + "rule 0 ERRNO 1 all 1 0 EQ 18446744073709551616 0 read\nend\n",
		head + "rule 0 ERRNO 1 all  0 read\nend\n", head + "rule 0 ERRNO 1 all 0 read \nend\n", head + "other\nend\n",
		head + "rule 0 ERRNO 1 all 0 re\x00ad\nend\n", head + strings.Repeat("x", maxRequest) + "\n",
	} {
		_, err := runCompiler([]byte(req))
		var e *plan.Error
		if !errors.As(err, &e) {
			t.Errorf("%.60q: got %v", req, err)
		}
	}
}

func TestMalformedAnswers(t *testing.T) {
	for _, a := range []string{
		"", "libseccomp 2.5.4\n", "program\n", "program\n1234567", "libseccomp 1\nlast 1\nprogram\n12345678", "last x 1\nprogram\n12345678",
		"last 1 -1\nprogram\n12345678", "else\nprogram\n12345678",
	} {
		if got, err := parseAnswer([]byte(a)); err == nil {
			t.Errorf("%q: got %+v", a, got)
		}
	}
	for _, line := range []string{"", "error", "error arch 1", "error arch x text", "warning arch 1 text"} {
		if err := parseRefusal(line); !errors.Is(err, errAnswer) {
			t.Errorf("%q: got %v", line, err)
		}
	}
	if err := parseRefusal("error rule 7 some text\n"); err.Error() != "linux.seccomp.syscalls[7]: some text" {
		t.Errorf("got %v", err)
	}
}

func TestFlags(t *testing.T) {
	for _, r := range []struct {
		flags []specs.LinuxSeccompFlag
		want  uint64
	}{
		{nil, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{[]specs.LinuxSeccompFlag{}, 0},
		{[]specs.LinuxSeccompFlag{flagTsync}, 0},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv},
			unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
	} {
		if got, err := flagBits(r.flags); err != nil || got != r.want {
			t.Errorf("%v: got %#x, %v", r.flags, got, err)
		}
	}
}

func TestAsk(t *testing.T) {
	f, err := Ask([]string{"SCMP_ARCH_X86_64", "SCMP_ARCH_VAX", "SCMP_ARCH_AARCH64"}, []string{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_VAX"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Architectures, []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"}) || !slices.Equal(f.Flags, []string{"SECCOMP_FILTER_FLAG_LOG"}) ||
		!strings.HasPrefix(f.Libseccomp, "2.") {
		t.Errorf("got %+v", f)
	}
}

func TestENOSYSRule(t *testing.T) {
	const enosys, eperm, allow, kill = retENOSYS, 0x50001, 0x7fff0000, 0
	list := func(names ...string) []specs.LinuxSyscall {
		return []specs.LinuxSyscall{{Names: names, Action: specs.ActAllow}}
	}
	x86 := []specs.Arch{specs.ArchX86_64, specs.ArchX86}
	for _, r := range []struct {
		name    string
		profile specs.LinuxSeccomp
		arch    uint32
		nr      uint32
		want    uint32
	}{
		{"known", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: list("read", "openat2")}, archX8664, 0, allow},
		{"below the largest", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: list("read", "openat2")}, archX8664, 436, eperm},
		{"the largest", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: list("read", "openat2")}, archX8664, 437, allow},
		{"above the largest", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: list("read", "openat2")}, archX8664, 438, enosys},
		// A rule for the default action counts, although it does not become one of the program.
		{"largest of a redundant rule", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: append(list("read"),
			specs.LinuxSyscall{Names: []string{"openat2"}, Action: specs.ActErrno})}, archX8664, 437, eperm},
		{"another architecture has its own", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: x86, Syscalls: list("clock_gettime64")}, 0x40000003, 404, enosys},
		{"nothing is named there", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: x86, Syscalls: list("clock_gettime64")}, archX8664, 5000, eperm},
		{"x32 is not asked for", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: list("read")}, archX8664, x32Bit + 1000, kill},
		{"x32", specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX32}, Syscalls: list("read")}, archX8664, x32Bit + 1000, enosys},
		{"killed by default", specs.LinuxSeccomp{DefaultAction: specs.ActKillProcess, Syscalls: list("write")}, archX8664, 1000, enosys},
		{"allowed by default", specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActErrno}}}, archX8664, 1000, allow},
		{"logged by default", specs.LinuxSeccomp{DefaultAction: specs.ActLog, Syscalls: list("read")}, archX8664, 1000, 0x7ffc0000},
		{"traced by default", specs.LinuxSeccomp{DefaultAction: specs.ActTrace, Syscalls: list("read")}, archX8664, 1000, 0x7ff00001},
	} {
		f, err := Filter(&r.profile, "")
		if err != nil {
			t.Errorf("%s: %v", r.name, err)
			continue
		}
		got, _, err := execute(decoded(t, f), &call{nr: r.nr, arch: r.arch})
		if err != nil || got != r.want {
			t.Errorf("%s: got %#x, %v, want %#x", r.name, got, err, r.want)
		}
	}
}
