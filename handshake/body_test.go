package handshake

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func frameOf(t Type, body string) *Frame {
	return &Frame{Type: t, From: Stage1, Body: json.RawMessage(body), reader: Runtime}
}

// What AppendJSON writes means what encoding/json would have written.
func TestAppendJSONAgreesWithEncodingJSON(t *testing.T) {
	zero, seven := 0, 7
	actions := []Action{{}, {Do: "setns", Flags: math.MaxUint64, FD: &zero, Value: "v", Object: "o"}, {FD: &seven, Value: "monotonic 1 2\nboottime 3 4\n"}}
	for _, b := range []Appender{
		SpawnBody{}, SpawnBody{Clone: math.MaxUint64, Dumpable: true}, SpawnBody{Actions: actions, Cgroup: &zero}, SpawnBody{Actions: actions[:1]},
		JoinBody{}, JoinBody{Tasks: []int{0, 1, 250}}, JoinBody{Actions: actions}, JoinBody{Tasks: []int{3}, Actions: actions[1:]},
		PlanBody{}, PlanBody{Trace: true, Steps: json.RawMessage(`[]`)}, PlanBody{Steps: json.RawMessage(`[{"op":"exec"}]`)},
		StateBody{}, StateBody{State: "{\"a\":\"b\\c<>&\u2028\x01\t\r\n\"}"}, StateBody{State: "\xff\u00e9\U0001f40b\xe2\x82"},
	} {
		want, err := json.Marshal(b)
		must(t, err)
		got := b.AppendJSON(nil)
		var x, y any
		must(t, json.Unmarshal(want, &x))
		if err := json.Unmarshal(got, &y); err != nil || !reflect.DeepEqual(x, y) {
			t.Errorf("%T: got %s, encoding/json %s, %v", b, got, want, err)
		}
		s := scanner{data: got}
		if f := s.value(); f != nil || s.pos != len(got) {
			t.Errorf("%s: %v", got, f)
		}
	}
}

// Each hand-written decoder has all fields of its type, and takes what encoding/json writes.
func TestDecodeKnowsEveryField(t *testing.T) {
	for _, c := range []struct {
		full, empty any
	}{
		{&ReadyBody{Pid: 1<<31 - 1, Born: true}, &ReadyBody{}},
		{&ErrorBody{Side: Stage0, Step: "a \"b\"", Object: "\u00e9\n", Errno: 4095, Detail: "<>&\u2028"}, &ErrorBody{}},
		{&TraceBody{Steps: []StepTime{{1, "mount", math.MaxInt64, 3}, {}}}, &TraceBody{}},
	} {
		v := reflect.ValueOf(c.full).Elem()
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Fatalf("%T.%s is not set here", c.full, v.Type().Field(i).Name)
			}
		}
		text, err := json.Marshal(c.full)
		must(t, err)
		if err := frameOf(Ready, string(text)).Decode(c.empty); err != nil || !reflect.DeepEqual(c.full, c.empty) {
			t.Errorf("%s: got %+v, %v", text, c.empty, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		body string
		to   any
		want string
	}{
		{Ready, `{}`, &ReadyBody{}, "expected pid and born"},
		{Ready, `{"pid":0,"born":true}`, &ReadyBody{}, "expected pid and born"},
		{Ready, `{"pid":1}`, &ReadyBody{}, "expected pid and born"},
		{Ready, `{"pid":-1,"born":true}`, &ReadyBody{}, "expected pid to be a number from 0 to 2147483647"},
		{Ready, `{"pid":2147483648,"born":true}`, &ReadyBody{}, "expected pid to be"},
		{Ready, `{"pid":1,"born":1}`, &ReadyBody{}, "expected born to be true or false"},
		{Ready, `{"PID":1,"born":true}`, &ReadyBody{}, `unknown field "PID"`},
		{Ready, `{"pid":1,"born":true,"x":0}`, &ReadyBody{}, `unknown field "x"`},
		{Ready, `[]`, &ReadyBody{}, "expected the value to be an object"},
		{Error, `{}`, &ErrorBody{}, "expected side and step"},
		{Error, `{"side":"stage-1"}`, &ErrorBody{}, "expected side and step"},
		{Error, `{"side":"stage-1","step":"s","errno":4096}`, &ErrorBody{}, "expected errno to be a number from 0 to 4095"},
		{Error, `{"side":"stage-1","step":5}`, &ErrorBody{}, "expected step to be a string"},
		{Error, `{"side":"stage-1","step":"s","more":1}`, &ErrorBody{}, `unknown field "more"`},
		{Mounted, `{"steps":{}}`, &TraceBody{}, "to be a list"},
		{Mounted, `{"steps":[1]}`, &TraceBody{}, "a list of objects"},
		{Mounted, `{"steps":[{"step":1,"end":2}]}`, &TraceBody{}, `unknown field "end"`},
		{Mounted, `{"steps":[{"step":"1"}]}`, &TraceBody{}, "expected step to be a number"},
		{Spawn, `{"clone":1,"x":2}`, &SpawnBody{}, `unknown field "x"`},
		{Spawn, `{"clone":"1"}`, &SpawnBody{}, "cannot unmarshal"},
		{Spawn, `{}{}`, &SpawnBody{}, "expected one JSON object"},
	} {
		err := frameOf(c.typ, c.body).Decode(c.to)
		p := wantKind(t, err, KindBody)
		if p.Side != Runtime || p.From != Stage1 || p.Type != c.typ || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.body, err)
		}
	}
}

// AppendString writes valid JSON for any string, and encoding/json reads the same back from it.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "\xff\xed\xa0\x80\u2028\U0001f40b", "\xe2\x82"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := AppendString(nil, s)
		var got string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want := strings.ToValidUTF8(s, ""); utf8.ValidString(s) && got != want {
			t.Fatalf("%q became %q", s, got)
		}
		std, err := json.Marshal(s)
		must(t, err)
		var want string
		must(t, json.Unmarshal(std, &want))
		if got != want {
			t.Fatalf("%q became %q, with encoding/json %q", s, got, want)
		}
	})
}

func BenchmarkDecodeReady(b *testing.B) {
	f := frameOf(Ready, `{"pid":4711,"born":false}`)
	for b.Loop() {
		var r ReadyBody
		if err := f.Decode(&r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	body := example(Spawn).(SpawnBody)
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		buf = body.AppendJSON(buf[:0])
	}
}
