package spec

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

type spec = specs.Spec

// What all packages of tests share, by shorter names.
var (
	wantField    = harness.WantField
	wantEqual    = harness.WantEqual
	wantContains = harness.WantContains
	mountsOf     = harness.ReadMounts
	mount        = harness.Mount
	sh           = harness.Shell
)

// For configurations that Debian's runc is too old for.
const newerThanRunc = "1.1.5 does not know this part of the specification yet"

// mountinfo has the program show its mounts.
var mountinfo = harness.Args("/bin/cat", "/proc/self/mountinfo")

// status has the program show its credentials.
var status = harness.Args("/bin/cat", "/proc/self/status")

// caps sets all capability sets but the ambient and inheritable ones.
func caps(names ...string) harness.Edit {
	return func(s *spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names}
	}
}

// userNS gives the container a user namespace whose root is the host's uid 100000.
func userNS(s *spec) {
	harness.Namespace(specs.UserNamespace, "")(s)
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	s.Linux.UIDMappings, s.Linux.GIDMappings = maps, maps
}

// withUserNS is a bundle with a user namespace, whose root file system its root owns.
func withUserNS(e *harness.Env, edits ...harness.Edit) *harness.Bundle {
	e.T.Helper()
	b := e.Bundle(append([]harness.Edit{userNS}, edits...)...)
	give(e, b.Rootfs, 100000)
	return b
}

// give makes uid the owner of the directories of a root file system. Its files are hard links,
// which other bundles share.
func give(e *harness.Env, rootfs string, uid int) {
	e.T.Helper()
	for _, dir := range []string{"", "bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "var"} {
		if err := os.Chown(rootfs+"/"+dir, uid, uid); err != nil {
			e.T.Fatal(err)
		}
	}
}

// dir makes a directory below the test's own.
func dir(e *harness.Env, name string) string {
	e.T.Helper()
	path := e.Dir + "/" + name
	if err := os.MkdirAll(path, 0o755); err != nil {
		e.T.Fatal(err)
	}
	return path
}

// hostMount mounts in the tests' mount namespace, until the test ends.
func hostMount(e *harness.Env, fstype, source, target string, flags uintptr, data string) {
	e.T.Helper()
	if err := os.MkdirAll(target, 0o755); err != nil {
		e.T.Fatal(err)
	}
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		e.T.Fatalf("mount %s on %s: %v", fstype, target, err)
	}
	e.T.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			e.T.Errorf("unmount %s: %v", target, err)
		}
	})
}

// lines joins what a program is expected to write.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// nsOf names the namespace of a kind that a process is in.
func nsOf(t testing.TB, pid int, file string) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return link
}
