package integration

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

type doctorCheck struct{ Group, Name, State, Found, Advice string }

func readChecks(t *testing.T, text string) []doctorCheck {
	t.Helper()
	var checks []doctorCheck
	if err := json.Unmarshal([]byte(text), &checks); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return checks
}

// Where the other tests can run, nothing is missing, and what is not there comes with advice.
func TestDoctorOnThisHost(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("doctor is runack's")
	groups := map[string]bool{}
	for _, c := range readChecks(t, e.OK("doctor", "--json")) {
		groups[c.Group] = true
		if c.State == "missing" || c.State == "limited" && c.Advice == "" || c.Name == "" {
			t.Errorf("%+v", c)
		}
	}
	for _, g := range []string{"kernel", "namespaces", "cgroups", "security", "users", "speed", "tools"} {
		if !groups[g] {
			t.Errorf("no group %s", g)
		}
	}
	wantContains(t, "the table", e.OK("doctor"), "STATE", "openat2", "favordynmods", "rcu_normal", "criu")
}

// An old kernel is what a filter can make of this one.
func TestDoctorMissesWhatIsTakenAway(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("doctor is runack's")
	taken := []string{"openat2", "pidfd_getfd"}
	b := e.Bundle(harness.Args("/mnt/runack", "doctor", "--json"),
		harness.Mount("bind", harness.RuntimePath(), "/mnt/runack", "bind", "ro"), func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: taken, Action: specs.ActErrno, ErrnoRet: new(uint(unix.ENOSYS))},
			}}
		})
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	if r.Code != 1 {
		t.Error(r)
	}
	states := map[string]string{}
	for _, c := range readChecks(t, r.Stdout) {
		states[c.Name] = c.State
		if slices.Contains(taken, c.Name) && (c.Found != "ENOSYS (38)" || c.Advice == "") {
			t.Errorf("%+v", c)
		}
	}
	if states["openat2"] != "missing" || states["pidfd_getfd"] != "limited" || states["clone3"] != "ok" {
		t.Errorf("states: %v", states)
	}
}
