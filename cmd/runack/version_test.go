package main

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestVersionForEachReader reads the output the way each client does.
func TestVersionForEachReader(t *testing.T) {
	r := runack(t, "--version")
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	if short := runack(t, "-v"); short != r {
		t.Errorf("-v: %+v", short)
	}
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")

	t.Run("go-runc", func(t *testing.T) {
		if !strings.HasPrefix(lines[0], "runc version ") || lines[0][13:] != version {
			t.Errorf("first line %q", lines[0])
		}
		var sawCommit, sawSpec string
		for _, l := range lines[1:] {
			if strings.HasPrefix(l, "commit: ") {
				sawCommit = l[8:]
			} else if strings.HasPrefix(l, "spec: ") {
				sawSpec = l[6:]
			}
		}
		if sawCommit != commit || sawSpec != specs.Version {
			t.Errorf("commit %q, spec %q", sawCommit, sawSpec)
		}
	})
	t.Run("docker 20.10", func(t *testing.T) {
		n := 0
		for _, l := range lines {
			if v, ok := strings.CutPrefix(l, "runc version"); ok {
				n++
				if strings.TrimSpace(v) != version {
					t.Errorf("line %q", l)
				}
			}
		}
		if n != 1 {
			t.Errorf("%d lines say runc version", n)
		}
	})
	t.Run("moby", func(t *testing.T) {
		var name, v string
		for _, l := range lines {
			if strings.Contains(l, "version") {
				parts := strings.Split(l, "version")
				name, v = strings.TrimSpace(parts[0]), strings.TrimSpace(parts[len(parts)-1])
			}
		}
		if name != "runack" || v != version {
			t.Errorf("name %q, version %q", name, v)
		}
	})
}
