package cgroupjoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The device nodes that a process inside tries, made afresh so that none need be on the host.
var deviceNodes = []struct {
	name         string
	kind         uint32
	major, minor uint32
}{
	{"null", unix.S_IFCHR, 1, 3}, {"zero", unix.S_IFCHR, 1, 5}, {"full", unix.S_IFCHR, 1, 7},
	{"random", unix.S_IFCHR, 1, 8}, {"urandom", unix.S_IFCHR, 1, 9},
	{"kmsg", unix.S_IFCHR, 1, 11}, {"loop7", unix.S_IFBLK, 7, 7},
}

func init() {
	// devices DIR: makes the nodes in DIR, opens them for reading and for writing, and prints what
	// went wrong: "kmsg w EPERM (1)".
	roles["devices"] = func(args []string) error {
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return err
		}
		for _, d := range deviceNodes {
			path := filepath.Join(args[0], d.name)
			err := unix.Mknod(path, d.kind|0o600, int(unix.Mkdev(d.major, d.minor)))
			tell(d.name, "m", err)
			for mode, flag := range map[string]int{"r": unix.O_RDONLY, "w": unix.O_WRONLY} {
				fd, err := unix.Open(path, flag|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
				tell(d.name, mode, err)
				if err == nil {
					_ = unix.Close(fd)
				}
			}
		}
		return nil
	}
}

func tell(name, mode string, err error) {
	// ENXIO and the like mean that the device was reached.
	if errors.Is(err, unix.EPERM) {
		fmt.Println(name, mode)
	}
}

// refusedDevices runs a process in c and gives what the kernel refuses it.
func refusedDevices(t testing.TB, c *Cgroup) string {
	t.Helper()
	cmd := role("devices", t.TempDir())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	onHold(t, c, cmd)()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	var lines []string
	for _, d := range deviceNodes { // in the order of the table, whatever order r and w came in
		for _, mode := range []string{"m", "r", "w"} {
			if strings.Contains(out.String(), d.name+" "+mode+"\n") {
				lines = append(lines, d.name+" "+mode)
			}
		}
	}
	return strings.Join(lines, ", ")
}

func rule(allow bool, kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	r := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access}
	if major >= 0 {
		r.Major = &major
	}
	if minor >= 0 {
		r.Minor = &minor
	}
	return r
}

func TestDevices(t *testing.T) {
	denyAll := rule(false, "", -1, -1, "rwm")
	for _, test := range []struct {
		name  string
		rules []specs.LinuxDeviceCgroup
		want  string // refused
	}{
		{"no rules: denied by default", nil, "kmsg r, kmsg w, loop7 r, loop7 w"},
		{"deny all", []specs.LinuxDeviceCgroup{denyAll}, "kmsg r, kmsg w, loop7 r, loop7 w"},
		{"one more", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 11, "rw")}, "loop7 r, loop7 w"},
		{"reading only", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 11, "r"), rule(true, "b", 7, -1, "r")}, "kmsg w, loop7 w"},
		{"another type", []specs.LinuxDeviceCgroup{denyAll, rule(true, "b", 1, 11, "rwm")}, "kmsg r, kmsg w, loop7 r, loop7 w"},
		{"allowed and taken back", []specs.LinuxDeviceCgroup{denyAll, rule(true, "c", 1, 11, "rw"), rule(false, "c", 1, 11, "w")},
			"kmsg w, loop7 r, loop7 w"},
		{"allow all, as privileged containers do", []specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, "rwm")}, ""},
		{"allow all but one", []specs.LinuxDeviceCgroup{rule(true, "a", -1, -1, "rwm"), rule(false, "b", 7, 7, "rw")}, "loop7 r, loop7 w"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := created(t, &specs.LinuxResources{Devices: test.rules})
			if err := c.Set(nil); err != nil {
				t.Fatal(err)
			}
			if got := refusedDevices(t, c); got != test.want {
				t.Errorf("refused: %s\n   want: %s", got, test.want)
			}
			// An update leaves the rules as they are.
			if err := c.Update(&specs.LinuxResources{}); err != nil {
				t.Fatal(err)
			}
			if got := refusedDevices(t, c); got != test.want {
				t.Errorf("after an update refused: %s\n   want: %s", got, test.want)
			}
		})
	}
}

// A rule list that punches a hole in a wildcard cannot be put in force, on v1 by the kernel and so
// nowhere; it is refused and not taken for something weaker.
func TestDevicesThatCannotBe(t *testing.T) {
	c := created(t, &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
		rule(true, "c", 1, -1, "rwm"), rule(false, "c", 1, 11, "rwm"),
	}})
	err := c.Set(nil)
	if err == nil {
		t.Fatal("a hole in a wildcard was accepted")
	}
	wantClean(t, err)
}

// A second set of rules replaces the first.
func TestDevicesAgain(t *testing.T) {
	c := created(t, sampleResources())
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	more := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{rule(false, "", -1, -1, "rwm"), rule(true, "c", 1, 11, "rw")}}
	if err := c.Set(more); err != nil {
		t.Fatal(err)
	}
	if got := refusedDevices(t, c); got != "loop7 r, loop7 w" {
		t.Errorf("refused: %s", got)
	}
	if err := c.Set(sampleResources()); err != nil {
		t.Fatal(err)
	}
	if got := refusedDevices(t, c); got != "kmsg r, kmsg w, loop7 r, loop7 w" {
		t.Errorf("refused: %s", got)
	}
}
