package seccomp

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// libcontainersAnswer is seccomp/internal/oracle's Answer.
type libcontainersAnswer struct {
	Program []byte
	Flags   uint64
	Error   string
}

// askOracle lets libcontainer make the programs.
func askOracle(t *testing.T, profiles []*specs.LinuxSeccomp) []libcontainersAnswer {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the oracle reads the registers of an x86-64")
	}
	bin := filepath.Join(t.TempDir(), "oracle")
	build := exec.Command("go", "build", "-tags", "seccomp", "-o", bin, "./internal/oracle")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the oracle: %v\n%s", err, out)
	}
	var in bytes.Buffer
	for _, p := range profiles {
		if err := json.NewEncoder(&in).Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bin)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the oracle: %v\n%s", err, &stderr)
	}
	answers := make([]libcontainersAnswer, len(profiles))
	d := json.NewDecoder(bytes.NewReader(out))
	for i := range answers {
		if err := d.Decode(&answers[i]); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	return answers
}

// A chooser makes profiles at random, of all words that profiles have.
type chooser struct{ *rand.Rand }

func pick[T any](c chooser, list []T) T { return list[c.IntN(len(list))] }

func (c chooser) profile(names []string, most int) *specs.LinuxSeccomp {
	p := &specs.LinuxSeccomp{
		DefaultAction: pick(c, []specs.LinuxSeccompAction{specs.ActErrno, specs.ActErrno, specs.ActAllow, specs.ActKill,
			specs.ActKillProcess, specs.ActLog, specs.ActTrace, specs.ActTrap}),
		Architectures: pick(c, [][]specs.Arch{nil, {specs.ArchX86_64}, {specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
			{specs.ArchX32}, {specs.ArchAARCH64, specs.ArchARM}, {specs.ArchRISCV64, specs.ArchX86}, {specs.ArchMIPSEL64N32, specs.ArchPPC64LE}}),
		Flags: pick(c, [][]specs.LinuxSeccompFlag{nil, {specs.LinuxSeccompFlagLog}, {flagTsync, specs.LinuxSeccompFlagSpecAllow}}),
	}
	if p.DefaultAction == specs.ActErrno {
		p.DefaultErrnoRet = pick(c, []*uint{nil, new(uint(1)), new(uint(unix.ENOSYS))})
	}
	for range c.IntN(8) {
		r := specs.LinuxSyscall{Action: pick(c, []specs.LinuxSeccompAction{specs.ActAllow, specs.ActAllow, specs.ActErrno,
			specs.ActKillThread, specs.ActKillProcess, specs.ActLog, specs.ActTrace, specs.ActTrap})}
		if r.Action == specs.ActErrno || r.Action == specs.ActTrace {
			r.ErrnoRet = pick(c, []*uint{nil, new(uint(0)), new(uint(38)), new(uint(4095))})
		}
		for range 1 + c.IntN(most) {
			r.Names = append(r.Names, pick(c, names))
		}
		if c.IntN(2) == 0 {
			for range 1 + c.IntN(3) {
				r.Args = append(r.Args, c.condition())
			}
		}
		p.Syscalls = append(p.Syscalls, r)
	}
	return p
}

func (c chooser) condition() specs.LinuxSeccompArg {
	values := []uint64{0, 1, 7, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<40 + 3, 1<<64 - 1}
	return specs.LinuxSeccompArg{
		Index: uint(c.IntN(6)), Value: pick(c, values), ValueTwo: pick(c, values),
		Op: pick(c, []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual,
			specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual}),
	}
}

// corpus has the profiles of clients, and some at random with rules of up to so many names.
func corpus(t testing.TB, random, most int) []*specs.LinuxSeccomp {
	docker := profile(t, "docker-default.json")
	podman := profile(t, "docker-default.json")
	podman.DefaultErrnoRet = new(uint(unix.ENOSYS)) // as podman's has it, with EPERM for what is known
	podman.Syscalls = append(podman.Syscalls, specs.LinuxSyscall{Names: []string{"mount", "keyctl", "bpf"}, Action: specs.ActErrno, ErrnoRet: new(uint(1))})
	list := []*specs.LinuxSeccomp{docker, podman, {DefaultAction: specs.ActAllow}, {DefaultAction: specs.ActErrno}}
	names := slices.Concat(docker.Syscalls[0].Names, []string{"no_such_call", "clone3", "socketcall", "ipc", "setup"})
	for i := range random {
		list = append(list, chooser{rand.New(rand.NewPCG(7, uint64(i)))}.profile(names, most))
	}
	return list
}

func TestLikeLibcontainer(t *testing.T) {
	// Few names: above 32 runc has libseccomp make a binary tree, and that of 2.5.4 falls through to the
	// default action for some combinations of conditions, which its linear program, ours, does not.
	profiles := corpus(t, 100, 4)
	refused := 0
	for i, theirs := range askOracle(t, profiles) {
		p := profiles[i]
		ours, err := Filter(p, "")
		if (err == nil) != (theirs.Error == "") {
			t.Errorf("profile %d: here %v, libcontainer %q", i, err, theirs.Error)
			continue
		}
		if err != nil {
			refused++
			continue
		}
		if ours.Flags != theirs.Flags {
			t.Errorf("profile %d: flags %#x, libcontainer %#x", i, ours.Flags, theirs.Flags)
		}
		want, err := parseProgram(theirs.Program)
		if err != nil {
			t.Fatal(err)
		}
		if err := equivalent(decoded(t, ours), want, uint64(i)); err != nil {
			t.Errorf("profile %d: %v", i, err)
		}
	}
	t.Logf("%d profiles, %d of them refused by both", len(profiles), refused)
}
