package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runack/tests/harness"
)

// Bad input ends in one clear line, exit code 1, and nothing on the machine.

func TestABadConfigIsRefusedInOneLine(t *testing.T) {
	e := harness.New(t)
	rows := []struct {
		name string
		make func(b *harness.Bundle)
		says []string
	}{
		{"no config.json", func(b *harness.Bundle) { mustRemove(e, filepath.Join(b.Dir, "config.json")) }, []string{"config.json"}},
		{"empty", func(b *harness.Bundle) { b.Write("") }, []string{"config.json"}},
		{"truncated", func(b *harness.Bundle) { b.Write(`{"ociVersion": "1.0.2", "process": {`) }, []string{"config.json"}},
		{"no JSON", func(b *harness.Bundle) { b.Write("hello") }, []string{"config.json"}},
		{"an array", func(b *harness.Bundle) { b.Write("[]") }, []string{"config.json"}},
		{"wrong type", func(b *harness.Bundle) { b.Write(`{"ociVersion": "1.0.2", "process": {"args": "sh"}}`) }, []string{"config.json", "process.args"}},
		{"a directory", func(b *harness.Bundle) {
			mustRemove(e, filepath.Join(b.Dir, "config.json"))
			if err := os.Mkdir(filepath.Join(b.Dir, "config.json"), 0o755); err != nil {
				e.T.Fatal(err)
			}
		}, []string{"config.json"}},
		{"no arguments", func(b *harness.Bundle) { b.Edit(harness.Args()) }, []string{"process.args"}},
		{"relative cwd", func(b *harness.Bundle) { b.Edit(func(s *spec) { s.Process.Cwd = "tmp" }) }, []string{"cwd"}},
		{"no version", func(b *harness.Bundle) { b.Edit(func(s *spec) { s.Version = "" }) }, []string{"ociVersion"}},
		{"no root", func(b *harness.Bundle) { b.Edit(func(s *spec) { s.Root = nil }) }, []string{"root"}},
		{"missing rootfs", func(b *harness.Bundle) { b.Edit(func(s *spec) { s.Root.Path = "nowhere" }) }, []string{"nowhere"}},
		{"rootfs is a file", func(b *harness.Bundle) { b.Edit(func(s *spec) { s.Root.Path = "config.json" }) }, []string{"config.json"}},
		{"unknown namespace", func(b *harness.Bundle) { b.Edit(harness.Namespace("moon", "")) }, []string{"moon"}},
		{"namespace twice", func(b *harness.Bundle) {
			b.Edit(func(s *spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, s.Linux.Namespaces[0]) })
		}, []string{"namespace"}},
		{"namespace path missing", func(b *harness.Bundle) { b.Edit(harness.Namespace("network", "/no/such/ns")) }, []string{"/no/such/ns"}},
		{"namespace of another kind", func(b *harness.Bundle) { b.Edit(harness.Namespace("network", "/proc/self/ns/uts")) }, []string{"/proc/self/ns/uts"}},
		{"bind source missing", func(b *harness.Bundle) { b.Edit(harness.Mount("bind", "/no/such/source", "/mnt", "bind")) }, []string{"/no/such/source"}},
		{"unknown file system", func(b *harness.Bundle) { b.Edit(harness.Mount("moonfs", "none", "/mnt")) }, []string{"moonfs"}},
		{"bad rlimit", func(b *harness.Bundle) {
			b.Edit(func(s *spec) { s.Process.Rlimits[0].Type = "RLIMIT_MOON" })
		}, []string{"RLIMIT_MOON"}},
		{"bad sysctl", func(b *harness.Bundle) {
			b.Edit(func(s *spec) { s.Linux.Sysctl = map[string]string{"kernel.panic": "1"} })
		}, []string{"kernel.panic"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			e := e.On(t)
			if row.name == "no version" {
				e.RunackOnly("takes a configuration without ociVersion")
			}
			b := e.Bundle(harness.Args("/bin/true"))
			row.make(b)
			for _, verb := range []string{"run", "create"} {
				stderr := e.Fails(1, verb, "-b", b.Dir, e.ID("c"))
				if harness.IsRunack() {
					harness.OneLine(t, stderr, row.says...)
				}
				wantNoUsage(t, stderr)
				e.AssertClean()
			}
		})
	}
}

func mustRemove(e *harness.Env, path string) {
	e.T.Helper()
	if err := os.Remove(path); err != nil {
		e.T.Fatal(err)
	}
}

func wantNoUsage(t *testing.T, stderr string) {
	t.Helper()
	if strings.Contains(stderr, "USAGE") || strings.Contains(stderr, "goroutine") {
		t.Errorf("more than an error: %s", stderr)
	}
}

// Only an error about the program may use the words that clients take for one.
func TestAnErrorElsewhereAvoidsTheWordsForPrograms(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has the words everywhere")
	rows := map[string]harness.Edit{
		"rootfs":      func(s *spec) { s.Root.Path = "nowhere" },
		"bind source": harness.Mount("bind", "/no/such/source", "/mnt", "bind"),
		"bind file":   harness.Mount("bind", "/etc/passwd/x", "/mnt", "bind"),
		"namespace":   harness.Namespace("ipc", "/no/such/ns"),
		"mount type":  harness.Mount("moonfs", "none", "/mnt"),
	}
	for name, edit := range rows {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			stderr := e.Fails(1, "run", "-b", e.Bundle(harness.Args("/bin/true"), edit).Dir, e.ID("c"))
			for _, words := range []string{"no such file or directory", "permission denied", "is a directory", "not a directory",
				"executable file not found", "operation not permitted"} {
				if strings.Contains(strings.ToLower(stderr), words) {
					t.Errorf("the error says %q: %s", words, stderr)
				}
			}
		})
	}
}

func TestABundleThatIsNotThere(t *testing.T) {
	e := harness.New(t)
	harness.OneLine(t, e.Fails(1, "run", "-b", "/no/such/bundle", e.ID("c")), "/no/such/bundle")
}

func TestInvalidIDsAreRefused(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/true"))
	for _, id := range []string{"", "a b", "a/b", "..", ".", "../x", "ä", "a:b", "a\nb", strings.Repeat("x", 5000)} {
		stderr := e.Fails(1, "run", "-b", b.Dir, id)
		if len(id) < 5000 && id != "" && harness.IsRunack() {
			harness.OneLine(t, stderr, "invalid container ID format")
		}
		e.AssertClean()
	}
	for _, id := range []string{"A-b_c+1.2", "0"} {
		e.OK("run", "-b", b.Dir, id)
	}
}

func TestMissingAndSurplusArguments(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/true"))
	for _, args := range [][]string{{"run"}, {"create"}, {"start"}, {"state"}, {"kill"}, {"delete"}, {"exec"}, {"exec", "id"},
		{"state", "a", "b"}, {"start", "a", "b"}, {"nonsense"}, {"run", "--nonsense", "id"}} {
		if r := e.Runtime(args...).In(b.Dir).Do(); r.Code == 0 {
			t.Errorf("accepted: %s", r)
		}
	}
}

// A state file that is damaged can still be cleared away, and the others are not hurt.
func TestADamagedStateCanBeDeleted(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	saved := e.Read(filepath.Join(e.Root, id, "state.json"))
	other := e.ID("other")
	e.OK("create", "-b", e.Bundle(harness.Probe("wait")).Dir, other)
	for name, text := range map[string]string{"empty": "", "truncated": saved[:len(saved)/2], "no JSON": "hello"} {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			if err := os.WriteFile(filepath.Join(e.Root, id, "state.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			harness.OneLine(t, e.Fails(1, "state", id))
			wantContains(t, "list", e.OK("list", "-q"), other)
		})
	}
	if harness.IsRunack() {
		e.OK("delete", "-f", id)
	} else if err := os.WriteFile(filepath.Join(e.Root, id, "state.json"), []byte(saved), 0o600); err != nil {
		t.Fatal(err)
	} else {
		e.OK("delete", id)
	}
	remove(e, other)
}
