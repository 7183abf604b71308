package cgroupjoin

import (
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// documented reads the table of docs/cgroups.md: field to its cells for v1, v2 and the test.
func documented(t *testing.T) map[string][3]string {
	t.Helper()
	rows := map[string][3]string{}
	for line := range strings.Lines(read(t, "../docs/cgroups.md")) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		if _, twice := rows[cells[1]]; twice {
			t.Errorf("%s is there twice", cells[1])
		}
		rows[cells[1]] = [3]string(cells[2:5])
	}
	return rows
}

// The table has every field that the specification has, and no other.
func TestEveryFieldIsDocumented(t *testing.T) {
	rows := documented(t)
	want := fieldsOf(reflect.TypeFor[specs.LinuxResources](), "")
	for field := range want {
		if _, ok := rows[field]; !ok {
			t.Errorf("docs/cgroups.md has no row for %s", field)
		}
	}
	for field := range rows {
		if !want[field] {
			t.Errorf("docs/cgroups.md has a row for %s, which is no field", field)
		}
	}
}

// fieldsOf gives the JSON names of a struct's fields, those of structs in it with their own in front.
func fieldsOf(of reflect.Type, prefix string) map[string]bool {
	fields := map[string]bool{}
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if inner := f.Type; inner.Kind() == reflect.Pointer && inner.Elem().Kind() == reflect.Struct {
			for field := range fieldsOf(inner.Elem(), prefix+name+".") {
				fields[field] = true
			}
			continue
		}
		fields[prefix+name] = true
	}
	return fields
}

// Every test that the table names is there, and shows the files that the table names.
func TestDocumentedTestsExist(t *testing.T) {
	source := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(read(t, file), -1) {
			source[m[1]] = true
		}
	}
	for field, row := range documented(t) {
		name, sub, _ := strings.Cut(row[2], "/")
		if !source[name] {
			t.Errorf("%s: there is no test %q", field, name)
		}
		if name == "TestLimits" {
			wantRow(t, field, sub, row)
		}
	}
}

// wantRow compares a documented row with the rows of limitTests: "memory.limit", "memory.limit unlimited".
func wantRow(t *testing.T, field, sub string, row [3]string) {
	t.Helper()
	var tested [2]map[string]bool // file names on v1 and on v2
	for _, test := range limitTests {
		if test.field != sub && !strings.HasPrefix(test.field, sub+" ") {
			continue
		}
		for i, files := range []map[string]string{test.v1, test.v2} {
			if tested[i] == nil {
				tested[i] = map[string]bool{}
			}
			for file := range files {
				tested[i][strings.Replace(filepath.Base(file), "2MB", "SIZE", 1)] = true
			}
		}
	}
	for i, files := range tested {
		if files == nil {
			t.Errorf("%s: TestLimits has no row %q", field, sub)
			return
		}
		if ignored := row[i] == "–" || row[i] == "refused"; ignored == (len(files) > 0) {
			t.Errorf("%s: documented as %q, tested as %v", field, row[i], files)
		}
		for _, word := range strings.FieldsFunc(row[i], func(r rune) bool { return r == ',' || r == ' ' }) {
			if strings.Contains(word, ".") && !files[word] {
				t.Errorf("%s: %s is documented, and not among what is tested: %v", field, word, files)
			}
		}
	}
}
