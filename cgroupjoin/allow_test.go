package cgroupjoin

import (
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The rules that are written without the library are those that it writes.
func TestAllowancesAreTheLibrarys(t *testing.T) {
	needRoot(t)
	all := specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"}
	allow := func(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access}
	}
	for name, rules := range map[string][]specs.LinuxDeviceCgroup{
		"none": nil, "deny all": {all}, "twice": {all, all},
		"more":          {all, allow("c", 1, 11, "r"), allow("b", 7, 7, "rw")},
		"in two halves": {all, allow("c", 1, 11, "r"), allow("c", 1, 11, "w")},
		"any minor":     {all, {Allow: true, Type: "c", Major: ptr(int64(4)), Access: "rwm"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &specs.LinuxResources{Devices: rules}
			ours, theirs := created(t, r), created(t, r)
			if _, ok := ours.saved.Paths["devices"]; !ok {
				t.Skip("no devices hierarchy here: v2 has a program for it, which the library loads")
			}
			res, err := ours.resources(r)
			if err != nil {
				t.Fatal(err)
			}
			if done, err := ours.allowDevices(res.Devices); err != nil || !done {
				t.Fatal(done, err)
			}
			made := theirs.created
			theirs.created = nil // as if the cgroup had been there: then the library does it
			if err := theirs.Set(r); err != nil {
				t.Fatal(err)
			}
			theirs.created = made
			if a, b := rulesOf(t, ours), rulesOf(t, theirs); !slices.Equal(a, b) {
				t.Errorf("\n got %q\nwant %q", a, b)
			}
		})
	}
}

func rulesOf(t *testing.T, c *Cgroup) []string {
	t.Helper()
	return slices.Sorted(strings.SplitSeq(strings.TrimSpace(read(t, c.saved.Paths["devices"], "devices.list")), "\n"))
}

// What is more than a list of allowances is left to the library.
func TestOtherRulesAreLeftToTheLibrary(t *testing.T) {
	for _, rules := range [][]specs.LinuxDeviceCgroup{
		{{Allow: true, Access: "rwm"}},
		{{Allow: true, Type: "c", Access: "rwm"}, {Allow: false, Type: "c", Access: "m"}},
		{{Allow: true, Type: "c", Access: "rwm"}, {Allow: false, Access: "rwm"}},
	} {
		list, err := deviceRules(rules)
		if err != nil {
			t.Fatal(err)
		}
		if _, simple := allowances(list); simple {
			t.Errorf("%+v", rules)
		}
	}
}
