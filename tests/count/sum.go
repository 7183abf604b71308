package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// totals is the count of a run and all that has to be said of it.
type totals struct {
	passed, failed, skipped int
	failures                []failure
	skips                   map[string][]*test // by reason
	slow                    []*test
	elapsed                 time.Duration // of all packages, one after the other
}

// A failure is a failed test, or something wrong with a whole package or suite.
type failure struct {
	what   string
	output []string
}

// load reads every stream in dir.
func load(dir string) ([]*suite, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var suites []*suite
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		s := newSuite(strings.TrimSuffix(filepath.Base(name), ".json"), nil)
		err = s.read(f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		suites = append(suites, s)
	}
	return suites, nil
}

// add counts suites. A run without any suite is a failure too: somebody forgot to run it.
func add(suites []*suite) *totals {
	t := &totals{skips: map[string][]*test{}}
	if len(suites) == 0 {
		t.fail("no suite was run", nil)
	}
	for _, s := range suites {
		t.addSuite(s)
	}
	slices.SortStableFunc(t.slow, func(a, b *test) int { return cmp.Compare(b.elapsed, a.elapsed) })
	return t
}

func (t *totals) fail(what string, output []string) {
	t.failed++
	t.failures = append(t.failures, failure{what, output})
}

func (t *totals) addSuite(s *suite) {
	before, ran := t.failed, 0
	for _, x := range s.tests {
		if x.outcome == failed || x.outcome == skipped {
			s.mark(x)
		}
	}
	for _, x := range s.tests {
		if x.name == "" {
			continue
		}
		ran++
		t.addTest(x)
	}
	for _, x := range s.tests {
		if x.name == "" {
			t.addPackage(s, x)
		}
	}
	t.addEnd(s, ran, t.failed > before)
}

// mark tells every test above x, and its package, that x explains their own outcome.
func (s *suite) mark(x *test) {
	above := s.parent(x)
	if x.name != "" && above == nil {
		above = s.byName[[2]string{x.pkg, ""}]
	}
	if above == nil {
		return
	}
	above.childFailed = above.childFailed || x.outcome == failed
	above.childSkipped = above.childSkipped || x.outcome == skipped
	s.mark(above)
}

func (t *totals) addTest(x *test) {
	switch {
	case x.outcome == failed && !x.childFailed:
		t.fail(x.String(), x.output)
	case x.outcome == unfinished:
		t.fail(x.String()+": never ended", x.output)
	case x.outcome == skipped && !x.childSkipped:
		t.addSkip(x)
	case x.outcome == passed && x.children == 0:
		t.passed++
	}
	if x.children == 0 && x.elapsed > 0 {
		t.slow = append(t.slow, x)
	}
}

func (t *totals) addSkip(x *test) {
	reason := x.reason()
	if reason == "" {
		t.fail(x.String()+": skipped without a reason", nil)
		return
	}
	t.skipped++
	t.skips[reason] = append(t.skips[reason], x)
}

func (t *totals) addPackage(s *suite, p *test) {
	t.elapsed += p.elapsed
	switch {
	case p.outcome == unfinished:
		t.fail(p.String()+": the package's tests never ended", p.output)
	case p.outcome == failed && !p.childFailed:
		t.fail(p.String(), p.output)
	}
}

// addEnd judges what is left of a suite: its command's exit status, and whether anything ran.
func (t *totals) addEnd(s *suite, ran int, explained bool) {
	switch {
	case s.exit == nil:
		t.fail(fmt.Sprintf("[%s]: the stream has no end; was the run killed?", s.name), s.stray)
	case s.exit.Status != 0 && !explained:
		t.fail(fmt.Sprintf("[%s] %s: exit status %d", s.name, s.exit.Command, s.exit.Status), s.stray)
	case ran == 0 && !explained:
		t.fail(fmt.Sprintf("[%s] %s: ran no test", s.name, s.exit.Command), s.stray)
	}
}

// Shown of the output of one failure; the streams hold all of it.
const outputLines = 200

// print writes the report, the count last.
func (t *totals) print(w io.Writer, dir string) {
	out := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	for _, f := range t.failures {
		out("\nFAILED %s\n", f.what)
		lines := f.output
		if n := len(lines) - outputLines; n > 0 {
			out("    (%d lines before this; all in %s)\n", n, dir)
			lines = lines[n:]
		}
		for _, l := range lines {
			out("    %s\n", strings.TrimRight(l, "\n"))
		}
	}
	t.printSkips(out)
	t.printSlow(out)
	if len(t.failures) > 0 {
		out("\nFailed:\n")
		for _, f := range t.failures {
			out("  %s\n", f.what)
		}
	}
	out("\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
}

// How many tests are named under one reason, and how many slow ones.
const (
	namesPerReason = 8
	slowest        = 10
)

func (t *totals) printSkips(out func(string, ...any)) {
	if len(t.skips) == 0 {
		return
	}
	out("\nSkipped:\n")
	reasons := make([]string, 0, len(t.skips))
	for r := range t.skips {
		reasons = append(reasons, r)
	}
	slices.Sort(reasons)
	for _, r := range reasons {
		tests := t.skips[r]
		out("  %s (%d)\n", r, len(tests))
		for i, x := range tests {
			if i == namesPerReason {
				out("      ... and %d more\n", len(tests)-i)
				break
			}
			out("      %s\n", x)
		}
	}
}

func (t *totals) printSlow(out func(string, ...any)) {
	if len(t.slow) == 0 {
		return
	}
	out("\nSlowest (of %.0f s in all packages):\n", t.elapsed.Seconds())
	for _, x := range t.slow[:min(slowest, len(t.slow))] {
		out("  %6.2fs %s\n", x.elapsed.Seconds(), x)
	}
}
