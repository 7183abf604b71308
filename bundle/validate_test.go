package bundle

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (r row) spec() *specs.Spec {
	s := baseSpec()
	r.edit(s)
	return s
}

func TestValidate(t *testing.T) {
	for _, r := range allRows() {
		t.Run(r.name, func(t *testing.T) {
			warnings, err := Check(r.spec())
			if r.path == "" {
				checkAccepted(t, r, warnings, err)
				return
			}
			checkRefused(t, r, err)
		})
	}
}

func checkAccepted(t *testing.T, r row, warnings []Warning, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	if r.warn == "" {
		if len(warnings) > 0 {
			t.Errorf("unexpected warning: %v", warnings[0])
		}
		return
	}
	if !slices.ContainsFunc(warnings, func(w Warning) bool { return w.Path == r.warn }) {
		t.Errorf("no warning about %s, but %v", r.warn, warnings)
	}
}

func checkRefused(t *testing.T, r row, err error) {
	t.Helper()
	var fe *FieldError
	if !errors.As(err, &fe) {
		t.Fatalf("not a refusal: %v", err)
	}
	if fe.Path != r.path || !strings.Contains(fe.Reason, r.reason) {
		t.Errorf("got %q, want path %q and %q", fe, r.path, r.reason)
	}
	if !strings.HasPrefix(err.Error(), "config.json: "+r.path+": ") {
		t.Errorf("%q does not begin with the file and the path", err)
	}
	checkWords(t, err)
}

// clientWords are what clients match in an error of the program to run: nothing here may use them.
var clientWords = []string{
	"no such file or directory", "permission denied", "is a directory", "not a directory",
	"executable file not found", "operation not permitted",
}

func checkWords(t *testing.T, err error) {
	t.Helper()
	text := strings.ToLower(err.Error())
	for _, w := range clientWords {
		if strings.Contains(text, w) {
			t.Errorf("%q has the words %q", err, w)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("%q is more than a line", err)
	}
}

func TestRowsHaveDifferentNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range allRows() {
		if seen[r.name] {
			t.Errorf("two rows are named %q", r.name)
		}
		seen[r.name] = true
	}
}

func TestValidateNil(t *testing.T) {
	if err := Validate(nil); err == nil || err.Error() != "config.json: expected an object, got null" {
		t.Errorf("got %v", err)
	}
	if err := ValidateProcess(nil); err == nil || err.Error() != "process: missing" {
		t.Errorf("got %v", err)
	}
	if err := ValidateResources(nil); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestValidateProcess(t *testing.T) {
	p := &specs.Process{Cwd: "/", Args: []string{"a"}, Rlimits: []specs.POSIXRlimit{{Type: "x"}}}
	if err := ValidateProcess(p); err == nil || err.Error() != `process.rlimits[0].type: unknown limit "x"` {
		t.Errorf("got %v", err)
	}
	p = &specs.Process{Cwd: "/", Args: []string{"a"}, User: specs.User{Umask: new(uint32(0o1000))}}
	warnings, err := CheckProcess(p)
	if err != nil || len(warnings) != 1 || warnings[0].String() != `process.user.umask: 01000: bits above 0777 are ignored` {
		t.Errorf("got %v, %v", warnings, err)
	}
}

func TestValidateResources(t *testing.T) {
	err := ValidateResources(&specs.LinuxResources{CPU: &specs.LinuxCPU{Period: new(uint64(1))}})
	if err == nil || !strings.HasPrefix(err.Error(), "cpu.period: ") {
		t.Errorf("got %v", err)
	}
	err = ValidateResources(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{}}})
	if err == nil || !strings.HasPrefix(err.Error(), "devices[0].access: ") {
		t.Errorf("got %v", err)
	}
}
