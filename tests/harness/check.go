package harness

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Run runs a container in the foreground and returns what it wrote.
func (e *Env) Run(edits ...Edit) string {
	e.T.Helper()
	return e.OK("run", "-b", e.Bundle(edits...).Dir, e.ID("c"))
}

// Refused runs a container that must not come into existence, and returns the error, which must be
// one line that says all of want.
func (e *Env) Refused(edits []Edit, want ...string) string {
	e.T.Helper()
	r := e.Do("run", "-b", e.Bundle(edits...).Dir, e.ID("c"))
	if r.Code == 0 {
		e.T.Fatalf("not refused: %s", r)
	}
	return OneLine(e.T, r.Stderr, want...)
}

// Detached starts a container that waits for SIGTERM, and returns its id and the pid of its init.
func (e *Env) Detached(edits ...Edit) (id string, pid int) {
	e.T.Helper()
	b := e.Bundle(append([]Edit{Probe("wait")}, edits...)...)
	id = e.ID("d")
	pidFile := filepath.Join(e.Dir, "pid-"+id)
	e.OK("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id)
	return id, e.ReadPid(pidFile)
}

// Remove ends and deletes a container. It is what the end of most tests looks like.
func (e *Env) Remove(id string) {
	e.T.Helper()
	e.OK("delete", "-f", id)
}

// Field finds the value of a "Key:\tvalue" line, as in /proc/PID/status.
func Field(t testing.TB, text, key string) string {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	t.Fatalf("no %s in:\n%s", key, text)
	return ""
}

// WantField checks the value of a "Key:\tvalue" line.
func WantField(t testing.TB, text, key, want string) {
	t.Helper()
	if got := Field(t, text, key); got != want {
		t.Errorf("%s is %q, want %q", key, got, want)
	}
}

// WantEqual checks a text.
func WantEqual(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// WantContains checks for parts of a text.
func WantContains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s does not say %q: %s", what, p, text)
		}
	}
}

// A Seen is a mount as a container sees it.
type Seen struct {
	Place, Options, Propagation, Type, Source, Super string
	Order                                            int // of its line
}

// ReadMounts reads /proc/self/mountinfo of a container (proc_pid_mountinfo(5)): the topmost mount
// of each place.
func ReadMounts(mountinfo string) map[string]Seen {
	seen := map[string]Seen{}
	for i, line := range strings.Split(strings.TrimSpace(mountinfo), "\n") {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) < 6 || len(g) < 3 {
			continue
		}
		place := unescape(f[4])
		seen[place] = Seen{
			Place: place, Options: f[5], Propagation: strings.Join(f[6:], " "),
			Type: g[0], Source: g[1], Super: g[len(g)-1], Order: i,
		}
	}
	return seen
}

// Has tells whether the mount or its superblock has an option.
func (m Seen) Has(option string) bool {
	return m.HasItself(option) || slices.Contains(strings.Split(m.Super, ","), option)
}

// HasItself tells whether the mount, whatever its superblock, has an option.
func (m Seen) HasItself(option string) bool {
	return slices.Contains(strings.Split(m.Options, ","), option)
}
