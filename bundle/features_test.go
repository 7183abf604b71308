package bundle

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// TestFeaturesBesideRunc compares every list with that of runc features. extra is what only this
// runtime has, and why.
func TestFeaturesBesideRunc(t *testing.T) {
	var theirs struct {
		Hooks, MountOptions, Namespaces, Capabilities, Actions, Operators, Archs, Flags, Modes, ModeFlags []string
	}
	must(t, json.Unmarshal(runOracle(t, strings.NewReader(""), "lists"), &theirs))
	ours := Features()
	for _, r := range []struct {
		name         string
		ours, theirs []string
		extra        []string
	}{
		{"hooks", ours.Hooks, theirs.Hooks, nil},
		// runc understands idmap and ridmap, and leaves them out of its list.
		{"mount options", ours.MountOptions, theirs.MountOptions, []string{"idmap", "ridmap"}},
		{"namespaces", ours.Linux.Namespaces, theirs.Namespaces, nil},
		{"capabilities", ours.Linux.Capabilities, theirs.Capabilities, nil},
		{"actions", ours.Linux.Seccomp.Actions, theirs.Actions, nil},
		{"operators", ours.Linux.Seccomp.Operators, theirs.Operators, nil},
		// The specification has had them since libseccomp 2.6.
		{"architectures", ours.Linux.Seccomp.Archs, theirs.Archs, []string{
			"SCMP_ARCH_M68K", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
		}},
		{"seccomp flags", ours.Linux.Seccomp.KnownFlags, theirs.Flags, nil},
		{"memory policies", ours.Linux.MemoryPolicy.Modes, theirs.Modes, nil},
		{"memory policy flags", ours.Linux.MemoryPolicy.Flags, theirs.ModeFlags, nil},
	} {
		want := slices.Concat(r.theirs, r.extra)
		slices.Sort(want)
		if got := slices.Sorted(slices.Values(r.ours)); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", r.name, got, want)
		}
	}
}

// TestFeaturesAreTrue takes every word of the lists through validation: what is offered has to be
// accepted, and a word that is not offered refused.
func TestFeaturesAreTrue(t *testing.T) {
	const other = "OTHER"
	f := Features()
	for _, r := range []struct {
		name  string
		words []string
		use   func(s *specs.Spec, word string)
	}{
		{"namespaces", f.Linux.Namespaces, func(s *specs.Spec, w string) {
			addUserNS(s, 1)
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.LinuxNamespaceType(w), Path: "/x"}}
			s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
		}},
		{"actions", f.Linux.Seccomp.Actions, func(s *specs.Spec, w string) {
			seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/x", Syscalls: []specs.LinuxSyscall{{Names: []string{"a"}, Action: specs.LinuxSeccompAction(w)}}})(s)
		}},
		{"operators", f.Linux.Seccomp.Operators, func(s *specs.Spec, w string) {
			rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Op: specs.LinuxSeccompOperator(w)}}})(s)
		}},
		{"architectures", f.Linux.Seccomp.Archs, func(s *specs.Spec, w string) {
			seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.Arch(w)}})(s)
		}},
		{"seccomp flags", f.Linux.Seccomp.KnownFlags, func(s *specs.Spec, w string) {
			seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(w)}})(s)
		}},
		{"memory policies", f.Linux.MemoryPolicy.Modes, func(s *specs.Spec, w string) {
			p := specs.LinuxMemoryPolicy{Mode: specs.MemoryPolicyModeType(w), Nodes: "0"}
			if p.Mode == specs.MpolDefault || p.Mode == specs.MpolLocal {
				p.Nodes = ""
			}
			policy(p)(s)
		}},
		{"memory policy flags", f.Linux.MemoryPolicy.Flags, func(s *specs.Spec, w string) {
			policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MemoryPolicyFlagType(w)}})(s)
		}},
	} {
		for _, w := range r.words {
			s := baseSpec()
			r.use(s, w)
			if err := Validate(s); err != nil {
				t.Errorf("%s: %s is offered, and refused: %v", r.name, w, err)
			}
		}
		s := baseSpec()
		r.use(s, other)
		if Validate(s) == nil {
			t.Errorf("%s: %s is accepted, and not offered", r.name, other)
		}
	}
}

// TestFeaturesOfMounts checks that the options on the list never reach the file system, where a
// bind mount would refuse them, and that others do.
func TestFeaturesOfMounts(t *testing.T) {
	for _, o := range Features().MountOptions {
		s := baseSpec()
		addUserNS(s, 1)
		mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", o}})(s)
		if err := Validate(s); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
	s := baseSpec()
	mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", "size=1"}})(s)
	if Validate(s) == nil {
		t.Error("size is accepted")
	}
}

// TestFeaturesOfHooks looks each name up in the configuration's type.
func TestFeaturesOfHooks(t *testing.T) {
	for _, point := range Features().Hooks {
		var hooks specs.Hooks
		must(t, json.Unmarshal([]byte(`{"`+point+`":[{"path":"/x"}]}`), &hooks))
		if h := HooksAt(&hooks, point); len(h) != 1 || h[0].Path != "/x" {
			t.Errorf("%s: got %v", point, h)
		}
	}
	if HooksAt(nil, "prestart") != nil || HooksAt(&specs.Hooks{}, "other") != nil {
		t.Error("hooks out of nothing")
	}
}

// TestFeaturesAreOnesOwn: whoever adds to the answer must not add to the tables.
func TestFeaturesAreOnesOwn(t *testing.T) {
	f := Features()
	f.Hooks[0], f.Linux.Capabilities[0], f.Linux.Namespaces[0], f.MountOptions[0] = "x", "x", "x", "x"
	f.Annotations["x"] = "x"
	if data := marshal(t, Features()); strings.Contains(string(data), `"x"`) {
		t.Errorf("the tables were changed: %s", data)
	}
}

func TestFeaturesAsJSON(t *testing.T) {
	var f features.Features
	must(t, json.Unmarshal(marshal(t, Features()), &f))
	if f.OCIVersionMin != "1.0.0" || f.OCIVersionMax != specs.Version {
		t.Errorf("versions %s to %s", f.OCIVersionMin, f.OCIVersionMax)
	}
	for _, a := range f.PotentiallyUnsafeConfigAnnotations {
		if strings.Contains(a, "criu") {
			t.Errorf("%s: there is no checkpoint", a)
		}
	}
}
