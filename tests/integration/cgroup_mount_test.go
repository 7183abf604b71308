package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// cgroupMount replaces the options of the mount of type cgroup.
func cgroupMount(options ...string) harness.Edit {
	return func(s *spec) {
		for i := range s.Mounts {
			if s.Mounts[i].Type == "cgroup" {
				s.Mounts[i].Options = options
			}
		}
	}
}

// ownCgroup is where a container finds the files of its own cgroup: in each hierarchy's directory on
// v1, on v2 in the one there is.
func ownCgroup() string {
	if harness.CgroupVersion() == "v2" {
		return "/sys/fs/cgroup"
	}
	return "/sys/fs/cgroup/pids"
}

// With a cgroup namespace or without, /sys/fs/cgroup shows the container's own cgroup as its root,
// and nothing of the host's above it.
func TestTheCgroupMountShowsTheContainersOwn(t *testing.T) {
	e := harness.New(t)
	// The shell's own pid is in its cgroup; a directory of the host's would have others.
	look := "cat " + filepath.Join(ownCgroup(), "cgroup.procs") + " | grep -c '^1$'; cat /proc/self/cgroup"
	for name, edit := range map[string]harness.Edit{
		"a namespace of its own": harness.Namespace(specs.CgroupNamespace, ""),
		"the host's namespace":   harness.WithoutNamespace(specs.CgroupNamespace),
	} {
		path := e.Cgroup("c")
		out := e.OK("run", "-b", e.Bundle(sh(look), edit, harness.CgroupsPath(path)).Dir, e.ID("c"))
		if harness.CgroupVersion() == "v2" && name == "the host's namespace" {
			// The whole hierarchy is bound there, as by runc, read-only; the container is somewhere in it.
			wantContains(t, name, out, path)
			continue
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		wantEqual(t, name+": init is in the cgroup that is shown", lines[0], "1")
		for _, line := range lines[1:] {
			f := strings.SplitN(line, ":", 3)
			if f[0] == "0" && harness.CgroupVersion() == "v1" || f[0] != "0" && harness.CgroupVersion() == "v2" {
				continue // a hierarchy that this view hides
			}
			want := path
			if name == "a namespace of its own" {
				want = "/"
			}
			wantEqual(t, name+": path of hierarchy "+f[1], f[2], want)
		}
	}
}

// Writable where the configuration says so, and then for making cgroups below.
func TestTheCgroupMountIsWritableOrNot(t *testing.T) {
	e := harness.New(t)
	try := "mkdir " + filepath.Join(ownCgroup(), "below") + " && rmdir " + filepath.Join(ownCgroup(), "below") + " && echo writable"
	own := harness.Namespace(specs.CgroupNamespace, "")
	r := e.Do("run", "-b", e.Bundle(sh(try), own, cgroupMount("nosuid", "noexec", "nodev", "ro")).Dir, e.ID("r"))
	if r.Code == 0 || !strings.Contains(r.Stderr, "Read-only file system") {
		t.Errorf("read-only: %s", r)
	}
	wantEqual(t, "read-write", e.Run(sh(try), own, cgroupMount("nosuid", "noexec", "nodev")), "writable\n")
}

// In a user namespace too, whose root may not mount what belongs to the host.
func TestTheCgroupMountInAUserNamespace(t *testing.T) {
	e := harness.New(t)
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	user := func(s *spec) {
		harness.Namespace(specs.UserNamespace, "")(s)
		s.Linux.UIDMappings, s.Linux.GIDMappings = maps, maps
	}
	for _, edit := range []harness.Edit{harness.Namespace(specs.CgroupNamespace, ""), harness.WithoutNamespace(specs.CgroupNamespace)} {
		seen := mountsOf(run(e, user, edit, harness.Args("/bin/cat", "/proc/self/mountinfo")))
		m, ok := seen[ownCgroup()]
		if !ok || !strings.HasPrefix(m.Type, "cgroup") || !m.HasItself("ro") {
			t.Errorf("%s: %+v", ownCgroup(), m)
		}
	}
}
