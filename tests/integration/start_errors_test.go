package integration

import (
	"os"
	"path/filepath"
	"testing"

	"runack/tests/harness"
)

// What cannot be executed, and the words for it: docker, containerd and podman turn them into 126
// and 127.
var unstartable = []struct {
	name  string
	args  []string
	words []string
	late  bool // runc's start and exec have answered before it comes to this
}{
	{"missing in PATH", []string{"nothing-like-it"}, []string{`exec: "nothing-like-it": executable file not found in $PATH`}, false},
	{"missing path", []string{"/nothing/like/it"}, []string{"/nothing/like/it", "no such file or directory"}, false},
	{"not executable", []string{"/etc/passwd"}, []string{"/etc/passwd", "permission denied"}, false},
	{"a directory", []string{"/etc"}, []string{"/etc", "is a directory", "permission denied"}, false},
	{"not a program", []string{"/garbage"}, []string{"exec format error"}, true},
	{"missing interpreter", []string{"/script"}, []string{"/script", "no such file or directory"}, true},
	{"a file as a directory", []string{"/etc/passwd/x"}, []string{"not a directory"}, false},
}

func unstartableBundle(e *harness.Env) *harness.Bundle {
	e.T.Helper()
	b := e.Bundle(harness.Probe("wait"))
	for name, content := range map[string]string{"garbage": "no program\x00", "script": "#!/no/interpreter\n"} {
		if err := os.WriteFile(filepath.Join(b.Rootfs, name), []byte(content), 0o755); err != nil {
			e.T.Fatal(err)
		}
	}
	return b
}

func TestRunSaysWhyAProgramCannotStart(t *testing.T) {
	e := harness.New(t)
	b := unstartableBundle(e)
	for _, row := range unstartable {
		t.Run(row.name, func(t *testing.T) {
			e := e.On(t)
			if row.name == "a directory" && !harness.IsRunack() {
				row.words = []string{"permission denied"} // runc 1.1 has the other errno of the two
			}
			b.Edit(harness.Args(row.args...))
			harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), row.words...)
			e.AssertClean()
		})
	}
}

// create or start, whichever can know: the other one is fine, and delete clears up.
func TestCreateAndStartSayWhyAProgramCannotStart(t *testing.T) {
	e := harness.New(t)
	b := unstartableBundle(e)
	for _, row := range unstartable {
		t.Run(row.name, func(t *testing.T) {
			e := e.On(t)
			if row.name == "a directory" && !harness.IsRunack() {
				row.words = []string{"permission denied"}
			}
			if row.late {
				e.RunackOnly("start answers before the execve")
			}
			b.Edit(harness.Args(row.args...))
			r := e.Do("create", "-b", b.Dir, e.ID("c"))
			if r.Code == 0 {
				r = e.Do("start", e.ID("c"))
				if s := stateOf(e, e.ID("c")); s.Status != "stopped" {
					t.Errorf("after a failed start the container is %s", s.Status)
				}
				e.OK("delete", e.ID("c"))
			}
			if r.Code != 1 {
				t.Errorf("want exit code 1: %s", r)
			}
			harness.OneLine(t, r.Stderr, row.words...)
			e.AssertClean()
		})
	}
}

func TestExecSaysWhyAProgramCannotStart(t *testing.T) {
	e := harness.New(t)
	b := unstartableBundle(e)
	id := e.ID("c")
	e.OK("run", "-d", "-b", b.Dir, id)
	for _, row := range unstartable {
		t.Run(row.name, func(t *testing.T) {
			if row.name == "a directory" && !harness.IsRunack() {
				row.words = []string{"permission denied"}
			}
			if row.late {
				e.On(t).RunackOnly("exec answers before the execve")
			}
			harness.OneLine(t, e.On(t).Fails(255, append([]string{"exec", id}, row.args...)...), row.words...)
		})
	}
	wantStatus(e, id, "running")
	remove(e, id)
}

// A user who may not execute the program is told so.
func TestAProgramThatTheUserMayNotExecute(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/secret"), func(s *spec) { s.Process.User.UID = 1000 })
	if err := os.WriteFile(filepath.Join(b.Rootfs, "secret"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "permission denied")
}
