package spec

import (
	"os"
	"strings"
	"testing"

	"runack/tests/harness"
)

func protect(masked, readonly []string) harness.Edit {
	return func(s *spec) { s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = masked, readonly }
}

func TestMaskedPathsOfEveryKind(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(sh(`stat -c '%n %F' /home/file /home/dir; ls -A /home/dir /home/twice; cat /home/file; echo x 2>&1 >/home/dir/x | sed 's/.*: //'`),
		harness.WritableRoot, protect([]string{"/home/file", "/home/dir", "/home/twice", "/home/twice/", "/home/none", "/home/none/x"}, nil))
	for _, d := range []string{"dir", "twice"} {
		if err := os.MkdirAll(b.Rootfs+"/home/"+d+"/secret", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(b.Rootfs+"/home/file", []byte("secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := e.OK("run", "-b", b.Dir, e.ID("c"))
	wantEqual(t, "what is seen", out, lines("/home/file character special file", "/home/dir directory", "/home/dir:", "", "/home/twice:", "Read-only file system"))
}

func TestReadonlyPathsKeepTheirFlags(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(mountinfo, harness.WritableRoot, mount("tmpfs", "tmpfs", "/mnt", "nosuid", "noexec"), mount("tmpfs", "tmpfs", "/mnt/below"),
		protect(nil, []string{"/mnt", "/etc/passwd", "/nothing"}))
	seen := mountsOf(e.OK("run", "-b", b.Dir, e.ID("c")))
	for _, o := range []string{"ro", "nosuid", "noexec"} {
		if !seen["/mnt"].HasItself(o) {
			t.Errorf("/mnt: %+v", seen["/mnt"])
		}
	}
	if m := seen["/etc/passwd"]; !m.HasItself("ro") {
		t.Errorf("/etc/passwd: %+v", m)
	}
	if _, made := seen["/nothing"]; made {
		t.Error("a path that does not exist was made")
	}
}

// In a user namespace, where flags of the host's mounts are locked, the same.
func TestProtectedPathsInAUserNamespace(t *testing.T) {
	e := harness.New(t)
	b := withUserNS(e, sh("cat /proc/kcore /proc/keys | wc -c; ls -A /sys/firmware; echo 1 2>&1 >/proc/sys/kernel/panic | sed 's/.*: //'"))
	out := e.OK("run", "-b", b.Dir, e.ID("c"))
	if !strings.HasPrefix(out, "0\n") || strings.Count(out, "\n") > 2 {
		t.Errorf("what is seen: %q", out)
	}
}

// The rest of the list is a no-op: what is not there needs no mask, and the root cannot have one.
func TestMaskingTheRootIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 mounts over /, which has no effect")
	e.Refused([]harness.Edit{protect([]string{"/"}, nil)}, "mask path: /: EINVAL (22)")
	e.Refused([]harness.Edit{protect([]string{"relative"}, nil)}, "linux.maskedPaths[0]", "absolute")
}
