package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runc/types"

	"runack/tests/harness"
)

// --stats prints runc's JSON, which clients decode into runc's types: no field of it has another name.
func TestEventsStats(t *testing.T) {
	e := harness.New(t)
	cgroup := e.Cgroup("c")
	edits := []harness.Edit{harness.CgroupsPath(cgroup)}
	if harness.HasController("memory") {
		edits = append(edits, memoryLimit(64<<20))
	}
	if harness.HasController("pids") {
		edits = append(edits, pidsLimit(17))
	}
	id, _ := detached(e, edits...)
	out := e.OK("events", "--stats", id)
	var event struct {
		Type string      `json:"type"`
		ID   string      `json:"id"`
		Data types.Stats `json:"data"`
	}
	d := json.NewDecoder(bytes.NewReader([]byte(out)))
	d.DisallowUnknownFields()
	if err := d.Decode(&event); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	stats := event.Data
	wantEqual(t, "type and id", event.Type+" "+event.ID, "stats "+id)
	// runc 1.1 may still have a thread of its own there.
	if harness.HasController("pids") && harness.IsRunack() && (stats.Pids.Limit != 17 || stats.Pids.Current != 1) {
		t.Errorf("pids: %+v", stats.Pids)
	}
	if harness.HasController("memory") && (stats.Memory.Usage.Limit != 64<<20 || stats.Memory.Usage.Usage == 0 || len(stats.Memory.Raw) == 0) {
		t.Errorf("memory: %+v", stats.Memory)
	}
	if harness.HasController("cpu") && stats.CPU.Usage.Total == 0 {
		t.Errorf("cpu: %+v", stats.CPU)
	}
	if harness.IsRunack() && harness.HasPSI() && (stats.CPU.PSI == nil || stats.Memory.PSI == nil || stats.Blkio.PSI == nil) {
		t.Errorf("no pressure: %s", out)
	}
	remove(e, id)
}

// Statistics at every interval, and an end when the container ends.
func TestEventsAtAnInterval(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("on v1 runc waits for the removal of the cgroup")
	id, pid := detached(e)
	events := e.Runtime("events", "--interval", "20ms", id).Piped().Start()
	for range 3 {
		if got := nextEvent(e, events); got != (event{"stats", id}) {
			t.Errorf("event %+v", got)
		}
	}
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	if r := events.Wait(); r.Code != 0 {
		t.Error(r)
	}
	e.OK("delete", id)
}

func TestEventsOfAStoppedContainer(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	harness.OneLine(t, e.Fails(1, "events", "--stats", id), "container with id "+id+" is not running")
	harness.OneLine(t, e.Fails(1, "events", "--interval", "0s", id), "duration interval must be greater than 0")
	e.OK("delete", id)
}

// ps lists the processes of the container and no others, as ps(1) does or as JSON.
func TestProcessesInATable(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	e.OK("exec", "-d", id, "/bin/sleep", "4321")
	var pids []int
	if err := json.Unmarshal([]byte(e.OK("ps", "--format", "json", id)), &pids); err != nil || len(pids) != 2 || !slices.Contains(pids, pid) {
		t.Errorf("pids %v, %v; want two, with %d", pids, err, pid)
	}
	if _, err := e.Command("ps", "--version").Try(); err != nil {
		t.Skipf("the table needs ps(1): %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(e.OK("ps", id), "\n"), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "PID") {
		t.Errorf("want a heading and two lines: %q", lines)
	}
	table := e.OK("ps", id, "-o", "pid,args")
	for _, p := range pids {
		wantContains(t, "the table", table, fmt.Sprint(p))
	}
	wantContains(t, "the table", table, "sleep 4321", "/bin/probe wait")
	remove(e, id)
}
