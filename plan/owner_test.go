package plan

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func ownerSpec(uid uint32, changes ...func(*specs.Spec)) *specs.Spec {
	return with(func(s *specs.Spec) {
		s.Process.User.UID = uid
		s.Mounts = []specs.Mount{{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup"}}
		for _, change := range changes {
			change(s)
		}
	})
}

func cgroupNS(path string) func(*specs.Spec) {
	return func(s *specs.Spec) { namespace(s, specs.CgroupNamespace, path) }
}

func cgroupOptions(options ...string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts[0].Options = options }
}

func mapped(s *specs.Spec) {
	namespace(s, specs.UserNamespace, "")
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1}, {ContainerID: 1000, HostID: 7000, Size: 10}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
}

func joinedUser(s *specs.Spec) { namespace(s, specs.UserNamespace, "/proc/1/ns/user") }

// Whom a v2 cgroup is handed to; -1: to nobody.
var ownerTests = []struct {
	name string
	want int
	spec *specs.Spec
}{
	{"root of a user namespace", 100000, ownerSpec(0, mapped, cgroupNS(""))},
	{"user of a user namespace", 7004, ownerSpec(1004, mapped, cgroupNS(""))},
	{"unmapped user", -1, ownerSpec(5, mapped, cgroupNS(""))},
	{"no user namespace", 33, ownerSpec(33, cgroupNS(""))},
	{"read-only mount", -1, ownerSpec(0, mapped, cgroupNS(""), cgroupOptions("ro"))},
	{"ro, then rw", 100000, ownerSpec(0, mapped, cgroupNS(""), cgroupOptions("ro", "rw"))},
	{"another source", -1, ownerSpec(0, mapped, cgroupNS(""), func(s *specs.Spec) { s.Mounts[0].Source = "none" })},
	{"no cgroup namespace", -1, ownerSpec(0, mapped)},
	{"joined cgroup namespace", -1, ownerSpec(0, mapped, cgroupNS("/proc/1/ns/cgroup"))},
	{"user of a joined user namespace", 200004, ownerSpec(4, joinedUser, cgroupNS(""))},
}

func TestCgroupOwner(t *testing.T) {
	facts := v2Facts()
	facts.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 200000, Size: 10}}
	for _, test := range ownerTests {
		t.Run(test.name, func(t *testing.T) {
			got := -1
			if p := mustCreate(t, test.spec, facts, Options{}); p.CgroupOwner != nil {
				got = int(*p.CgroupOwner)
			}
			if got != test.want {
				t.Errorf("owner %d, want %d", got, test.want)
			}
		})
	}
}
