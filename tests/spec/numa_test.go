package spec

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// What /proc/PID/numa_maps shows of each mode on a machine with one node (numa(7)).
func TestTheMemoryPolicy(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 does not know memoryPolicy")
	policy := func(p specs.LinuxMemoryPolicy) harness.Edit { return func(s *spec) { s.Linux.MemoryPolicy = &p } }
	if _, err := os.Stat("/proc/self/numa_maps"); err != nil {
		// Nothing to fall back to: the program would run with another policy than the one asked for.
		e.Refused([]harness.Edit{policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"})}, "set memory policy", "ENOSYS (38)")
		return
	}
	for _, row := range []struct {
		p    specs.LinuxMemoryPolicy
		want string
	}{
		{specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}, "default"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, "local"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}, "bind:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0"}, "interleave:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred, Nodes: "0"}, "prefer:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolPreferredMany, Nodes: "0"}, "prefer (many):0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}, "bind=static:0"},
		{specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFRelativeNodes}}, "bind=relative:0"},
	} {
		out := e.Run(harness.Args("/bin/cat", "/proc/self/numa_maps"), policy(row.p))
		first, _, _ := strings.Cut(out, "\n")
		if !strings.Contains(first, " "+row.want) {
			t.Errorf("%s: %q, want %s", row.p.Mode, first, row.want)
		}
	}
	e.Refused([]harness.Edit{policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "999"})}, "set memory policy", "EINVAL (22)")
}

// No machine of the tests has the hardware; what is left to see is that it is not ignored.
func TestIntelRdtThatIsNotThere(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	if text := e.Read("/proc/self/mountinfo"); strings.Contains(text, " - resctrl ") {
		t.Skip("a resctrl file system is mounted here")
	}
	e.Refused([]harness.Edit{func(s *spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x", Schemata: []string{"L3:0=f"}} }}, "linux.intelRdt", "resctrl")
}
