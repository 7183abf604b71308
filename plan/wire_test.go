package plan

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// allSteps has one value of every step type.
var allSteps = []Step{
	Affinity{}, Bind{}, Bounding{}, Caps{}, CloseFDs{}, Console{}, Cwd{}, Device{}, Domainname{}, ExecLabel{}, Execute{},
	Hold{}, Home{}, Hook{}, Hostname{}, IOPriority{}, Init{}, Keyring{}, Lookup{}, Loopback{}, Mask{}, MemoryPolicy{}, Mkdir{},
	Mount{}, MountAttr{}, NoNewPrivs{}, Personality{}, Pivot{}, Propagation{}, Readonly{}, Remount{}, Root{}, RootAttr{},
	Scheduler{}, Seccomp{}, Signals{}, Stdio{}, Symlink{}, SyncCreated{}, SyncExecuting{}, SyncMounted{}, Sysctl{},
	Umask{}, User{},
}

// TestAllSteps holds the list above against the source, so that no type is forgotten.
func TestAllSteps(t *testing.T) {
	src, err := os.ReadFile("step.go")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, s := range allSteps {
		have[reflect.TypeOf(s).Name()] = s.Op()
	}
	found := regexp.MustCompile(`func \((\w+)\) Op\(\) string { return "([a-z-]+)" }`).FindAllStringSubmatch(string(src), -1)
	for _, m := range found {
		if have[m[1]] != m[2] {
			t.Errorf("%s (%s) is missing from allSteps", m[1], m[2])
		}
	}
	if len(found) != len(allSteps) {
		t.Errorf("step.go has %d steps, allSteps %d", len(found), len(allSteps))
	}
}

// TestWireIsJSON holds the hand-written encoder against encoding/json, for random values and the
// zero value of every step type.
func TestWireIsJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, zero := range allSteps {
		for i := range 300 {
			v := reflect.New(reflect.TypeOf(zero)).Elem()
			if i > 0 {
				randomize(r, v)
			}
			s := v.Interface().(Step)
			got, err := (&Plan{Steps: []Step{s}}).WireSteps()
			if err != nil {
				t.Fatal(err)
			}
			want := reference(t, s)
			if !sameJSON(t, got, want) {
				t.Fatalf("%#v:\n got %s\nwant %s", s, got, want)
			}
		}
	}
}

// reference encodes by reflection. Lists that are always written are never null on the wire.
func reference(t *testing.T, s Step) []byte {
	t.Helper()
	fields := map[string]any{}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	for k, v := range fields {
		if v == nil {
			fields[k] = []any{}
		}
	}
	fields["op"] = s.Op()
	out, err := json.Marshal([]any{fields})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	for _, p := range []struct {
		data []byte
		v    *any
	}{{a, &x}, {b, &y}} {
		d := json.NewDecoder(bytes.NewReader(p.data))
		d.UseNumber()
		if err := d.Decode(p.v); err != nil {
			t.Fatalf("%v in %s", err, p.data)
		}
	}
	return reflect.DeepEqual(x, y)
}

var nastyStrings = []string{
	"", "a", "/a/b", `"`, `\`, "\n\r\t\x00\x1f\x7f", "<>&", "é\u2028\u2029", "\xff\xfe", "a\xc3", "🙂", strings.Repeat("x", 300),
}

func randomize(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			randomize(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(r, v.Elem())
		}
	case reflect.Slice:
		n := r.IntN(4)
		if n == 3 {
			return // nil
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			randomize(r, v.Index(i))
		}
	case reflect.String:
		v.SetString(nastyStrings[r.IntN(len(nastyStrings))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(65))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64() >> r.IntN(65)))
	default:
		panic("a kind of field the wire does not know: " + v.Kind().String())
	}
}

func TestWireRefusesUnknownSteps(t *testing.T) {
	for _, s := range []Step{nil, stranger{}} {
		if out, err := (&Plan{Steps: []Step{Signals{}, s}}).WireSteps(); err == nil {
			t.Errorf("%v gave %s", s, out)
		}
	}
}

type stranger struct{}

func (stranger) Op() string { return "stranger" }

// stageDir is the C side.
const stageDir = "../nsexec/stage"

// TestStageSchema holds the fields of every step against the tables from which the stage reads
// them: same names, same kinds, required exactly where Go always writes them.
func TestStageSchema(t *testing.T) {
	schema := readSchema(t)
	for _, s := range allSteps {
		t.Run(s.Op(), func(t *testing.T) {
			want, ok := schema.fields[s.Op()]
			if !schema.ops[s.Op()] {
				t.Fatalf("%s/steps.def has no step %q", stageDir, s.Op())
			}
			if !ok {
				t.Fatalf("the stage has no table for %q", s.Op())
			}
			got := map[string]cField{}
			for _, f := range reflect.VisibleFields(reflect.TypeOf(s)) {
				name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
				got[name] = cField{kind: goKind(f.Type), required: options != "omitempty"}
			}
			for name, g := range got {
				c, ok := want[name]
				if !ok {
					t.Errorf("%q is not read by the stage", name)
				} else if c != g {
					t.Errorf("%q: the stage has %+v, Go %+v", name, c, g)
				}
			}
			for name, c := range want {
				if _, ok := got[name]; !ok && c.required {
					t.Errorf("%q is required by the stage and never written", name)
				} else if !ok {
					t.Logf("%q is known to the stage alone", name)
				}
			}
		})
	}
	for op := range schema.ops {
		if !knownOp(op) {
			t.Errorf("steps.def has the step %q, package plan has not", op)
		}
	}
}

func knownOp(op string) bool {
	for _, s := range allSteps {
		if s.Op() == op {
			return true
		}
	}
	return false
}

type cField struct {
	kind     string
	required bool
}

type cSchema struct {
	ops    map[string]bool
	fields map[string]map[string]cField // by op; missing where no file implements it
}

var (
	stepLine  = regexp.MustCompile(`STEP\(\d+, (\w+), "([a-z-]+)"`)
	tableHead = regexp.MustCompile(`(?s)static const struct field (\w+)\[\] = \{(.*?)\n\};`)
	fieldLine = regexp.MustCompile(`FIELD\([^,]+,\s*(F_\w+),\s*[\w.]+,\s*"(\w+)",\s*(FIELD_\w+)\)`)
	implLine  = regexp.MustCompile(`STEP_IMPL\((\w+), (\w+),`)
	bareLine  = regexp.MustCompile(`STEP_IMPL_BARE\((\w+),`)
)

func readSchema(t *testing.T) cSchema {
	t.Helper()
	def, err := os.ReadFile(filepath.Join(stageDir, "steps.def"))
	if err != nil {
		t.Fatal(err)
	}
	s := cSchema{ops: map[string]bool{}, fields: map[string]map[string]cField{}}
	opOf := map[string]string{}
	for _, m := range stepLine.FindAllStringSubmatch(string(def), -1) {
		opOf[m[1]] = m[2]
		s.ops[m[2]] = true
	}
	files, err := filepath.Glob(filepath.Join(stageDir, "*.c"))
	if err != nil || len(files) == 0 {
		t.Fatal("no C files", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s.readFile(opOf, string(src))
	}
	return s
}

// readFile takes the tables of one file; they are static, so a table is used where it is written.
func (s *cSchema) readFile(opOf map[string]string, src string) {
	tables := map[string]map[string]cField{}
	for _, m := range tableHead.FindAllStringSubmatch(src, -1) {
		fields := map[string]cField{}
		for _, f := range fieldLine.FindAllStringSubmatch(m[2], -1) {
			fields[f[2]] = cField{kind: cKinds[f[1]], required: f[3] == "FIELD_REQUIRED"}
		}
		tables[m[1]] = fields
	}
	for _, m := range implLine.FindAllStringSubmatch(src, -1) {
		if op := opOf[m[1]]; op != "" && tables[m[2]] != nil {
			s.fields[op] = tables[m[2]]
		}
	}
	for _, m := range bareLine.FindAllStringSubmatch(src, -1) {
		if op := opOf[m[1]]; op != "" {
			s.fields[op] = map[string]cField{}
		}
	}
}

var cKinds = map[string]string{
	"F_STRING": "string", "F_BOOL": "bool", "F_U32": "number", "F_U64": "number", "F_I32": "number", "F_I64": "number",
	"F_ID": "number", "F_FD": "number", "F_STRINGS": "strings", "F_INTS": "numbers",
}

func goKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Pointer:
		return goKind(t.Elem())
	case reflect.Slice:
		return goKind(t.Elem()) + "s"
	}
	return "number"
}
