package bundle

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/plan"
)

// makePlan plans on a machine that has everything.
func makePlan(s *specs.Spec) (*plan.Plan, error) {
	return plan.Create(s, "/bundle", "/bundle/rootfs",
		plan.Facts{CgroupVersion: "v2", AppArmor: true, SELinux: true},
		plan.Options{ID: "x", Seccomp: &plan.Seccomp{}})
}

// TestPlanTakesWhatIsAccepted: a configuration that passes validation must not fail in the plan, on
// a machine that has what it asks for; else the two rooms have different rules.
func TestPlanTakesWhatIsAccepted(t *testing.T) {
	for _, r := range allRows() {
		if r.path != "" {
			continue
		}
		s := r.spec()
		complete(s)
		if _, err := makePlan(s); err != nil {
			t.Errorf("%s: accepted here, and by the plan: %v", r.name, err)
		}
	}
}

// TestPlanRefusesNothingMore: where the plan refuses what validation refuses, both blame the same
// field, or one inside the other.
func TestPlanRefusesNothingMore(t *testing.T) {
	both := 0
	for _, r := range allRows() {
		if r.path == "" {
			continue
		}
		s := r.spec()
		complete(s)
		_, err := makePlan(s)
		if err == nil {
			continue
		}
		both++
		field, _, _ := strings.Cut(err.Error(), ": ")
		ours := strings.ReplaceAll(r.path, `"`, "")
		if !strings.HasPrefix(field, ours) && !strings.HasPrefix(ours, field) {
			t.Errorf("%s: here %s is refused, and by the plan: %v", r.name, r.path, err)
		}
	}
	if both < 50 {
		t.Errorf("only %d configurations are refused by both", both)
	}
}

// TestPlanWarns: what Check leaves to the plan to warn about.
func TestPlanWarns(t *testing.T) {
	for _, r := range []struct{ row, field string }{
		{"capabilities unknown", "process.capabilities"},
		{"ambient beyond inheritable", "process.capabilities.ambient"},
		{"mount with relative destination", "mounts[0].destination"},
		{"copy up of another type", "mounts[0].options"},
		{"personality with flags", "linux.personality.flags"},
	} {
		rows := allRows()
		i := slices.IndexFunc(rows, func(x row) bool { return x.name == r.row })
		if i < 0 {
			t.Fatalf("no row %q", r.row)
		}
		p, err := makePlan(rows[i].spec())
		if err != nil {
			t.Errorf("%s: %v", r.row, err)
			continue
		}
		if !slices.ContainsFunc(p.Warnings, func(w string) bool { return strings.HasPrefix(w, r.field+": ") }) {
			t.Errorf("%s: no warning about %s, but %q", r.row, r.field, p.Warnings)
		}
	}
}

// TestPlanKnowsTheWords takes each word of the tables that this room keeps through the plan, and
// looks for what the plan makes of it.
func TestPlanKnowsTheWords(t *testing.T) {
	for _, ns := range namespaceTypes {
		s := baseSpec()
		s.Linux.Namespaces = []specs.LinuxNamespace{{Type: ns}}
		p, err := makePlan(s)
		if err != nil {
			t.Errorf("%s: %v", ns, err)
			continue
		}
		if !slices.Contains(p.Namespaces, plan.Namespace{Type: ns, Mode: plan.New}) || len(p.Namespaces) != len(namespaceTypes) {
			t.Errorf("%s: the plan has %v", ns, p.Namespaces)
		}
	}
	for _, name := range rlimitNames {
		s := baseSpec()
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: name, Soft: 1, Hard: 2}}
		if p, err := makePlan(s); err != nil || len(p.Rlimits) != 1 || p.Rlimits[0].Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, m := range memoryPolicyModes {
		wantOp(t, "memory-policy", string(m), func(s *specs.Spec) { policy(specs.LinuxMemoryPolicy{Mode: m, Flags: memoryPolicyFlags})(s) })
	}
	for _, d := range personalityDomains {
		wantOp(t, "personality", string(d), func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: d} })
	}
	for _, p := range schedulerPolicies {
		wantOp(t, "scheduler", string(p), scheduler(specs.Scheduler{Policy: p, Flags: schedulerFlags}))
	}
	for _, c := range []specs.IOPriorityClass{specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE} {
		wantOp(t, "io-priority", string(c), func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: c} })
	}
}

// wantOp looks for a step in the plan of an edited configuration.
func wantOp(t *testing.T, op, word string, edit func(*specs.Spec)) {
	t.Helper()
	s := baseSpec()
	edit(s)
	p, err := makePlan(s)
	if err != nil {
		t.Errorf("%s: %v", word, err)
		return
	}
	if !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Op() == op }) {
		t.Errorf("%s: the plan has no step %s", word, op)
	}
}
