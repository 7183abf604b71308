package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// stateOn mounts a tmpfs of a few pages for the state of containers, and gives a runtime that uses it.
func stateOn(e *harness.Env, options string) (dir string, runtime func(args ...string) *harness.Cmd) {
	e.T.Helper()
	dir = filepath.Join(e.Dir, "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		e.T.Fatal(err)
	}
	if err := unix.Mount("small", dir, "tmpfs", 0, options); err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			e.T.Error(err)
		}
	})
	return dir, func(args ...string) *harness.Cmd { return e.Bare(append([]string{"--root", dir}, args...)...) }
}

func remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}

func TestAFullStateDirectory(t *testing.T) {
	e := harness.New(t)
	dir, runtime := stateOn(e, "size=4k")
	b, id := e.Bundle(harness.Probe("wait")), e.ID("c")
	harness.OneLine(t, runtime("create", "-b", b.Dir, id).Fails(1), id, "runtime: ", "ENOSPC (28)")
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	remount(t, dir, 0, "size=64k")
	runtime("create", "-b", b.Dir, id).OK()
	// Full from here on: what has been made goes on, and goes away.
	full := e.File("filling", strings.Repeat("x", 1<<20))
	_ = e.Command("/bin/cp", full, dir).Do()
	runtime("state", id).OK()
	if r := runtime("start", id).Do(); r.Code != 0 {
		harness.OneLine(t, r.Stderr, "ENOSPC (28)")
	}
	runtime("exec", id, "/bin/true").Do()
	runtime("delete", "-f", id).OK()
	if err := os.Remove(filepath.Join(dir, "filling")); err != nil {
		t.Fatal(err)
	}
}

func TestAReadOnlyStateDirectory(t *testing.T) {
	e := harness.New(t)
	dir, runtime := stateOn(e, "")
	b, id := e.Bundle(harness.Probe("wait")), e.ID("c")
	runtime("run", "-d", "-b", b.Dir, id).OK()
	remount(t, dir, unix.MS_RDONLY, "")
	harness.OneLine(t, runtime("create", "-b", b.Dir, e.ID("d")).Fails(1), "runtime: ", "EROFS (30)")
	runtime("state", id).OK()
	runtime("list").OK()
	runtime("exec", id, "/bin/true").OK()
	harness.OneLine(t, runtime("delete", "-f", id).Fails(1), id, "runtime: ", "EROFS (30)")
	remount(t, dir, 0, "")
	runtime("delete", "-f", id).OK()
}

// At any limit of descriptors a command succeeds or says so, and nothing is left.
func TestFewDescriptors(t *testing.T) {
	e := harness.New(t)
	// Limits of the container's own could not be raised again.
	b := e.Bundle(harness.Args("/bin/true"), func(s *specs.Spec) { s.Process.Rlimits = nil })
	succeeded, told := false, false
	for limit := 4; limit <= 100 && !succeeded; limit += 3 {
		id := e.ID(fmt.Sprintf("c%d", limit))
		r := e.Runtime("run", "-b", b.Dir, id).Through("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, limit), "sh").Do()
		succeeded = r.Code == 0
		told = told || strings.Contains(r.Stderr, "EMFILE (24)")
		if r.Code != 0 && r.Code != 1 && !strings.Contains(r.Stderr, "fatal error") { // Go's own, before main
			t.Errorf("limit %d: %s", limit, r)
		}
		e.OK("delete", "-f", id)
		e.AssertClean()
	}
	if !succeeded || !told {
		t.Errorf("succeeded %v, EMFILE told %v", succeeded, told)
	}
}

// pidsCgroup makes a cgroup of the test's for the runtime itself, whose number of processes can be
// limited.
func pidsCgroup(e *harness.Env) string {
	e.T.Helper()
	dir := filepath.Join("/sys/fs/cgroup/pids", e.ID("host"))
	if _, err := os.Stat("/sys/fs/cgroup/pids/cgroup.procs"); err != nil {
		e.T.Skip("no pids hierarchy of cgroup v1 on this host: on v2 a cgroup with processes cannot have the container's below")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() {
		if err := unix.Rmdir(dir); err != nil {
			e.T.Error(err)
		}
	})
	e.Rebase()
	return dir
}

// The host has no process left for the stage, or not even a thread for Go.
func TestNoProcessLeftOnTheHost(t *testing.T) {
	e := harness.New(t)
	b, cgroup := e.Bundle(harness.Args("/bin/true")), pidsCgroup(e)
	succeeded, told := false, false
	for limit := 1; limit <= 40 && !succeeded; limit++ {
		id := e.ID(fmt.Sprintf("c%d", limit))
		if err := os.WriteFile(filepath.Join(cgroup, "pids.max"), []byte(fmt.Sprint(limit)), 0); err != nil {
			t.Fatal(err)
		}
		r := e.Runtime("run", "-b", b.Dir, id).
			Through("/bin/sh", "-c", `echo 0 >"$0/cgroup.procs" && exec "$@"`, cgroup).Do()
		succeeded = r.Code == 0
		told = told || strings.Contains(r.Stderr, "EAGAIN (11)")
		if r.Code != 0 && r.Code != 1 && !strings.Contains(r.Stderr, "failed to create new OS thread") {
			t.Errorf("limit %d: %s", limit, r)
		}
		e.OK("delete", "-f", id)
		e.AssertClean()
	}
	if !succeeded || !told {
		t.Errorf("succeeded %v, EAGAIN told %v", succeeded, told)
	}
}

// The kernel has errnos for these that nobody would expect: the message says what they mean.
func TestNamespacesThatCannotBeHad(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's")
	b, id := e.Bundle(harness.Args("/bin/true")), e.ID("c")
	c := e.Runtime("run", "-b", b.Dir, id).Through("unshare", "-rm", "sh", "-c", `echo 0 >/proc/sys/user/max_uts_namespaces && exec "$@"`, "sh")
	harness.OneLine(t, c.Fails(1), "stage-0: clone stage-1: ENOSPC (28): a limit of /proc/sys/user")

	// Kept by a bind mount, a PID namespace outlives its init.
	owner, pid := e.Detached()
	place := e.File("pid", "")
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/pid", pid), place, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(place, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	e.Remove(owner)
	b.Edit(harness.Namespace(specs.PIDNamespace, place))
	harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, id), "stage-0: clone stage-1: ENOMEM (12): a PID namespace whose init is dead")
}

func TestARootThatCannotBeMounted(t *testing.T) {
	e := harness.New(t)
	file := e.File("file", "no directory")
	for name, want := range map[string]string{file: "expected a directory, found a regular file", "/no/such/root": "/no/such/root"} {
		b, id := e.Bundle(harness.Args("/bin/true"), func(s *specs.Spec) { s.Root.Path = name }), e.ID("c")
		harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, id), want)
		e.AssertClean()
	}
}

func TestARootDeletedUnderARunningContainer(t *testing.T) {
	e := harness.New(t)
	b, id := e.Bundle(harness.Probe("wait")), e.ID("c")
	e.OK("run", "-d", "-b", b.Dir, id)
	if err := os.RemoveAll(b.Dir); err != nil {
		t.Fatal(err)
	}
	e.OK("state", id)
	harness.OneLine(t, e.Fails(255, "exec", id, "/bin/true"), "stage-1: ", "ENOENT (2)")
	e.OK("kill", id, "KILL")
	e.OK("delete", "-f", id)
}

func TestACorruptRecord(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("wait"))
	for name, text := range map[string]string{
		"empty": "", "cut": `{"recordVersion":1,"id":"c","pha`, "binary": "\x00\xff\xfe", "another": `["no record"]`,
		"version": `{"recordVersion":99}`, "phase": `{"recordVersion":1,"phase":"flying"}`, "initless": `{"recordVersion":1,"phase":"started"}`,
	} {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			id := e.ID(name)
			e.OK("run", "-d", "-b", b.Dir, id)
			path := filepath.Join(e.Root, id, "state.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"state", id}, {"kill", id, "KILL"}, {"delete", id}} {
				if line := harness.OneLine(t, e.Fails(1, args...), "state.json"); strings.Contains(line, "goroutine") {
					t.Error(line)
				}
			}
			e.OK("list")
			e.OK("delete", "-f", id)
			e.AssertClean()
		})
	}
}
