package seccomp

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func profile(t testing.TB, name string) *specs.LinuxSeccomp {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	p := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, p); err != nil {
		t.Fatal(err)
	}
	return p
}

// numbers are all that any architecture has, the limits of x32, and the ends.
func numbers() []uint32 {
	var list []uint32
	for base := uint64(0); base <= math.MaxUint32; base += x32Bit {
		for n := uint64(0); n < 6000; n++ { // mips begins at 4000 and 5000
			list = append(list, uint32(base+n))
		}
		if base > 0 {
			list = append(list, uint32(base-1))
		}
	}
	return append(list, math.MaxUint32, 0x0f0000, 0x0f0005, 983045)
}

// interesting values of arguments are those that the program compares with, their neighbours, and
// chance.
func interesting(program []unix.SockFilter) []uint32 {
	values := []uint32{0, 1, math.MaxUint32}
	for _, in := range program {
		if in.Code&7 == unix.BPF_JMP && in.Code&0xf0 != unix.BPF_JA || in.Code&7 == unix.BPF_ALU {
			values = append(values, in.K, in.K-1, in.K+1)
		}
	}
	return values
}

func TestProgramSaysWhatLibseccompSays(t *testing.T) {
	p := profile(t, "docker-default.json")
	req, err := request(p)
	if err != nil {
		t.Fatal(err)
	}
	out, err := runCompiler(req)
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAnswer(out)
	if err != nil {
		t.Fatal(err)
	}
	table, _, err := evaluate(a.program)
	if err != nil {
		t.Fatal(err)
	}
	program, err := assemble(table)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instructions, from %d", len(program), len(a.program))
	rng := rand.New(rand.NewPCG(1, 2))
	values := interesting(a.program)
	pick := func() uint64 {
		return uint64(values[rng.IntN(len(values))])<<32 | uint64(values[rng.IntN(len(values))])
	}
	archs := []uint32{0, 0xdeadbeef}
	for _, at := range table.archs {
		archs = append(archs, at.audit)
	}
	ours, theirs, calls := 0, 0, 0
	for _, arch := range archs {
		for _, nr := range numbers() {
			for range 4 {
				c := &call{nr: nr, arch: arch, args: [6]uint64{pick(), pick(), pick(), pick(), pick(), pick()}}
				want, n, err := execute(a.program, c)
				if err != nil {
					t.Fatal(err)
				}
				got, m, err := execute(program, c)
				if err != nil || got != want {
					t.Fatalf("%+v: %#x, %v; libseccomp's program says %#x", c, got, err, want)
				}
				if nr < 500 && arch > 1 {
					ours, theirs, calls = ours+m, theirs+n, calls+1
				}
			}
		}
	}
	t.Logf("instructions on the way: %.1f on average, libseccomp's %.1f", float64(ours)/float64(calls), float64(theirs)/float64(calls))
}
