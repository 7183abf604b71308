package seccomp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/plan"
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
		for n := range uint64(600) {
			list = append(list, uint32(base+n))
		}
		if base > 0 {
			list = append(list, uint32(base-1))
		}
	}
	for n := range uint32(600) {
		list = append(list, 4000+n, 5000+n, 6000+n) // mips
	}
	return append(list, math.MaxUint32, 0x0f0001, 0x0f0005) // arm's own
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

// auditArchs are AUDIT_ARCH_* of all that profiles can name (linux/audit.h), and two that nobody has.
var auditArchs = []uint32{
	0xc000003e, 0x40000003, 0x40000028, 0xc00000b7, 0x00000008, 0x80000008, 0xa0000008, 0x40000008, 0xc0000008, 0xe0000008,
	0x00000014, 0x80000015, 0xc0000015, 0x00000016, 0x80000016, 0x0000000f, 0x8000000f, 0xc00000f3, 0xc0000102, 0, 0xdeadbeef,
}

// equivalent runs two programs over all numbers of all architectures, with arguments that matter to
// either.
func equivalent(got, want []unix.SockFilter, seed uint64) error {
	rng := rand.New(rand.NewPCG(1, seed))
	values := append(interesting(got), interesting(want)...)
	pick := func() uint64 {
		return uint64(values[rng.IntN(len(values))])<<32 | uint64(values[rng.IntN(len(values))])
	}
	for _, arch := range auditArchs {
		for _, nr := range numbers() {
			for range 3 {
				c := &call{nr: nr, arch: arch, args: [6]uint64{pick(), pick(), pick(), pick(), pick(), pick()}}
				w, _, err := execute(want, c)
				if err != nil {
					return fmt.Errorf("the model: %w", err)
				}
				g, _, err := execute(got, c)
				if err != nil || g != w {
					return fmt.Errorf("%+v: %#x (%v), and the model says %#x", *c, g, err, w)
				}
			}
		}
	}
	return nil
}

func decoded(t testing.TB, s *plan.Seccomp) []unix.SockFilter {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(s.Program)
	if err != nil {
		t.Fatal(err)
	}
	program, err := parseProgram(data)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// libseccomps is the program that libseccomp itself makes of a profile; nil where it refuses.
func libseccomps(t testing.TB, p *specs.LinuxSeccomp) []unix.SockFilter {
	t.Helper()
	req, err := request(p)
	if err != nil {
		t.Fatal(err)
	}
	out, err := runCompiler(req)
	var refused *plan.Error
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAnswer(out)
	if err != nil {
		t.Fatal(err)
	}
	return a.program
}

// reshaped writes a program again, by its table.
func reshaped(t testing.TB, program []unix.SockFilter) []unix.SockFilter {
	t.Helper()
	table, _, err := evaluate(program)
	if err != nil {
		t.Fatal(err)
	}
	program, err = assemble(table)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func TestReshapedProgramSaysWhatLibseccompSays(t *testing.T) {
	for i, p := range corpus(t, 60, 60) {
		theirs := libseccomps(t, p)
		if theirs == nil {
			continue // libseccomp refuses it
		}
		ours := reshaped(t, theirs)
		if err := equivalent(ours, theirs, uint64(i)); err != nil {
			t.Errorf("profile %d: %v", i, err)
		}
	}
}
