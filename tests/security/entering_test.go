package security

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// What a container can do to a process that is just entering it.

// A process that enters a container comes from outside, with descriptors and an executable of the
// host's. The container's root races to trace it before it is the container's program.
func TestCVE_2016_9962(t *testing.T) {
	e := harness.New(t)
	hunt := func(name string, b *harness.Bundle) {
		b.Edit(harness.Probe("wait"))
		id := e.ID(name)
		e.OK("run", "-d", "-b", b.Dir, id)
		hunter := e.Runtime("exec", id, "/bin/probe", "hunt").Piped().Start()
		hunter.Expect("ready")
		for range rounds(40) {
			e.OK("exec", id, "/bin/probe", "exit", "0")
		}
		e.OK("exec", id, "/bin/sh", "-c", "kill -TERM $(pidof probe | tr ' ' '\\n' | grep -v '^1$')")
		for {
			line := hunter.Line()
			if strings.HasPrefix(line, "hunted ") {
				t.Logf("%s: %s", name, line)
				if line == "hunted 0" {
					t.Errorf("%s: the hunter met no process of the runtime, so this showed nothing", name)
				}
				break
			}
			t.Errorf("%s: %s", name, line)
		}
		if r := hunter.Wait(); r.Code != 0 {
			t.Error(r)
		}
		e.OK("delete", "-f", id)
	}
	hunt("root-without-ptrace", e.Bundle())
	// All capabilities over a user namespace of its own, CAP_SYS_PTRACE among them.
	hunt("root-of-a-user-namespace", userNS(e.Bundle(everyCapability)))
}

// The runtime's executable is reached through /proc/PID/exe of what waits in the container. What is
// there is neither the file on the host nor a copy that shares its pages (runc#5272), and cannot be
// written to, not even by the host's root.
func TestCVE_2019_5736(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("protects itself in another way")
	before := sha256.Sum256([]byte(e.Read(harness.RuntimePath())))
	b := e.Bundle()
	id, pidFile := e.ID("c"), filepath.Join(e.Dir, "pid")
	e.OK("create", "--pid-file", pidFile, "-b", b.Dir, id)
	exe := fmt.Sprintf("/proc/%d/exe", e.ReadPid(pidFile))
	target, err := os.Readlink(exe)
	if err != nil || !strings.HasPrefix(target, "/memfd:") {
		t.Errorf("the executable is %q, %v", target, err)
	}
	for _, flags := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC} {
		f, err := os.OpenFile(exe, flags, 0)
		if err != nil {
			continue // ETXTBSY
		}
		if _, err := f.WriteAt([]byte("#!/bin/evil\n"), 0); err == nil {
			t.Errorf("flags %#x: the executable was written to", flags)
		}
		_ = f.Close()
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if want := unix.F_SEAL_WRITE | unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL; err != nil || seals&want != want {
		t.Errorf("seals %#x, %v, want all of %#x", seals, err, want)
	}
	// Once nothing runs from it any more it is no longer busy, and sealed still.
	e.OK("delete", "-f", id)
	if w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_WRONLY|os.O_TRUNC, 0); err == nil {
		t.Error("the executable of a dead stage was opened for writing and cut to nothing")
		_ = w.Close()
	}
	_ = f.Close()

	// The classic: a program of the image that has the runtime execute itself.
	b = e.Bundle(harness.Probe("wait"), everyCapability, harness.WritableRoot)
	if err := os.WriteFile(filepath.Join(b.Rootfs, "bin/evil"), []byte("#!/proc/self/exe\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e.OK("run", "-d", "-b", b.Dir, id)
	for range rounds(3) {
		r := e.Do("exec", id, "/bin/evil")
		if r.Code == 0 {
			t.Errorf("the stage ran as a program of the container: %s", r)
		}
	}
	e.OK("delete", "-f", id)
	if sha256.Sum256([]byte(e.Read(harness.RuntimePath()))) != before {
		t.Fatal("the runtime on the host was changed")
	}
}

// An overlay over the host's binary, as seal, shares its pages with it: whoever can poison the cache
// has the host's. A memfd is a copy of its own, on a file system that nobody can mount.
func TestRunc_5272(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 is of before")
	b := e.Bundle()
	id, pidFile := e.ID("c"), filepath.Join(e.Dir, "pid")
	e.OK("create", "--pid-file", pidFile, "-b", b.Dir, id)
	var binary, exe unix.Stat_t
	if err := unix.Stat(harness.RuntimePath(), &binary); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/proc/%d/exe", e.ReadPid(pidFile))
	if err := unix.Stat(path, &exe); err != nil {
		t.Fatal(err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC || exe.Nlink != 0 || exe.Dev == binary.Dev {
		t.Errorf("the stage runs from a file system of type %#x with %d links, device %#x (the binary's: %#x), %v", fs.Type, exe.Nlink, exe.Dev, binary.Dev, err)
	}
	e.OK("delete", "-f", id)
}

// A descriptor that leaks into the container, or a working directory that leads through one, is a way
// to the host's files.
func TestCVE_2024_21626(t *testing.T) {
	e := harness.New(t)
	// Where the program is, and what it reaches by climbing.
	look := "cd ../../../../../../..; echo; ls -d bin/probe etc/passwd; ls -d root/. etc/debian_version 2>/dev/null; ls /proc/self/fd | wc -l"
	check := func(what string, r harness.Result) {
		if strings.Contains(r.Stdout, "debian_version") {
			t.Errorf("%s: reached the host: %s", what, r)
		}
	}
	id, _ := e.Detached()
	runs := 12
	if os.Getenv("RUNACK_SOAK") != "" {
		runs = 50
	}
	b := e.Bundle(sh(look))
	for n := 3; n <= 50; n++ {
		cwd := fmt.Sprintf("/proc/self/fd/%d", n)
		check("exec in "+cwd, e.Do("exec", "--cwd", cwd, id, "/bin/sh", "-c", look))
		if n <= runs {
			b.Edit(func(s *spec) { s.Process.Cwd = cwd })
			check("run in "+cwd, e.Do("run", "-b", b.Dir, e.ID("r")))
		}
	}
	// A link of the image's leads there just as well.
	link(t, b, "leak", "/proc/self/fd/7/")
	b.Edit(func(s *spec) { s.Process.Cwd = "/leak" })
	check("run through a link", e.Do("run", "-b", b.Dir, e.ID("r")))
	e.Remove(id)
}
