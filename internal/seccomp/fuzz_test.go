package seccomp

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/plan"
)

// FuzzProfile feeds profiles that validation has not seen. What is not refused must become a program
// that the kernel would take: it ends, and looks nowhere else.
func FuzzProfile(f *testing.F) {
	for _, p := range corpus(f, 20, 8) {
		data, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &specs.LinuxSeccomp{}
		if json.Unmarshal(data, p) != nil {
			return
		}
		s, err := Filter(p, "")
		var refused *plan.Error
		if errors.As(err, &refused) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		program := decoded(t, s)
		for _, arch := range auditArchs {
			if _, _, err := execute(program, &call{nr: uint32(len(data)), arch: arch}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzCompiler feeds the compiler anything at all. It answers or refuses, and does not crash.
func FuzzCompiler(f *testing.F) {
	for _, p := range corpus(f, 20, 8) {
		if req, err := request(p); err == nil {
			f.Add(req)
		}
	}
	f.Fuzz(func(t *testing.T, req []byte) {
		out, err := runCompiler(req)
		var refused *plan.Error
		if errors.As(err, &refused) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseAnswer(out)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := evaluate(a.program); err != nil {
			t.Fatal(err)
		}
	})
}
