package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// traceEvent is what a viewer reads of an event.
type traceEvent struct {
	Ph, Name string
	Tid      int
	Ts, Dur  float64
	Args     map[string]any
}

// The rows.
const (
	rowRuntime = 1
	rowStage1  = 3
)

func readTrace(t *testing.T, path string) []traceEvent {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var trace struct{ TraceEvents []traceEvent }
	if err := json.Unmarshal(data, &trace); err != nil {
		t.Fatal(err)
	}
	return trace.TraceEvents
}

// wantSlices checks that a row has slices of these names, inside of the whole command's.
func wantSlices(t *testing.T, events []traceEvent, row int, names ...string) {
	t.Helper()
	var whole traceEvent
	for _, e := range events {
		if e.Ph == "X" && e.Ts+e.Dur > whole.Ts+whole.Dur {
			whole = e
		}
	}
	for _, name := range names {
		i := slices.IndexFunc(events, func(e traceEvent) bool { return e.Ph == "X" && e.Tid == row && e.Name == name })
		if i < 0 {
			t.Errorf("row %d has no %q", row, name)
			continue
		}
		if e := events[i]; e.Ts < 0 || e.Dur <= 0 || e.Ts+e.Dur > whole.Ts+whole.Dur {
			t.Errorf("%q is from %v for %v µs, the command from %v for %v", name, e.Ts, e.Dur, whole.Ts, whole.Dur)
		}
	}
}

func TestATraceShowsWhereTheTimeWent(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("--trace is runack's")
	// The stage's clock is ahead of the host's.
	b := e.Bundle(harness.Args("/bin/true"), harness.Namespace(specs.TimeNamespace, ""), func(s *specs.Spec) {
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 100000}}
	})
	path := filepath.Join(e.Dir, "trace.json")
	e.OK("--trace", path, "run", "-b", b.Dir, e.ID("c"))
	events := readTrace(t, path)
	wantSlices(t, events, rowRuntime, "runack run", "start-up", "read bundle", "claim id", "make cgroup", "fork stage-0",
		"wait for ready", "wait for mounted", "wait for executing", "remove cgroup", "remove state directory")
	wantSlices(t, events, rowStage1, "root", "mount", "pivot", "created", "bounding")
	for _, frame := range []string{"spawn", "ready", "plan", "executing"} {
		if !slices.ContainsFunc(events, func(e traceEvent) bool { return e.Ph == "i" && e.Name == "frame "+frame }) {
			t.Errorf("no frame %s", frame)
		}
	}
	if i := slices.IndexFunc(events, func(e traceEvent) bool { return e.Name == "mount" }); i >= 0 && events[i].Args["object"] == nil {
		t.Errorf("the mount has no object: %+v", events[i])
	}
}

// Clients choose the options, so a variable asks for traces too: of every command, in a directory.
func TestTracesOfEveryCommandInADirectory(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("RUNACK_TRACE is runack's")
	dir := filepath.Join(e.Dir, "traces")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e.Vars = append(e.Vars, "RUNACK_TRACE="+dir)
	b, id := e.Bundle(harness.Args("/bin/sleep", "600")), e.ID("c")
	e.OK("create", "-b", b.Dir, id)
	e.OK("start", id)
	e.OK("exec", id, "/bin/true")
	e.OK("delete", "-f", id)
	for verb, slices := range map[string][]string{
		"create": {"root", "mount", "pivot"}, "start": {"created", "bounding"}, "exec": {"user"}, "delete": nil,
	} {
		found, err := filepath.Glob(filepath.Join(dir, "runack-"+verb+"-*.json"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: traces %v, %v", verb, found, err)
		}
		events := readTrace(t, found[0])
		wantSlices(t, events, rowRuntime, "runack "+verb)
		wantSlices(t, events, rowStage1, slices...)
	}
}

// A trace that cannot be written is a warning: no container fails for it.
func TestATraceThatCannotBeWritten(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("--trace is runack's")
	b := e.Bundle(harness.Args("/bin/true"))
	r := e.Do("--trace", "/nothing/like/it", "run", "-b", b.Dir, e.ID("c"))
	if r.Code != 0 {
		t.Fatal(r)
	}
	harness.OneLine(t, r.Stderr, "write trace: open /nothing/like/it")
}
