package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestEveryFlagIsTested: a flag that no test of a container gives does perhaps nothing.
func TestEveryFlagIsTested(t *testing.T) {
	files, err := filepath.Glob("../../tests/*/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	var tests []byte
	for _, file := range append(files, "main_test.go", "output_test.go", "../../tests/harness/command.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, text...)
	}
	for _, c := range commands("") {
		for _, f := range c.Flags {
			if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
				continue // of runack's own, or without effect
			}
			tested := false
			for _, name := range f.Names() {
				dashes := "--"
				if len(name) == 1 {
					dashes = "-"
				}
				tested = tested || regexp.MustCompile(`[" \x60]`+dashes+regexp.QuoteMeta(name)+`[" =\x60]`).Match(tests)
			}
			if !tested {
				t.Errorf("%s --%s", c.Name, f.Names()[0])
			}
		}
	}
}
