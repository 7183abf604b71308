package bundle

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"runack/bundle/specfields"
)

var update = flag.Bool("update", false, "write testdata/fields.txt anew")

// TestFields fails when the specification's Go types gain or lose a field: validation then has to
// learn about it, and so has the table of the documentation. Run with -update afterwards.
func TestFields(t *testing.T) {
	const file = "testdata/fields.txt"
	now := specfields.Config()
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(now, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields(string(data))
	for _, f := range now {
		if !slices.Contains(known, f) {
			t.Errorf("%s is new in the specification", f)
		}
	}
	for _, f := range known {
		if !slices.Contains(now, f) {
			t.Errorf("%s is no longer in the specification", f)
		}
	}
}

// TestFieldsOfOtherSystems checks that the walk keeps to Linux.
func TestFieldsOfOtherSystems(t *testing.T) {
	now := specfields.Config()
	for _, f := range []string{"windows", "solaris", "vm", "zos", "freebsd", "process.commandLine", "process.user.username"} {
		if slices.Contains(now, f) {
			t.Errorf("%s is not Linux's", f)
		}
	}
	for _, f := range []string{
		"ociVersion", "process.capabilities.ambient", "linux.resources.blockIO.weightDevice[].major", "hooks.prestart[].timeout",
		"linux.resources.rdma{}.hcaHandles", "linux.timeOffsets{}.nanosecs", "linux.seccomp.syscalls[].args[].valueTwo", "mounts[].uidMappings[].hostID",
	} {
		if !slices.Contains(now, f) {
			t.Errorf("%s is missing", f)
		}
	}
}

// anyValue are the fields of which every value of their type is good, or whose goodness is known
// only when it is used; each with the reason.
var anyValue = map[string]string{
	"process.terminal":                              "true or false",
	"process.noNewPrivileges":                       "true or false",
	"process.rlimits[].hard":                        "every number is a limit; its relation to soft is checked there",
	"linux.personality.flags":                       "none is defined; the plan warns",
	"process.capabilities.ambient":                  "what cannot be granted is left out; the plan warns",
	"process.capabilities.bounding":                 "what cannot be granted is left out; the plan warns",
	"process.capabilities.permitted":                "what cannot be granted is left out; the plan warns",
	"linux.resources.devices[].allow":               "true or false",
	"linux.resources.memory.checkBeforeUpdate":      "true or false",
	"linux.resources.memory.disableOOMKiller":       "true or false",
	"linux.intelRdt.enableMonitoring":               "true or false",
	"linux.resources.cpu.shares":                    "the kernel takes the nearest possible weight",
	"linux.resources.cpu.realtimePeriod":            "checked by realtimeRuntime; its bounds are set by the administrator",
	"linux.resources.pids":                          "its field is free",
	"linux.resources.pids.limit":                    "negative is no limit",
	"linux.resources.hugepageLimits[].limit":        "a number of bytes",
	"linux.resources.network.classID":               "a number",
	"linux.resources.network.priorities[].priority": "a number",
	"linux.resources.rdma{}.hcaHandles":             "a number; that one of both is there is checked",
	"linux.resources.rdma{}.hcaObjects":             "a number; that one of both is there is checked",
	"linux.seccomp.syscalls[].args[].value":         "a number",
	"linux.seccomp.syscalls[].args[].valueTwo":      "a number",
	"linux.timeOffsets{}.secs":                      "which sums are possible depends on the machine's clocks",
}

// sameRules are the parts of paths that stand for others with the same rules.
var sameRules = strings.NewReplacer(
	"hooks.prestart", "hooks.poststop", "hooks.createRuntime", "hooks.poststop", "hooks.createContainer", "hooks.poststop",
	"hooks.startContainer", "hooks.poststop", "hooks.poststart", "hooks.poststop",
	"throttleReadBpsDevice", "throttle", "throttleReadIOPSDevice", "throttle",
	"throttleWriteBpsDevice", "throttle", "throttleWriteIOPSDevice", "throttle",
	"gidMappings", "uidMappings", "minor", "major",
	"memory.kernelTCP", "memory.kernel", "blockIO.weightDevice[].weight", "blockIO.weightDevice[].leafWeight",
	"mounts[].uidMappings[]", "linux.uidMappings[]", "mounts[].gidMappings[]", "linux.uidMappings[]",
)

// TestEveryFieldIsDecided fails when a field of the specification is neither met by a row of the
// tables nor declared free.
func TestEveryFieldIsDecided(t *testing.T) {
	decided := map[string]bool{"linux.resources.blockIO.throttle[].rate": true} // a number
	for _, r := range allRows() {
		for p := general(r.path + r.warn); p != ""; {
			decided[sameRules.Replace(p)] = true
			cut := strings.LastIndexAny(p, ".[{")
			p = p[:max(cut, 0)] // what holds a decided field is decided
		}
	}
	for _, f := range specfields.Config() {
		_, free := anyValue[f]
		met := decided[sameRules.Replace(f)]
		if !met && !free {
			t.Errorf("%s: no row of the tables refuses it or warns about it", f)
		}
		if met && free {
			t.Errorf("%s: declared free, and yet a row decides about it", f)
		}
	}
}

// general turns the path of one value into that of the field: indices and keys become [] and {}.
func general(path string) string {
	path = regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "[]")
	return regexp.MustCompile(`\["[^"]*"\]`).ReplaceAllString(path, "{}")
}
