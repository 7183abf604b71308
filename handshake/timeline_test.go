package handshake

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestSpansCostNothingUnlessAskedFor(t *testing.T) {
	for name, tr := range map[string]*Transcript{"no transcript": nil, "frames only": {}} {
		allocated := testing.AllocsPerRun(100, func() {
			m := tr.Mark()
			tr.Took(m, "act", "")
		})
		if allocated != 0 || len(tr.Spans()) != 0 || tr.Timed() {
			t.Errorf("%s: %v allocations, spans %v", name, allocated, tr.Spans())
		}
	}
}

func stageFrame(body string) *Frame {
	return &Frame{Type: Mounted, From: Stage1, Body: json.RawMessage(body), reader: Runtime}
}

func TestStageStepsAreNamedShiftedAndCutOff(t *testing.T) {
	tr := &Transcript{Times: true}
	tr.spans = []Span{{Runtime, "first", "", 1000, 1500}}
	tr.StagePlan([]string{"", "/proc proc"}, 7*time.Second)
	err := tr.StageSteps(stageFrame(`{"steps":[` +
		`{"step":0,"op":"created","start":7000000100,"duration":1000},` + // began before the first
		`{"step":1,"op":"mount","start":7000001200,"duration":50},` +
		`{"step":9,"op":"unplanned","start":7000001250,"duration":5},` +
		`{"step":2,"op":"past","start":7000000100,"duration":5}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Span{
		{Runtime, "first", "", 1000, 1500},
		{Stage1, "created", "", 1000, 1100},
		{Stage1, "mount", "/proc proc", 1200, 1250},
		{Stage1, "unplanned", "", 1250, 1255},
	}
	got := tr.Spans()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("span %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if err := tr.StageSteps(stageFrame(`{"steps":[{"step":-1}]}`)); err == nil {
		t.Error("a broken body is no error")
	}
}

func TestChromeTrace(t *testing.T) {
	tr := &Transcript{Times: true}
	tr.spans = []Span{
		{Runtime, "make cgroup", "", 5_000_000, 5_500_250},
		{Stage1, "mount", `/pr"oc`, 6_000_000, 6_000_001},
	}
	tr.entries = []Entry{{Mono: 5_900_000, Protocol: "create", Side: Stage0, Type: Ready, Seq: 3, Length: 71, FDs: 1}}
	var out strings.Builder
	if err := tr.WriteChrome(&out, "runack create web"); err != nil {
		t.Fatal(err)
	}
	if !json.Valid([]byte(out.String())) {
		t.Fatalf("not JSON: %s", out.String())
	}
	for _, line := range []string{
		`{"ph":"M","pid":1,"tid":0,"name":"process_name","args":{"name":"runack create web"}}`,
		`{"ph":"M","pid":1,"tid":2,"name":"thread_name","args":{"name":"stage-0"}}`,
		`{"ph":"X","pid":1,"tid":1,"name":"make cgroup","ts":0.000,"dur":500.250}`,
		`{"ph":"X","pid":1,"tid":3,"name":"mount","ts":1000.000,"dur":0.001,"args":{"object":"/pr\"oc"}}`,
		`{"ph":"i","pid":1,"tid":2,"name":"frame ready","ts":900.000,"s":"t","args":{"conversation":"create","seq":3,"bytes":71,"descriptors":1}}`,
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line %s in:\n%s", line, out.String())
		}
	}
	out.Reset()
	var none *Transcript
	if err := none.WriteChrome(&out, ""); err != nil || !json.Valid([]byte(out.String())) {
		t.Errorf("nothing kept: %v, %s", err, out.String())
	}
}
