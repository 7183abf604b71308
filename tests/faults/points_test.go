package faults

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"runack/internal/act"
	"runack/nsexec"
	"runack/tests/harness"
)

var update = flag.Bool("update", false, "write testdata/points.txt anew")

// pointsFile lists the points of each verb. docs/failures.md is made from it.
const pointsFile = "testdata/points.txt"

// kernels says what a kernel has to have for the points of ofTheKernel.
const kernels = "AppArmor, NUMA"

// unreached has the points that no verb of the walk passes on any host, and why.
var unreached = map[string]string{
	"runtime: apply resctrl group": "needs resctrl in the CPU",
	"stage-1: write frame error":   "tests/faults/death_test.go",
	"stage-0: write frame error":   "tests/faults/death_test.go",
	"runtime: read frame error":    "every failure of a stage's passes it",
}

// TestNoStepIsForgotten holds the walk to the code's own lists: the stage's steps, the frames of the
// handshake, the runtime's acts. What is in one of them has to be passed by one of the verbs.
func TestNoStepIsForgotten(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("failpoints are runack's")
	var lines []string
	passed := map[string]bool{}
	for _, w := range verbs(e) {
		if w.shares {
			w.startShared()
		}
		points := w.discover()
		if w.shares {
			w.stopShared()
		}
		for _, p := range points {
			passed[p.name] = true
			lines = append(lines, w.name+"\t"+p.name)
		}
	}
	written := readLines(t, pointsFile)
	for _, l := range written {
		verb, name, _ := strings.Cut(l, "\t")
		if strings.Contains(verb, kernels) && !passed[name] {
			passed[name] = true // where the kernel has it
			lines = append(lines, l)
		}
	}
	for _, name := range listed(t) {
		_, known := unreached[name]
		switch {
		case !passed[name] && !known:
			t.Errorf("no verb passes %q", name)
		case passed[name] && known:
			t.Errorf("%q is passed: it is not to be listed as unreached", name)
		}
	}
	slices.Sort(lines)
	if *update {
		if err := os.WriteFile(pointsFile, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, l := range lines {
		if !slices.Contains(written, l) {
			t.Errorf("%q is passed and not in %s; go test ./tests/faults -run %s -update writes it", l, pointsFile, t.Name())
		}
	}
}

var protocolRow = regexp.MustCompile(`(?m)^PROTOCOL_ROW\((\w+), (\w+), (\w+), (\w+), (\w+)\)`)

// listed are all points that the code's lists name.
func listed(t *testing.T) []string {
	t.Helper()
	names := []string{"hook: clean signals"}
	for _, r := range act.All {
		names = append(names, "runtime: "+string(r.Act))
	}
	for _, s := range nsexec.Steps() {
		switch {
		case s.Op != "" || s.Step == "join cgroup" || s.Step == "check plan":
			names = append(names, "stage-1: "+s.Step)
		case s.Step == "start stage" || s.Step == "clone stage-1" || s.Step == "write time offsets" || strings.HasSuffix(s.Step, " namespace"):
			names = append(names, "stage-0: "+s.Step)
		case s.Step == "read frame":
			names = append(names, "stage-0: "+s.Step, "stage-1: "+s.Step)
		}
	}
	def, err := os.ReadFile("../../handshake/order.def")
	if err != nil {
		t.Fatal(err)
	}
	sides := map[string]string{"runtime": "runtime", "stage0": "stage-0", "stage1": "stage-1"}
	for _, m := range protocolRow.FindAllStringSubmatch(string(def), -1) {
		side, message := sides[m[3]], m[4]
		names = append(names, side+": write frame "+message)
		switch {
		case side != "runtime":
			names = append(names, "runtime: read frame "+message)
		case message == "spawn":
			names = append(names, "stage-0: read frame "+message)
		default:
			names = append(names, "stage-1: read frame "+message)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestAReleaseHasNoFailpoints: what is installed cannot be interrupted from outside.
func TestAReleaseHasNoFailpoints(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("failpoints are runack's")
	b, id, seen := e.Bundle(harness.Args("/bin/true")), e.ID("c"), filepath.Join(e.Dir, "seen")
	r := e.Runtime("run", "-b", b.Dir, id).
		Env(faultsVar+"=runtime: read bundle=fail(EIO); stage-1: mount=fail(EIO); nonsense", seenVar+"="+seen).Do()
	if r.Code != 0 || r.Stderr != "" {
		t.Error(r)
	}
	if _, err := os.Stat(seen); !os.IsNotExist(err) {
		t.Errorf("points were noted: %v", err)
	}
	if strings.Contains(e.Read(harness.RuntimePath()), faultsVar) {
		t.Errorf("the binary knows the variable %s", faultsVar)
	}
}
