package spec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

func id32(n uint32) *uint32 { return &n }

func mode(m os.FileMode) *os.FileMode { return &m }

func devices(d ...specs.LinuxDevice) harness.Edit {
	return func(s *spec) { s.Linux.Devices = append(s.Linux.Devices, d...) }
}

func TestDevicesOfAllTypes(t *testing.T) {
	e := harness.New(t)
	out := e.Run(sh("cd /dev; stat -c '%n %F %t:%T %a %u:%g' char unbuffered block deep/er/pipe full"), devices(
		specs.LinuxDevice{Path: "/dev/char", Type: "c", Major: 1, Minor: 3, FileMode: mode(0o640), UID: id32(7), GID: id32(8)},
		specs.LinuxDevice{Path: "/dev/unbuffered", Type: "u", Major: 1, Minor: 5},
		specs.LinuxDevice{Path: "/dev/block", Type: "b", Major: 7, Minor: 1048575, FileMode: mode(0o600)},
		specs.LinuxDevice{Path: "/dev/deep/er/pipe", Type: "p", FileMode: mode(0o622), UID: id32(9)},
		// One of the default devices as the configuration wants it.
		specs.LinuxDevice{Path: "/dev/full", Type: "c", Major: 1, Minor: 7, FileMode: mode(0o600)}))
	wantEqual(t, "devices", out, lines("char character special file 1:3 640 7:8", "unbuffered character special file 1:5 666 0:0",
		"block block special file 7:fffff 600 0:0", "deep/er/pipe fifo 0:0 622 9:0", "full character special file 1:7 600 0:0"))
}

// In a user namespace mknod(2) is refused, so the host's node is bound; a pipe is made.
func TestDevicesInAUserNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 binds whatever the host has under that name, pipes too")
	b := withUserNS(e, sh("stat -c '%n %F %t:%T' /dev/null /dev/full /dev/pipe; stat -c %u:%a /dev/pipe; echo x >/dev/full"),
		devices(specs.LinuxDevice{Path: "/dev/pipe", Type: "p", FileMode: mode(0o600), UID: id32(12)}))
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	wantEqual(t, "devices", r.Stdout, lines("/dev/null character special file 1:3", "/dev/full character special file 1:7", "/dev/pipe fifo 0:0", "12:600"))
	wantContains(t, "writing to /dev/full", r.Stderr, "No space left on device")
	// Under that name the host has another device.
	r = e.Do("run", "-b", withUserNS(e, devices(specs.LinuxDevice{Path: "/dev/zero", Type: "c", Major: 1, Minor: 11})).Dir, e.ID("r"))
	if r.Code == 0 {
		t.Fatal(r)
	}
	harness.OneLine(t, r.Stderr, "make device: /dev/zero: EEXIST (17)", "the host's node is not the device c 1:11")
}

func TestADeviceInPlaceOfSomethingElseIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 removes nothing and says EEXIST without a name")
	e.Refused([]harness.Edit{devices(specs.LinuxDevice{Path: "/etc/passwd", Type: "c", Major: 1, Minor: 3})},
		"make device: /etc/passwd: EEXIST (17)", "is not the device c 1:3")
	// The same one twice, as engines list it, is no error.
	null := specs.LinuxDevice{Path: "/dev/twice", Type: "c", Major: 1, Minor: 3}
	wantEqual(t, "twice", e.Run(sh("stat -c %t:%T /dev/twice"), devices(null, null)), "1:3\n")
}

// A /dev of the host's own is left as it is.
func TestABoundDevIsLeftAlone(t *testing.T) {
	e := harness.New(t)
	source := dir(e, "dev")
	for _, name := range []string{"null", "pts", "shm", "mqueue"} {
		if name == "null" {
			e.File("dev/null", "not the device\n")
			continue
		}
		dir(e, "dev/"+name)
	}
	out := e.Run(sh("ls /dev; cat /dev/null"), harness.WithoutMount("/dev"), func(s *spec) {
		s.Linux.MaskedPaths = nil
		bind := specs.Mount{Destination: "/dev", Type: "bind", Source: source, Options: []string{"bind"}}
		s.Mounts = append([]specs.Mount{bind}, s.Mounts...)
	})
	wantEqual(t, "/dev", out, lines("mqueue", "null", "pts", "shm", "not the device"))
	if entries, err := os.ReadDir(source); err != nil || len(entries) != 4 {
		t.Errorf("the host's directory: %v, %v", entries, err)
	}
}

// A bundle may have neither /dev nor /proc nor /sys, in its mounts or in its root.
func TestABundleWithoutDevProcAndSys(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 needs a procfs in the container")
	bare := func(s *spec) { s.Mounts, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil, nil }
	out := e.Run(sh("echo works >/dev/null && echo $((1+1)); ls /proc /sys"), bare)
	wantEqual(t, "output", out, lines("2", "/proc:", "", "/sys:"))
	b := e.Bundle(sh("ls / | grep -c -e dev -e proc -e sys; stat -c %F /dev/null; cat /proc/self/comm"), harness.WritableRoot)
	for _, name := range []string{"dev", "proc", "sys"} {
		if err := os.Remove(filepath.Join(b.Rootfs, name)); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "directories that are made", e.OK("run", "-b", b.Dir, e.ID("c")), lines("3", "character special file", "cat"))
	b = e.Bundle(sh("echo fine"), bare, harness.WritableRoot)
	for _, name := range []string{"dev", "proc", "sys"} {
		if err := os.Remove(filepath.Join(b.Rootfs, name)); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "nothing at all", e.OK("run", "-b", b.Dir, e.ID("n")), "fine\n")
	id, _ := e.Detached(bare)
	wantEqual(t, "exec", e.OK("exec", id, "/bin/echo", "inside"), "inside\n")
	e.Remove(id)
}
