package processes

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

func byAnnotation(s *spec) { s.Annotations = map[string]string{"org.runack.init": "true"} }

// With the built-in init, pid 1 reaps what would stay a zombie else.
func TestTheBuiltInInitReaps(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has an init")
	b := e.Bundle(harness.Probe("wait"), harness.WritableRoot, byAnnotation)
	one := gate(t, b.Rootfs, "one")
	id, file := e.ID("c"), filepath.Join(e.Dir, "pid")
	e.OK("run", "-d", "--pid-file", file, "-b", b.Dir, id)
	wantEqual(t, "processes", e.OK("exec", id, "ps", "-o", "pid,comm"), "PID   COMMAND\n    1 runack:[init]\n    2 probe\n    3 ps\n")
	e.OK("exec", id, "sh", "-c", "(cat /one &)")
	orphan := child(t, e.ReadPid(file), "cat")
	open(t, one)
	reaped(t, orphan)
	wantEqual(t, "zombies", strings.Join(zombies(e, id), " "), "")
	remove(e, id)
}

func TestTheBuiltInInitLeavesWithItsProgram(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has an init")
	b := e.Bundle()
	for name, row := range map[string]struct {
		program harness.Edit
		code    int
	}{
		"by exit":         {harness.Probe("exit", "37"), 37},
		"by signal":       {harness.Probe("die", "15"), 143}, // which pid 1 itself would survive
		"by its last one": {harness.Probe("die", "64"), 192},
		"leaving a child": {harness.Shell("sleep 1000 & exit 5"), 5},
		"not executable":  {harness.Args("/etc/passwd"), 1},
	} {
		b.Edit(row.program)
		r := e.Do("run", "--init", "-b", b.Dir, e.ID("c"))
		if r.Code != row.code {
			t.Errorf("%s: %s", name, r)
		}
	}
	b.Edit(harness.Probe("exit", "9"))
	e.OK("create", "--init", "--pid-file", e.Dir+"/pid", "-b", b.Dir, e.ID("c"))
	e.OK("start", e.ID("c"))
	wantEqual(t, "exit code of create's", fmt.Sprint(e.WaitExit(e.ReadPid(e.Dir+"/pid")).ExitStatus()), "9")
	e.OK("delete", e.ID("c"))
	harness.OneLine(t, e.Fails(1, "run", "--init", "-b", e.Bundle(harness.Args("nosuch")).Dir, e.ID("c")), `exec: "nosuch": executable file not found in $PATH`)
}

// Its memory is the container's: less than 300 KiB, all pages counted that its own mappings hold.
func TestTheBuiltInInitIsSmall(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has an init")
	id, pid := detached(e, byAnnotation)
	if rss := kilobytes(t, e, pid, "Rss"); rss > 300 {
		t.Errorf("pid 1 has %d KiB", rss)
	}
	// Of an exec with a reaper there are two, which share most of their pages.
	p := e.Runtime("exec", "--reap", id, "/bin/probe", "wait").Piped().Start()
	p.Expect("ready")
	total := 0
	for _, name := range []string{"runack:[exec]", "runack:[reaper]"} {
		total += kilobytes(t, e, child(t, p.Pid, name), "Pss")
	}
	if total > 300 {
		t.Errorf("the two processes of an exec with a reaper have %d KiB", total)
	}
	p.Signal(unix.SIGTERM)
	if r := p.Wait(); r.Code != 0 {
		t.Error(r)
	}
	remove(e, id)
}

func kilobytes(t testing.TB, e *harness.Env, pid int, key string) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(field(t, e.Read(fmt.Sprintf("/proc/%d/smaps_rollup", pid)), key), &n); err != nil || n == 0 {
		t.Fatalf("%s of process %d: %d, %v", key, pid, n, err)
	}
	return n
}

// The init that stays is no more than the user, and keeps nothing of what it was started with.
func TestTheBuiltInInitHoldsNothing(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has an init")
	id, pid := detached(e, byAnnotation, func(s *spec) { s.Process.User.UID, s.Process.User.GID = 1000, 1000 })
	status := e.Read(fmt.Sprintf("/proc/%d/status", pid))
	wantField(t, status, "Uid", "1000 1000 1000 1000")
	wantField(t, status, "CapPrm", "0000000000000020") // CAP_KILL, which the default configuration has
	wantEqual(t, "descriptors", fmt.Sprint(openFiles(t, pid)), "1")
	// It was forked before the program's filter, which it must not be a way round, so it has its own.
	wantField(t, status, "Seccomp", "2")
	remove(e, id)
}
