package bundle

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestDefaultSpecIsRuncs compares the templates with those of the runc that this module depends on.
func TestDefaultSpecIsRuncs(t *testing.T) {
	for _, r := range []struct {
		name string
		ours *specs.Spec
	}{
		{"spec", DefaultSpec()},
		{"rootless", RootlessSpec(uint32(os.Geteuid()), uint32(os.Getegid()))},
	} {
		t.Run(r.name, func(t *testing.T) {
			theirs := runOracle(t, strings.NewReader(""), r.name)
			// As text, since that is what is written: null, [] and a missing field differ there.
			if ours := string(marshal(t, r.ours)) + "\n"; ours != string(theirs) {
				t.Errorf("got  %swant %s", ours, theirs)
			}
		})
	}
}

// TestDefaultSpecBesideInstalledRunc compares with what a runc on this machine writes, apart from
// what newer versions of runc have changed.
func TestDefaultSpecBesideInstalledRunc(t *testing.T) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("no runc on this machine")
	}
	for _, r := range []struct {
		name string
		ours *specs.Spec
		args []string
	}{
		{"spec", DefaultSpec(), nil},
		{"rootless", RootlessSpec(uint32(os.Geteuid()), uint32(os.Getegid())), []string{"--rootless"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(runc, append([]string{"spec", "-b", dir}, r.args...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			data, err := os.ReadFile(filepath.Join(dir, ConfigFile))
			must(t, err)
			var theirs specs.Spec
			must(t, json.Unmarshal(data, &theirs))
			ours := reread(t, r.ours)
			forgetVersion(&theirs)
			forgetVersion(ours)
			if !reflect.DeepEqual(ours, &theirs) {
				t.Errorf("got  %s\nwant %s", marshal(t, ours), marshal(t, theirs))
			}
		})
	}
}

func reread(t *testing.T, s *specs.Spec) *specs.Spec {
	var again specs.Spec
	must(t, json.Unmarshal(marshal(t, s), &again))
	return &again
}

// forgetVersion takes out what versions of runc differ in: the version itself, ambient capabilities
// (left out since 1.2), and masked paths, whose list grows.
func forgetVersion(s *specs.Spec) {
	s.Version = ""
	s.Process.Capabilities.Ambient = nil
	s.Linux.MaskedPaths = slices.DeleteFunc(s.Linux.MaskedPaths, func(p string) bool { return p == "/proc/latency_stats" })
}

func TestTemplatesAreValid(t *testing.T) {
	for name, s := range map[string]*specs.Spec{"default": DefaultSpec(), "rootless": RootlessSpec(1000, 1000)} {
		if warnings, err := Check(s); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, %v", name, warnings, err)
		}
	}
	if err := ValidateOn(RootlessSpec(1000, 1000), Host{Rootless: true}); err != nil {
		t.Error(err)
	}
}

// TestTemplatesAreOnesOwn changes one template and looks at the next.
func TestTemplatesAreOnesOwn(t *testing.T) {
	s := DefaultSpec()
	s.Process.Capabilities.Bounding[0] = "x"
	s.Mounts[1].Options[0] = "x"
	s.Linux.MaskedPaths[0] = "x"
	if strings.Contains(string(marshal(t, DefaultSpec())), `"x"`) {
		t.Error("two templates share a list")
	}
	if s.Process.Capabilities.Effective[0] == "x" {
		t.Error("two sets of capabilities share a list")
	}
}
