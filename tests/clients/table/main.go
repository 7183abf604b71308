package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "usage: table FILE")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func convert(path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	tests, err := read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return write(w, clients(tests))
}

// An event is a line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// A test is what the stream says of one.
type test struct {
	name    string
	outcome string // pass, fail or skip
	log     []string
}

// read collects the tests of the package tests/clients, in the order in which they began.
func read(r io.Reader) ([]*test, error) {
	var list []*test
	byName := map[string]*test{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var e event
		if json.Unmarshal(s.Bytes(), &e) != nil || e.Test == "" || !strings.HasSuffix(e.Package, "tests/clients") {
			continue // what the command wrote beside the stream
		}
		t := byName[e.Test]
		if t == nil {
			t = &test{name: e.Test}
			byName[e.Test] = t
			list = append(list, t)
		}
		switch e.Action {
		case "pass", "fail", "skip":
			t.outcome = e.Action
		case "output":
			t.log = append(t.log, e.Output)
		}
	}
	return list, s.Err()
}

// A client is a section of the page.
type client struct {
	name, versions string
	rows           []row
}

type row struct{ feature, result string }

var (
	clientLine = regexp.MustCompile(`^\s+\w+\.go:\d+: client: ([^:]+): (.*)\n$`)
	logLine    = regexp.MustCompile(`^\s+\w+\.go:\d+: (.*)\n$`)
)

// clients puts tests into sections: those of several test functions that name the same client
// share one.
func clients(tests []*test) []*client {
	var list []*client
	byName := map[string]*client{}
	of := map[string]*client{} // test function: its client
	for _, t := range tests {
		function, feature, isSub := strings.Cut(t.name, "/")
		if !isSub {
			name, versions := strings.ToLower(strings.TrimPrefix(function, "Test")), ""
			for _, l := range t.log {
				if m := clientLine.FindStringSubmatch(l); m != nil {
					name, versions = m[1], m[2]
				}
			}
			c := byName[name]
			if c == nil {
				c = &client{name: name}
				byName[name] = c
				list = append(list, c)
			}
			if versions != "" {
				c.versions = versions
			}
			of[function] = c
			if t.outcome == "skip" {
				c.rows = append(c.rows, row{"everything", t.result()})
			}
			continue
		}
		c := of[function]
		c.rows = append(c.rows, row{strings.ReplaceAll(feature, "_", " "), t.result()})
	}
	return list
}

// result is what the page says of a feature. A reason is for users: it says what they can do.
func (t *test) result() string {
	switch t.outcome {
	case "pass":
		return "works"
	case "skip":
		return "not seen: " + t.lastLine()
	}
	return "**fails**"
}

func (t *test) lastLine() string {
	for i := len(t.log) - 1; i >= 0; i-- {
		if m := logLine.FindStringSubmatch(t.log[i]); m != nil {
			return m[1]
		}
	}
	return "no reason given"
}

const head = `# Clients

What was seen to work behind runack, by the tests in tests/clients: the real programs, each with a daemon, a data directory and a
network of its own. ` + "`make test-clients`" + ` runs them and prints this page; ` + "`KEEP=1`" + ` writes it.

Not tried: CRI-O, of which Debian 12 has no package.
`

func write(w io.Writer, list []*client) error {
	var b strings.Builder
	b.WriteString(head)
	for _, c := range list {
		_, _ = fmt.Fprintf(&b, "\n## %s\n\n", c.name)
		if c.versions != "" {
			_, _ = fmt.Fprintf(&b, "Versions: %s.\n\n", c.versions)
		}
		b.WriteString("| feature | result |\n|---|---|\n")
		for _, r := range c.rows {
			_, _ = fmt.Fprintf(&b, "| %s | %s |\n", cell(r.feature), cell(r.result))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell keeps what a feature is called from ending its cell, or from being taken for mark-up.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "<", `\<`).Replace(s) }
