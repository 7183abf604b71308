package container

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/plan"
)

func TestIDMapTextAndBack(t *testing.T) {
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}, {ContainerID: 65536, HostID: 1, Size: 4294901759}}
	text := mapText(maps)
	if want := "0 100000 65536\n65536 1 4294901759\n"; text != want {
		t.Errorf("got %q, want %q", text, want)
	}
	// The kernel prints columns.
	for _, in := range []string{text, "         0     100000      65536\n     65536          1 4294901759\n"} {
		got, err := parseIDMap(in)
		if err != nil || !reflect.DeepEqual(got, maps) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"0 1", "0 1 2 3", "a 1 2", "-1 0 1", "0 0 4294967296"} {
		if got, err := parseIDMap(in); err == nil {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

func FuzzParseIDMap(f *testing.F) {
	f.Add("0 0 4294967295\n")
	f.Add("  0 100000 65536\n65536 1 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		maps, err := parseIDMap(text)
		if err != nil {
			return
		}
		again, err := parseIDMap(mapText(maps))
		if err != nil || !reflect.DeepEqual(again, maps) {
			t.Fatalf("%q: %v, then %v, %v", text, maps, again, err)
		}
	})
}

func TestMapsOnly(t *testing.T) {
	one := specs.LinuxIDMapping{ContainerID: 0, HostID: 1000, Size: 1}
	if !mapsOnly([]specs.LinuxIDMapping{one}, 1000) {
		t.Error("one's own id needs no helper")
	}
	two := one
	two.Size = 2
	for _, maps := range [][]specs.LinuxIDMapping{nil, {two}, {one, one}} {
		if mapsOnly(maps, 1000) {
			t.Errorf("%v: needs the helper", maps)
		}
	}
	if mapsOnly([]specs.LinuxIDMapping{one}, 1001) {
		t.Error("somebody else's id needs the helper")
	}
}

func TestUserNSMapsOfThisProcess(t *testing.T) {
	uid, gid, deny, err := userNSMaps("/proc/self/ns/user")
	if err != nil || len(uid) == 0 || len(gid) == 0 {
		t.Fatalf("%v, %v, %v, %v", uid, gid, deny, err)
	}
	if inUserNamespace() == (len(uid) == 1 && uid[0] == specs.LinuxIDMapping{Size: 1<<32 - 1}) {
		t.Errorf("maps %v, in a user namespace: %v", uid, inUserNamespace())
	}
}

func TestMakeUserNS(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to map more than one's own id")
	}
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	ns, err := openUserNS(&plan.IDMap{UIDMappings: maps, GIDMappings: maps})
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	typ, err := unix.IoctlRetInt(int(ns.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || typ != unix.CLONE_NEWUSER {
		t.Errorf("type %#x, %v; want a user namespace", typ, err)
	}
	var ours, theirs unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &ours); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fstat(int(ns.Fd()), &theirs); err != nil {
		t.Fatal(err)
	}
	if ours.Ino == theirs.Ino {
		t.Error("it is our own")
	}
	var status unix.WaitStatus
	if pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil); err == nil {
		t.Errorf("a child was left: %d", pid)
	}
}

func TestCapabilitiesAreThoseOfProcfs(t *testing.T) {
	bounding, last := capabilities()
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("CapBnd:\t%016x\n", bounding); !strings.Contains(string(status), want) {
		t.Errorf("/proc/thread-self/status has no %q:\n%s", want, status)
	}
	highest, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	if got := strconv.Itoa(last) + "\n"; got != string(highest) {
		t.Errorf("last capability %q, the kernel says %q", got, highest)
	}
}
