package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"runack/tests/harness"
)

// What `features` says is what the runtime does: each list is held against containers that use it.
// For mount options see TestEveryOptionOfFeaturesIsTested.

func featuresOf(e *harness.Env) features.Features {
	e.T.Helper()
	var f features.Features
	if err := json.Unmarshal([]byte(e.OK("features")), &f); err != nil {
		e.T.Fatal(err)
	}
	return f
}

func TestFeaturesTellWhichNamespacesThereAre(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 has fewer")
	listed := featuresOf(e).Linux.Namespaces
	var tested []string
	for _, k := range kinds { // TestNamespacesInEveryMix runs each of them
		tested = append(tested, string(k.kind))
	}
	slices.Sort(tested)
	if !slices.Equal(listed, tested) {
		t.Errorf("listed %v, tested %v", listed, tested)
	}
}

// Every capability that is listed reaches the program, if the kernel and the runtime have it.
func TestFeaturesTellWhichCapabilitiesThereAre(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 fails for what it was not given itself")
	listed := featuresOf(e).Linux.Capabilities
	r := e.Do("run", "-b", e.Bundle(status, caps(listed...)).Dir, e.ID("c"))
	if r.Code != 0 {
		t.Fatal(r)
	}
	wantField(t, r.Stdout, "CapBnd", harness.Field(t, e.Read("/proc/self/status"), "CapBnd"))
	var last int
	if _, err := fmt.Sscan(e.Read("/proc/sys/kernel/cap_last_cap"), &last); err != nil {
		t.Fatal(err)
	}
	if last+1 != len(listed) {
		t.Errorf("%d capabilities are listed, and the kernel has %d", len(listed), last+1)
	}
}

func TestFeaturesTellWhichHooksThereAre(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 runs poststart before the program")
	log := e.Dir + "/hooks"
	b := e.Bundle(sh("true"), func(s *spec) { s.Hooks = &specs.Hooks{} })
	listed := featuresOf(e).Hooks
	hooks := map[string][]specs.Hook{}
	for _, point := range listed {
		// The two points of the container's namespaces: one still sees the host, one does not.
		path, args := "/bin/sh", []string{"sh", "-c", "cat >/dev/null; echo " + point + " >>" + log}
		if point == "startContainer" {
			args = []string{"sh", "-c", "cat >/dev/null; echo " + point + " >>/log/hooks"}
		}
		hooks[point] = []specs.Hook{{Path: path, Args: args}}
	}
	text, err := json.Marshal(hooks)
	if err != nil {
		t.Fatal(err)
	}
	b.Edit(func(s *spec) {
		if err := json.Unmarshal(text, s.Hooks); err != nil {
			t.Fatal(err)
		}
	}, mount("bind", e.Dir, "/log", "bind"))
	e.OK("run", "-b", b.Dir, e.ID("c"))
	wantEqual(t, "hooks that ran", e.Read(log), strings.Join(listed, "\n")+"\n")
}

func TestFeaturesTellOfLSMsCgroupsAndMounts(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has a list of its own")
	l := featuresOf(e).Linux
	yes := func(what string, b *bool) {
		t.Helper()
		if b == nil || !*b {
			t.Errorf("%s is not enabled", what)
		}
	}
	// Each of these has a test that uses it, on a machine that has it.
	yes("apparmor (TestTheAppArmorProfile)", l.Apparmor.Enabled)
	yes("selinux (TestLabels)", l.Selinux.Enabled)
	yes("cgroup.v1 (the integration tests in the view v1)", l.Cgroup.V1)
	yes("cgroup.v2 (the integration tests in the view v2)", l.Cgroup.V2)
	yes("cgroup.systemd (TestSystemdScopeFromCreateToDelete)", l.Cgroup.Systemd)
	yes("cgroup.systemdUser (TestSystemdUserSession)", l.Cgroup.SystemdUser)
	yes("cgroup.rdma (TestRdma)", l.Cgroup.Rdma)
	yes("mountExtensions.idmap (TestIDMappedMounts)", l.MountExtensions.IDMap.Enabled)
	yes("netDevices", l.NetDevices.Enabled)
	yes("intelRdt", l.IntelRdt.Enabled)
	yes("seccomp", l.Seccomp.Enabled)
}

// The annotations that a caller must not hand on from a stranger are those that act on the host.
func TestFeaturesTellWhichAnnotationsAreUnsafe(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has a list of its own")
	listed := featuresOf(e).PotentiallyUnsafeConfigAnnotations
	wantEqual(t, "unsafe annotations", strings.Join(listed, " "), "org.systemd.property.")
}

func TestConfigurationsOfOtherVersions(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 takes every version")
	f := featuresOf(e)
	version := func(v string) harness.Edit { return func(s *spec) { s.Version = v } }
	for _, v := range []string{f.OCIVersionMin, "1.0.2-dev", "1.1.0+build", f.OCIVersionMax, "1.9.0"} {
		r := e.Do("run", "-b", e.Bundle(sh("true"), version(v)).Dir, e.ID("c"))
		if newer := v == "1.9.0"; r.Code != 0 || newer != strings.Contains(r.Stderr, "is newer than") {
			t.Errorf("%s: %s", v, r)
		}
	}
	for _, v := range []string{"", "1", "1.0", "0.9.0", "2.0.0", "v1.0.0", "1.0.0.0"} {
		e.Refused([]harness.Edit{version(v)}, "ociVersion")
	}
}
