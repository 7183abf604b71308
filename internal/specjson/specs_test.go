package specjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/internal/specjson/filled"
)

// configs are real configurations.
func configs(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../plan/testdata/*.config.json")
	if err != nil || len(files) < 3 {
		t.Fatal("configurations of the plan's tests: ", files, err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = data
	}
	return all
}

// everything has all fields that there are on Linux.
func everything(t testing.TB) []byte {
	t.Helper()
	var spec specs.Spec
	filled.Value(&spec)
	spec.Solaris, spec.Windows, spec.VM, spec.ZOS, spec.FreeBSD = nil, nil, nil, nil, nil
	data, err := json.Marshal(&spec)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// agree holds a reading of data against encoding/json's, and says whether there was one.
func agree[T any](t testing.TB, data []byte, read func([]byte) (*T, bool)) bool {
	t.Helper()
	got, ok := read(data)
	if !ok {
		return false
	}
	want := new(T)
	if err := json.Unmarshal(data, want); err != nil {
		t.Errorf("was read, while encoding/json says: %v\n%s", err, data)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %s\nwant %s\nfrom %s", dump(got), dump(want), data)
	}
	return true
}

func dump(v any) string { return fmt.Sprintf("%+v", v) }

func TestEveryField(t *testing.T) {
	if !agree(t, everything(t), Spec) {
		t.Error("gave up")
	}
}

func TestRealConfigurations(t *testing.T) {
	for name, data := range configs(t) {
		if !agree(t, data, Spec) {
			t.Errorf("%s: gave up", name)
		}
	}
}

// Every value of a configuration with all fields is replaced by something else in turn: what is read
// must be what encoding/json reads, and what it refuses must be given up.
func TestEveryFieldWithEveryKindOfValue(t *testing.T) {
	var doc any
	d := json.NewDecoder(bytes.NewReader(everything(t)))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	values := []any{nil, true, "", "a\"\\\n\u2028é\U0001F600<&>", json.Number("0"), json.Number("-0"), json.Number("-1"), json.Number("1.0"),
		json.Number("1e3"), json.Number("255"), json.Number("65536"), json.Number("4294967296"), json.Number("9223372036854775807"),
		json.Number("9223372036854775808"), json.Number("18446744073709551615"), json.Number("18446744073709551616"),
		[]any{}, []any{nil}, []any{"a", "b"}, []any{json.Number("1")}, map[string]any{}, map[string]any{"a": nil}, map[string]any{"a": "b"}}
	read, given := 0, 0
	visit(doc, func(set func(any), old any) {
		for _, v := range values {
			set(v)
			data, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			if agree(t, data, Spec) {
				read++
			} else {
				given++
				// Giving up is for what encoding/json refuses; here nothing else calls for it.
				if err := json.Unmarshal(data, new(specs.Spec)); err == nil {
					t.Errorf("gave up on what encoding/json reads: %s", data)
				}
			}
		}
		set(old)
	})
	if read < 1000 || given < 1000 {
		t.Errorf("%d read, %d given up: the test has lost its object", read, given)
	}
}

// visit calls f for every value inside v, with a function that replaces it.
func visit(v any, f func(set func(any), old any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, old := range v {
			f(func(x any) { v[k] = x }, old)
			visit(old, f)
		}
	case []any:
		for i, old := range v {
			f(func(x any) { v[i] = x }, old)
			visit(old, f)
		}
	}
}

func TestGivesUp(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{}x`, `{}{}`, `[]`, `1`, `"a"`, `{"hostname":"a",}`, `{,}`, `{"hostname" "a"}`, `{hostname:"a"}`, `{'hostname':'a'}`,
		`{"hostname":"a" "domainname":"b"}`, `{"hostname":"a`, `{"hostname":"a\x"}`, `{"hostname":"a\"}`, "{\"hostname\":\"a\nb\"}", "{\"hostname\":\"\xff\"}",
		`{"process":{"terminal":tru}}`, `{"process":{"terminal":truee}}`, `{"process":{"user":{"uid":01}}}`, `{"process":{"user":{"uid":+1}}}`,
		`{"process":{"user":{"uid":1_0}}}`, `{"process":{"user":{"uid":0x1}}}`, `{"process":{"args":["a",]}}`, `{"process":{"args":[,]}}`, `{"process":{"args":["a"`,
		`{"x":-}`, `{"x":1.}`, `{"x":.1}`, `{"x":1e}`, `{"x":00}`, `{"x":nul}`, `{"x":"\ud800"`, `{"x":[1,}`,
		`{"hostname":"a","hostname":"b"}`, `{"Hostname":"a"}`, `{"hoſtname":"a"}`, `{"windows":{}}`, `{"annotations":{"a":1}}`,
		`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		if v, ok := Spec([]byte(text)); ok {
			t.Errorf("%s: read as %+v", text, v)
		}
	}
}

func TestReads(t *testing.T) {
	for _, text := range []string{
		"null", " \t\r\n{ \"hostname\" : \"a\" , \"x\" : [ 1 , -2.5e+3 , { \"y\" : null } , true , \"\\ud83d\\ude00\" ] } \n",
		`{"hostname":"\u0041\/\b\f\n\r\t\"\\\ud800"}`, `{"h\u006fstname":"a"}`, `{"annotations":{"a":"1","a":"2","":""}}`,
		`{"process":{"user":{"uid":4294967295},"args":[]}}`, `{"linux":{"resources":{"pids":{"limit":-1}}},"mounts":null,"process":null}`,
	} {
		if !agree(t, []byte(text), Spec) {
			t.Errorf("%s: gave up", text)
		}
	}
}

func TestProcess(t *testing.T) {
	var p specs.Process
	filled.Value(&p)
	data, err := json.Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	if !agree(t, data, Process) {
		t.Error("gave up")
	}
}

// What is written is what encoding/json writes: with all fields, with none, and with
// every field alone.
func TestWriters(t *testing.T) {
	written(t, WriteLinuxResources)
	written(t, WriteLinuxIntelRdt)
	written(t, WriteState)
}

func written[T any](t *testing.T, write func(*Writer, *T)) {
	t.Helper()
	whole := new(T)
	filled.Value(whole)
	values := []*T{new(T), whole}
	for i := range reflect.TypeFor[T]().NumField() {
		v := new(T)
		reflect.ValueOf(v).Elem().Field(i).Set(reflect.ValueOf(whole).Elem().Field(i))
		values = append(values, v)
	}
	for _, v := range values {
		var w Writer
		write(&w, v)
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		if string(w.Buf)+"\n" != want.String() {
			t.Errorf("wrote %s, encoding/json %s", w.Buf, &want)
		}
	}
}

func FuzzSpec(f *testing.F) {
	f.Add(everything(f))
	for _, data := range configs(f) {
		f.Add(data)
	}
	f.Add([]byte(`{"hostname":"\u0041\ud83d","x":[1,-2.5e+3,{"y":null},true,"a"],"annotations":{"a":"1","a":"2"}}`))
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data, Spec) })
}

// The first configuration of a process is what a runtime reads; encoding/json learns its types then.
// BenchmarkConfig measures later ones, and startup in tests/bench the first.
func BenchmarkConfig(b *testing.B) {
	data := configs(b)["docker.config.json"]
	b.Run("specjson", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := Spec(data); !ok {
				b.Fatal("gave up")
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(data, new(specs.Spec)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
