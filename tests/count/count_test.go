package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stream is what `go test -json` writes, in short: one line per event, then our exit line.
const exit0 = `{"Action":"exit","Command":"go test"}` + "\n"
const exit1 = `{"Action":"exit","Command":"go test","Status":1}` + "\n"

func TestCounts(t *testing.T) {
	rows := []struct {
		name                    string
		stream                  string
		passed, failed, skipped int
		says                    string // part of the report
	}{
		{"one test passes", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"pass","Package":"p","Elapsed":0.2}
` + exit0, 1, 0, 0, "1 passed, 0 failed, 0 skipped"},
		{"only leaves are counted", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"run","Package":"p","Test":"TestA/y"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/y"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
` + exit0, 2, 0, 0, ""},
		{"a slash in a subtest's name makes no level", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/a/b"}
{"Action":"pass","Package":"p","Test":"TestA/a/b"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
` + exit0, 1, 0, 0, ""},
		{"a failure counts once, however deep", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"    a_test.go:7: got 1\n"}
{"Action":"fail","Package":"p","Test":"TestA/x"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
` + exit1, 0, 1, 0, "got 1"},
		{"a parent that fails by itself counts", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
` + exit1, 1, 1, 0, "FAILED [s] p TestA"},
		{"a skip with its reason", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: needs root\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
` + exit0, 0, 0, 1, "  needs root (1)\n      [s] p TestA"},
		{"a skip without a reason fails", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
` + exit0, 0, 1, 0, "skipped without a reason"},
		{"a package that does not build fails and shows the compiler", `
{"ImportPath":"p [p.test]","Action":"build-output","Output":"p/a.go:1: syntax error\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
` + exit1, 0, 1, 0, "syntax error"},
		{"a panic ends the test, the package and the count", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: boom\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
` + exit1, 0, 1, 0, "panic: boom"},
		{"a test that never ended fails", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
` + exit1, 0, 2, 0, "never ended"},
		{"a stream cut short fails", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`, 1, 1, 0, "the stream has no end"},
		{"a command that fails without a failed test fails", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
no required module provides package
` + exit1, 1, 1, 0, "no required module"},
		{"packages without tests are nothing", `
{"Action":"skip","Package":"q"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
` + exit0, 1, 0, 0, ""},
		{"a suite that ran nothing fails", exit0, 0, 1, 0, "ran no test"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := newSuite("s", nil)
			if err := s.read(strings.NewReader(row.stream)); err != nil {
				t.Fatal(err)
			}
			total := add([]*suite{s})
			if total.passed != row.passed || total.failed != row.failed || total.skipped != row.skipped {
				t.Errorf("counted %d, %d, %d; want %d, %d, %d", total.passed, total.failed, total.skipped,
					row.passed, row.failed, row.skipped)
			}
			var report bytes.Buffer
			total.print(&report, "dir")
			if !strings.Contains(report.String(), row.says) {
				t.Errorf("the report does not say %q:\n%s", row.says, report.String())
			}
		})
	}
}

func TestNoSuiteAtAllFails(t *testing.T) {
	suites, err := load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if total := add(suites); total.failed != 1 {
		t.Errorf("%d failures, want 1", total.failed)
	}
}

// run keeps the stream and the command's status, and what it kept is what sum reads.
func TestRunKeepsTheStream(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "s.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var progress bytes.Buffer
	script := `echo '{"Action":"run","Package":"p","Test":"TestA"}'
		echo '{"Action":"fail","Package":"p","Test":"TestA"}'
		echo '{"Action":"fail","Package":"p"}'; kill -KILL $$`
	if err := runSuite(newSuite("s", &progress), []string{"sh", "-c", script}, f); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(progress.String(), "FAIL [s] p TestA") {
		t.Errorf("progress %q does not name the failure", progress.String())
	}
	suites, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if total := add(suites); total.failed != 1 || total.passed != 0 {
		t.Errorf("counted %d passed, %d failed", total.passed, total.failed)
	}
	if suites[0].exit == nil || suites[0].exit.Status != 128+9 {
		t.Errorf("exit line %+v, want status 137", suites[0].exit)
	}
}

func TestRunOfAMissingCommandFails(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "s.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := runSuite(newSuite("s", nil), []string{"/nowhere/at/all"}, f); err != nil {
		t.Fatal(err)
	}
	suites, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if total := add(suites); total.failed != 1 {
		t.Errorf("%d failures, want 1", total.failed)
	}
}

// A command that ignored signals would make every program of every test ignore them.
func TestTheCommandIgnoresNoSignal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "s.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	own := ignored(t, "/proc/self/status")
	s := newSuite("s", nil)
	if err := runSuite(s, []string{"cat", "/proc/self/status"}, f); err != nil {
		t.Fatal(err)
	}
	for _, line := range s.stray {
		if v, ok := strings.CutPrefix(line, "SigIgn:"); ok && strings.TrimSpace(v) != own {
			t.Errorf("the command ignores %s, this test %s", strings.TrimSpace(v), own)
		}
	}
}

func ignored(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if v, ok := strings.CutPrefix(line, "SigIgn:"); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatal("no SigIgn")
	return ""
}
