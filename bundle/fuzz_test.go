package bundle

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/plan"
)

func benchBundle(tb testing.TB, dir string, config []byte) {
	tb.Helper()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), config, 0o644); err != nil {
		tb.Fatal(err)
	}
}

// FuzzLoad feeds mutated configurations to everything that reads them, the plan included. Nothing may
// panic; a refusal is an error of one line that names the field; and what is accepted stays accepted
// when it is written and read again.
func FuzzLoad(f *testing.F) {
	f.Add(marshal(f, DefaultSpec()))
	f.Add(marshal(f, RootlessSpec(1000, 1000)))
	f.Add(marshal(f, baseSpec()))
	f.Add(marshal(f, allFields(f, `{"policy": "SCHED_OTHER", "nice": 5}`)))
	for _, r := range allRows() {
		f.Add(marshal(f, r.spec()))
	}
	for _, text := range []string{"", "null", "[]", "{}", "{", `{"process":`, "\xef\xbb\xbf{}", `{"a":"\`, `{"linux":{"sysctl":{"a":1}}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := Parse(data)
		if err != nil {
			oneLineRefusal(t, err)
			return
		}
		warnings, err := Check(spec)
		for _, w := range warnings {
			if w.Path == "" || strings.Contains(w.String(), "\n") {
				t.Errorf("warning %q", w)
			}
		}
		if err != nil {
			oneLineRefusal(t, err)
			return
		}
		_ = ValidateOn(spec, Host{Rootless: true, SameNetNS: func(string) (bool, error) { return false, nil }})
		planOnManyHosts(t, spec)
		again, err := json.Marshal(spec)
		if err != nil {
			t.Fatalf("accepted, and cannot be written: %v", err)
		}
		spec, err = Parse(again)
		if err == nil {
			err = Validate(spec)
		}
		if err != nil {
			t.Errorf("accepted, and refused the second time: %v", err)
		}
	})
}

// planOnManyHosts plans a create and an exec where much, little, or something else is possible.
func planOnManyHosts(t *testing.T, spec *specs.Spec) {
	t.Helper()
	mounts := map[string]string{"cpu": "/sys/fs/cgroup/cpu", "name=systemd": "/sys/fs/cgroup/systemd", "": "/sys/fs/cgroup/unified"}
	for _, facts := range []plan.Facts{
		{CgroupVersion: "v2", AppArmor: true, SELinux: true, Kcore: true},
		{CgroupVersion: "hybrid", CgroupMounts: mounts, CgroupPaths: mounts, InUserNS: true, LastCap: 40, BoundingCaps: 1, Root: plan.SourceFact{Unreachable: true}},
		{CgroupVersion: "none", Rootless: true, SetgroupsDenied: true},
	} {
		options := plan.Options{ID: "x", Seccomp: &plan.Seccomp{}, ListenFDs: 1, NoPivot: facts.Rootless, Init: facts.InUserNS}
		p, err := plan.Create(spec, "/bundle", "/bundle/rootfs", facts, options)
		checkPlanned(t, p, err)
		if spec.Process != nil {
			p, err = plan.Exec(spec, spec.Process, facts, options)
			checkPlanned(t, p, err)
		}
	}
}

func checkPlanned(t *testing.T, p *plan.Plan, err error) {
	t.Helper()
	if err != nil {
		var refusal *plan.Error
		if !errors.As(err, &refusal) || refusal.Field == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("the plan refuses with %q, a %T", err, err)
		}
		return
	}
	if _, err := p.WireSteps(); err != nil {
		t.Errorf("planned, and cannot be sent: %v", err)
	}
	if err := p.WriteText(io.Discard); err != nil {
		t.Errorf("planned, and cannot be shown: %v", err)
	}
}

func oneLineRefusal(t *testing.T, err error) {
	t.Helper()
	var fe *FieldError
	if !errors.As(err, &fe) {
		t.Errorf("%v is a %T", err, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
}
