package bundle

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func benchBundle(tb testing.TB, dir string, config []byte) {
	tb.Helper()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), config, 0o644); err != nil {
		tb.Fatal(err)
	}
}

// FuzzLoad feeds mutated configurations to everything that reads them. Nothing may panic; a refusal
// is a FieldError of one line; and what is accepted stays accepted when it is written and read
// again.
func FuzzLoad(f *testing.F) {
	f.Add(marshal(f, DefaultSpec()))
	f.Add(marshal(f, RootlessSpec(1000, 1000)))
	f.Add(marshal(f, baseSpec()))
	for _, r := range allRows() {
		f.Add(marshal(f, r.spec()))
	}
	for _, text := range []string{"", "null", "[]", "{}", "{", `{"process":`, "\xef\xbb\xbf{}", `{"a":"\`, `{"linux":{"sysctl":{"a":1}}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := Parse(data)
		if err != nil {
			oneLineRefusal(t, err)
			return
		}
		warnings, err := Check(spec)
		for _, w := range warnings {
			if w.Path == "" || strings.Contains(w.String(), "\n") {
				t.Errorf("warning %q", w)
			}
		}
		if err != nil {
			oneLineRefusal(t, err)
			return
		}
		_ = ValidateOn(spec, Host{Rootless: true, SameNetNS: func(string) (bool, error) { return false, nil }})
		again, err := json.Marshal(spec)
		if err != nil {
			t.Fatalf("accepted, and cannot be written: %v", err)
		}
		spec, err = Parse(again)
		if err == nil {
			err = Validate(spec)
		}
		if err != nil {
			t.Errorf("accepted, and refused the second time: %v", err)
		}
	})
}

func oneLineRefusal(t *testing.T, err error) {
	t.Helper()
	var fe *FieldError
	if !errors.As(err, &fe) {
		t.Errorf("%v is a %T", err, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
}
