package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// An event is one line of `go test -json` (see `go doc test2json`), or our own last line of a
// stream, whose Action is "exit".
type event struct {
	Action      string
	Package     string  `json:",omitempty"`
	ImportPath  string  `json:",omitempty"`
	Test        string  `json:",omitempty"`
	Output      string  `json:",omitempty"`
	Elapsed     float64 `json:",omitempty"`
	FailedBuild string  `json:",omitempty"`
	Status      int     `json:",omitempty"` // exit: what the command ended with
	Command     string  `json:",omitempty"` // exit: the command
}

// An outcome is how a test or package ended.
type outcome string

const (
	unfinished outcome = ""
	passed     outcome = "pass"
	failed     outcome = "fail"
	skipped    outcome = "skip"
)

// A test is one test, subtest, or (with an empty name) the package itself.
type test struct {
	suite, pkg, name string
	outcome          outcome
	output           []string
	elapsed          time.Duration
	children         int
	childFailed      bool
	childSkipped     bool
}

func (t *test) String() string {
	if t.name == "" {
		return fmt.Sprintf("[%s] %s", t.suite, t.pkg)
	}
	return fmt.Sprintf("[%s] %s %s", t.suite, strings.TrimPrefix(t.pkg, "runack/"), t.name)
}

// A suite is one stream, read.
type suite struct {
	name     string
	tests    []*test // in order of their first event; packages among them
	byName   map[[2]string]*test
	builds   map[string][]string // output of the compiler by import path
	stray    []string            // lines that are no events: go's own complaints
	exit     *event
	progress io.Writer // where to say what happens meanwhile; nil for silence
}

func newSuite(name string, progress io.Writer) *suite {
	return &suite{name: name, byName: map[[2]string]*test{}, builds: map[string][]string{}, progress: progress}
}

// read takes in a whole stream.
func (s *suite) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			s.line(line)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("suite %s: %w", s.name, err)
		}
	}
}

func (s *suite) line(line []byte) {
	var e event
	if line[0] != '{' || json.Unmarshal(line, &e) != nil || e.Action == "" {
		s.stray = append(s.stray, string(line))
		return
	}
	s.event(e)
}

func (s *suite) event(e event) {
	switch e.Action {
	case "exit":
		s.exit = &e
		return
	case "build-output":
		s.builds[e.ImportPath] = append(s.builds[e.ImportPath], e.Output)
		return
	case "build-fail", "attr", "artifacts":
		return
	}
	t := s.test(e.Package, e.Test)
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
	case "pass", "fail", "skip":
		t.end(outcome(e.Action), e)
		if e.Action == "fail" && e.FailedBuild != "" {
			t.output = append(t.output, s.builds[e.FailedBuild]...)
		}
		s.tell(t)
	}
}

func (t *test) end(o outcome, e event) {
	t.outcome = o
	t.elapsed = time.Duration(e.Elapsed * float64(time.Second))
}

// test finds or makes a test and tells its parents that they are no leaves.
func (s *suite) test(pkg, name string) *test {
	key := [2]string{pkg, name}
	if t, ok := s.byName[key]; ok {
		return t
	}
	t := &test{suite: s.name, pkg: pkg, name: name}
	s.byName[key] = t
	s.tests = append(s.tests, t)
	if parent := s.parent(t); parent != nil {
		parent.children++
	}
	return t
}

func (s *suite) parent(t *test) *test {
	i := strings.LastIndexByte(t.name, '/')
	if i < 0 {
		return nil
	}
	// A subtest may have a slash in its own name; then the test above it is further up.
	if p, ok := s.byName[[2]string{t.pkg, t.name[:i]}]; ok {
		return p
	}
	return s.parent(&test{pkg: t.pkg, name: t.name[:i]})
}

// tell writes a line of progress: each package as it ends, each failure as it comes.
func (s *suite) tell(t *test) {
	if s.progress == nil {
		return
	}
	switch {
	case t.name == "" && t.outcome == skipped: // a package without tests
	case t.name == "":
		_, _ = fmt.Fprintf(s.progress, "  %-4s %s (%.1fs)\n", t.outcome, t, t.elapsed.Seconds())
	case t.outcome == failed && t.children == 0:
		_, _ = fmt.Fprintf(s.progress, "  FAIL %s (%.1fs)\n", t, t.elapsed.Seconds())
	}
}

// A frame line of go test itself ("=== RUN", "--- SKIP: ..."), or nothing at all.
var noise = regexp.MustCompile(`^\s*(=== |--- |PASS$|FAIL$|ok  |$)`)

// place is the "file_test.go:12: " before what a test logs.
var place = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reason is what the test said when it skipped itself, "" if nothing.
func (t *test) reason() string {
	var said []string
	for _, l := range t.output {
		l = strings.TrimRight(l, "\n")
		if !noise.MatchString(l) {
			said = append(said, strings.TrimSpace(place.ReplaceAllString(l, "")))
		}
	}
	if len(said) == 0 {
		return ""
	}
	return said[len(said)-1]
}

func writeEvent(w io.Writer, e event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
