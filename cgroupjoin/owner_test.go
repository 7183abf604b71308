package cgroupjoin

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func ownerSpec(uid uint32, mapped bool, cgroupNS string, options ...string) *specs.Spec {
	s := &specs.Spec{
		Process: &specs.Process{Cwd: "/", Args: []string{"x"}, User: specs.User{UID: uid}},
		Mounts:  []specs.Mount{{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: options}},
		Linux:   &specs.Linux{},
	}
	if cgroupNS != "none" {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace, Path: cgroupNS})
	}
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.MountNamespace})
	if mapped {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1}, {ContainerID: 1000, HostID: 7000, Size: 10}}
		s.Linux.GIDMappings = s.Linux.UIDMappings
	}
	return s
}

var ownerTests = []struct {
	name string
	want *int
	spec func() *specs.Spec
}{
	{"root of a user namespace", ptr(100000), func() *specs.Spec { return ownerSpec(0, true, "") }},
	{"user of a user namespace", ptr(7004), func() *specs.Spec { return ownerSpec(1004, true, "") }},
	{"unmapped user", nil, func() *specs.Spec { return ownerSpec(5, true, "") }},
	{"no user namespace", ptr(33), func() *specs.Spec { return ownerSpec(33, false, "") }},
	{"read-only mount", nil, func() *specs.Spec { return ownerSpec(0, true, "", "ro") }},
	{"ro, then rw", ptr(100000), func() *specs.Spec { return ownerSpec(0, true, "", "ro", "rw") }},
	{"no cgroup namespace", nil, func() *specs.Spec { return ownerSpec(0, true, "none") }},
	{"joined cgroup namespace", nil, func() *specs.Spec { return ownerSpec(0, true, "/proc/self/ns/cgroup") }},
}

func TestOwner(t *testing.T) {
	for _, test := range ownerTests {
		t.Run(test.name, func(t *testing.T) {
			got := Owner(test.spec())
			if (got == nil) != (test.want == nil) || value(got) != value(test.want) {
				t.Errorf("Owner = %v, want %v", value(got), value(test.want))
			}
		})
	}
}

// The owner gets the directory and the kernel's list of files, and no file with a limit in it.
func TestDelegation(t *testing.T) {
	needRoot(t)
	c := newCgroupAt(t, Config{Path: "/" + name(), OwnerUID: ptr(4321), OwnerGID: ptr(5432)})
	if c.Layout() != V2 {
		t.Skipf("only v2 delegates; this is %s", c.Layout())
	}
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	dir := c.Paths()[""]
	delegated, err := delegatedFiles()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{".": true}
	for _, f := range delegated {
		want[f] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range append([]string{"."}, entryNames(entries)...) {
		info, err := os.Stat(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		owned := st.Uid == 4321 && st.Gid == 5432
		if owned != want[f] {
			t.Errorf("%s belongs to %d:%d, delegated: %v", f, st.Uid, st.Gid, want[f])
		}
		if owned {
			seen++
		}
	}
	if seen < 4 {
		t.Errorf("only %d files were handed over", seen)
	}
}

func entryNames(entries []os.DirEntry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
