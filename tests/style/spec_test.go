package style

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"runack/bundle/specfields"
)

// A specRow is a line of a table of docs/spec.md: what becomes of one or more fields.
type specRow struct {
	fields, tests []string
	state, how    string
}

func specRows(t *testing.T) []specRow {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repo, "docs/spec.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []specRow
	quoted := regexp.MustCompile("`([^`]+)`")
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) != 4 {
			continue
		}
		row := specRow{state: cells[1], how: strings.TrimSpace(cells[2]), tests: strings.Split(cells[3], ", ")}
		for _, m := range quoted.FindAllStringSubmatch(cells[0], -1) {
			row.fields = append(row.fields, m[1])
		}
		rows = append(rows, row)
	}
	return rows
}

// docs/spec.md has every field of the specification's Go types, once, and no other.
func TestTheSpecificationsTableIsComplete(t *testing.T) {
	seen := map[string]bool{}
	fields := specfields.Config()
	for _, row := range specRows(t) {
		for _, f := range row.fields {
			if seen[f] {
				t.Errorf("docs/spec.md has %s twice", f)
			}
			seen[f] = true
			if !slices.Contains(fields, f) {
				t.Errorf("docs/spec.md has %s, which the specification does not have", f)
			}
		}
	}
	for _, f := range fields {
		if !seen[f] {
			t.Errorf("docs/spec.md has nothing to say about %s", f)
		}
	}
}

// Every row has a state, the words that the state needs, and tests that exist.
func TestTheSpecificationsTableIsTrue(t *testing.T) {
	tests := testsIn(t, "")
	for _, row := range specRows(t) {
		if !slices.Contains([]string{"works", "refused", "ignored"}, row.state) {
			t.Errorf("%s: state %q", row.fields[0], row.state)
		}
		if row.state != "works" && row.how == "" {
			t.Errorf("%s: %s, and no word of why", row.fields[0], row.state)
		}
		for _, name := range row.tests {
			if !tests[name] {
				t.Errorf("%s: there is no test %q", row.fields[0], name)
			}
		}
	}
}

// testsIn are the tests of a folder, or of the whole tree.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	goFiles(t, func(in, path string) {
		if !strings.HasSuffix(path, "_test.go") || folder != "" && in != folder {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
	})
	return names
}

// docs/security.md has every attack of tests/security, and no other.
func TestTheTableOfAttacksIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repo, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(Test\\w+)` \\|").FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = true
	}
	there := testsIn(t, "tests/security")
	for name := range there {
		if !listed[name] {
			t.Errorf("docs/security.md does not have %s", name)
		}
	}
	for name := range listed {
		if !there[name] {
			t.Errorf("docs/security.md has %s, and there is no such test", name)
		}
	}
}
