package bundle

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// FuzzLoadProcess feeds mutated process.json files. A refusal is an error of one line; what is
// accepted is accepted again when it is written and read.
func FuzzLoadProcess(f *testing.F) {
	f.Add(marshal(f, DefaultSpec().Process))
	f.Add(marshal(f, allFields(f, `{"policy": "SCHED_OTHER", "nice": 5}`)["process"]))
	for _, text := range []string{"", "null", "[]", "{}", `{"args":["/bin/true"],"cwd":"/"}`, `{"args":[],"user":{"uid":-1}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "process.json")
		load := func(data []byte) (any, error) {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return LoadProcess(path)
		}
		p, err := load(data)
		if err != nil {
			oneLineRefusal(t, err)
			return
		}
		again, err := load(marshal(t, p))
		if err != nil || !reflect.DeepEqual(marshal(t, again), marshal(t, p)) {
			t.Errorf("written and read again: %v", err)
		}
	})
}
