package style

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const repo = "../.."

// goFiles calls f for every Go file of the tree, with the folder's path.
func goFiles(t *testing.T, f func(folder, name string)) {
	t.Helper()
	err := filepath.WalkDir(repo, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(repo, path)
		if d.IsDir() && (rel == "bin" || rel == "build" || rel != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(path, ".go") {
			f(filepath.Dir(rel), path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// One folder, one job, one opening sentence: in doc.go, with what the folder refuses.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	goFiles(t, func(folder, path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Error(err)
			return
		}
		documented[folder] = documented[folder] || file.Doc != nil && len(strings.Fields(file.Doc.Text())) >= 10
	})
	if len(documented) < 10 {
		t.Fatalf("found only %d packages", len(documented))
	}
	for folder, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment that says what the folder owns and refuses", folder)
		}
	}
}

// The layers: a folder may import those named for it, and of ours no others. Tests may reach
// further down but never up.
var mayImport = map[string][]string{
	"reaper":     {},
	"handshake":  {},
	"specjson":   {},
	"smallfile":  {},
	"flock":      {},
	"rawfd":      {},
	"act":        {"handshake"},
	"sealed":     {"handshake"},
	"netdev":     {"handshake"},
	"seccomp":    {"handshake", "plan", "sealed"},
	"doctor":     {"handshake", "cgroupjoin"},
	"plan":       {"handshake", "specjson"},
	"bundle":     {"handshake", "specjson", "plan"}, // the tables of mount options and limits have one place
	"nsexec":     {"smallfile", "act", "handshake", "reaper", "plan", "sealed"},
	"cgroupjoin": {"smallfile", "flock", "handshake", "specjson", "reaper"},
	"hooks":      {"handshake", "reaper", "nsexec"},
	"container":  {"smallfile", "flock", "rawfd", "act", "handshake", "specjson", "reaper", "bundle", "plan", "nsexec", "cgroupjoin", "hooks", "netdev", "seccomp"},
	"shim":       {"smallfile", "rawfd", "act", "handshake", "specjson", "reaper", "bundle", "plan", "nsexec", "cgroupjoin", "hooks", "netdev", "seccomp", "container"},
	"cmd":        {"doctor", "handshake", "specjson", "reaper", "bundle", "plan", "nsexec", "cgroupjoin", "hooks", "netdev", "seccomp", "container", "shim"},
}

// room is the folder's first name; each folder of internal is a room of its own.
func room(folder string) string {
	first, rest, _ := strings.Cut(folder, "/")
	if first == "internal" {
		first, _, _ = strings.Cut(rest, "/")
	}
	return first
}

func TestLayersAreKept(t *testing.T) {
	goFiles(t, func(folder, path string) {
		allowed, known := mayImport[room(folder)]
		if !known || strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		for _, i := range file.Imports {
			target, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "runack/")
			if ours && room(target) != room(folder) && !slices.Contains(allowed, room(target)) {
				t.Errorf("%s imports %s: %s may not", path, target, room(folder))
			}
		}
	})
}

// Integration tests start programs through the harness: its reaper of orphans would take the
// children of os/exec.
func TestIntegrationTestsLeaveOSExecAlone(t *testing.T) {
	goFiles(t, func(folder, path string) {
		if !slices.Contains([]string{"tests/integration", "tests/spec", "tests/security", "tests/processes", "tests/faults", "tests/clients"}, folder) {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		for _, i := range file.Imports {
			if i.Path.Value == `"os/exec"` {
				t.Errorf("%s imports os/exec: use Env.Command", path)
			}
		}
	})
}

// A skip without a reason, an issue without a number, a lint directive without a word of why.
func TestReasonsAreGiven(t *testing.T) {
	rules := map[string]*regexp.Regexp{
		"skips without a reason":                   regexp.MustCompile(`\bt\.SkipNow\(\)|\bt\.Skip\(\)`),
		"switches a linter off without a reason":   regexp.MustCompile(`//nolint[^/]*$|//lint:ignore \S+\s*$`),
		"has a TODO that names no issue":           regexp.MustCompile(`//.*\b(TODO|FIXME|XXX)\b(?:[^#]*)$`),
		"has the words of a chain (\"failed to\")": regexp.MustCompile(`(Errorf|errors\.New)\("[^"]*\b[Ff]ailed to\b`),
	}
	goFiles(t, func(folder, path string) {
		if folder == "tests/style" {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		for n, line := range strings.Split(string(text), "\n") {
			for what, rule := range rules {
				if rule.MatchString(line) {
					t.Errorf("%s:%d %s: %s", path, n+1, what, strings.TrimSpace(line))
				}
			}
		}
	})
}

// A sleep in a test is a later flake. Benchmarks may idle: that is what some of them measure.
func TestTestsWaitForEvents(t *testing.T) {
	sleep := regexp.MustCompile(`^\s*time\.Sleep\(`)
	goFiles(t, func(_, path string) {
		if !strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "bench_test.go" {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		for n, line := range strings.Split(string(text), "\n") {
			if sleep.MatchString(line) {
				t.Errorf("%s:%d waits for time to pass and for no event", path, n+1)
			}
		}
	})
}

// `make help` lists every target that people are meant to call.
func TestMakeHelpIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repo, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):.*## \S`).FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = true
	}
	for _, want := range []string{"help", "deps", "build", "install", "demo", "try", "test", "test-unit", "test-root", "test-spec",
		"test-faults", "test-clients", "test-vm", "soak", "lint", "fmt", "fuzz", "bench", "clean"} {
		if !listed[want] {
			t.Errorf("make help does not list %s", want)
		}
	}
}

var tagsFlag = regexp.MustCompile(`[ =]-tags\b`)

// Every Go command of the Makefile and the scripts gets its tags from GOFLAGS, so that what is
// tested is what is built.
func TestTagsAreSetInOnePlace(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repo, "tests/tools/*"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(repo, "Makefile"), filepath.Join(repo, "tests/vm/suite"))
	tags := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if tagsFlag.MatchString(line) && !strings.HasPrefix(strings.TrimSpace(line), "#") {
				tags++
				if !strings.HasPrefix(line, "export GOFLAGS := ") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
	}
	if tags != 1 {
		t.Errorf("tags are set in %d places, want 1", tags)
	}
}
