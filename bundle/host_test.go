package bundle

import (
	"errors"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A hostRow is a configuration on a machine.
type hostRow struct {
	row
	host Host
}

var hostRows = []hostRow{
	{row: row{name: "rootless", edit: func(s *specs.Spec) { addUserNS(s, 1) }}, host: Host{Rootless: true}},
	{row: row{name: "rootless without user namespace", edit: func(s *specs.Spec) {}, path: "linux.namespaces"}, host: Host{Rootless: true}},
	{row: row{name: "rootless in a joined user namespace", edit: func(s *specs.Spec) { addNS(s, specs.UserNamespace, otherUserNS) }}, host: Host{Rootless: true}},
	{row: row{name: "rootless with network device", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		netDevices(map[string]specs.LinuxNetDevice{"eth0": {}})(s)
	}, path: "linux.netDevices"}, host: Host{Rootless: true}},
	{row: row{name: "rootless with idmap", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", "idmap"}})(s)
	}, path: "mounts[0].options"}, host: Host{Rootless: true}},
	{row: row{name: "rootless with owner", edit: func(s *specs.Spec) {
		addUserNS(s, 5)
		mount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"uid=4", "gid=0"}})(s)
	}}, host: Host{Rootless: true}},
	{row: row{name: "rootless with unmapped owner", edit: func(s *specs.Spec) {
		addUserNS(s, 5)
		mount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"uid=5"}})(s)
	}, path: "mounts[0].options[0]"}, host: Host{Rootless: true}},
	{row: row{name: "rootless with unmapped group", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		mount(specs.Mount{Destination: "/a", Type: "devpts", Options: []string{"newinstance", "gid=5"}})(s)
	}, path: "mounts[0].options[1]"}, host: Host{Rootless: true}},
	{row: row{name: "rootless with an owner in words", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		mount(specs.Mount{Destination: "/a", Type: "devpts", Options: []string{"gid=tty"}})(s)
	}}, host: Host{Rootless: true}},
	{row: row{name: "root with unmapped owner", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		mount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"uid=5"}})(s)
	}}},
	{row: row{name: "root with groups", edit: func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{5} }}},
	{row: row{name: "selinux label without selinux", edit: func(s *specs.Spec) { s.Process.SelinuxLabel = "a" }, path: "process.selinuxLabel"}},
	{row: row{name: "unified without v2", edit: resources(specs.LinuxResources{Unified: map[string]string{"a.b": ""}}), path: "linux.resources.unified"}},
	{row: row{name: "sysctl of the host's net", edit: sysctl("net.core.somaxconn", "1", func(s *specs.Spec) {
		dropNS(s, specs.NetworkNamespace)
		addNS(s, specs.NetworkNamespace, "/proc/self/ns/net")
	}), path: `linux.sysctl["net.core.somaxconn"]`}, host: Host{SameNetNS: func(string) (bool, error) { return true, nil }}},
	{row: row{name: "sysctl of a net that is not there", edit: sysctl("net.core.somaxconn", "1", func(s *specs.Spec) {
		dropNS(s, specs.NetworkNamespace)
		addNS(s, specs.NetworkNamespace, "/no/such/ns")
	}), path: "linux.namespaces[4].path"}, host: Host{SameNetNS: func(string) (bool, error) { return false, unix.ENOENT }}},
	{row: row{name: "sysctl of ipc in the host's net", edit: sysctl("kernel.shmmax", "1", func(s *specs.Spec) {
		dropNS(s, specs.NetworkNamespace)
		addNS(s, specs.NetworkNamespace, "/proc/self/ns/net")
	})}, host: Host{SameNetNS: func(string) (bool, error) { return true, nil }}},
}

func TestValidateOn(t *testing.T) {
	rows := append([]hostRow{
		{row: row{name: "selinux label", edit: func(s *specs.Spec) { s.Process.SelinuxLabel = "a" }}, host: Host{SELinux: true}},
		{row: row{name: "unified", edit: resources(specs.LinuxResources{Unified: map[string]string{"a.b": ""}})}, host: Host{CgroupV2: true}},
		{row: row{name: "swap without memory on v2", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: new(int64(1))}}), path: "linux.resources.memory.swap"}, host: Host{CgroupV2: true}},
		{row: row{name: "swap without memory on v1", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Swap: new(int64(1))}})}},
		{row: row{name: "sysctl of another net", edit: sysctl("net.core.somaxconn", "1", func(s *specs.Spec) {
			dropNS(s, specs.NetworkNamespace)
			addNS(s, specs.NetworkNamespace, "/run/netns/a")
		})}, host: Host{SameNetNS: func(string) (bool, error) { return false, nil }}},
	}, hostRows...)
	rows = append(rows, joinedRows...)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			s := r.spec()
			if err := Validate(s); err != nil {
				t.Fatalf("refused before the machine is looked at: %v", err)
			}
			err := ValidateOn(s, r.host)
			if r.path == "" && err != nil {
				t.Fatalf("refused: %v", err)
			}
			if r.path != "" {
				checkRefused(t, r.row, err)
			}
		})
	}
}

func TestValidateOnKeepsTheErrno(t *testing.T) {
	s := baseSpec()
	sysctl("net.x", "1", func(s *specs.Spec) {
		dropNS(s, specs.NetworkNamespace)
		addNS(s, specs.NetworkNamespace, "/x")
	})(s)
	err := ValidateOn(s, Host{SameNetNS: func(path string) (bool, error) {
		return false, &os.PathError{Op: "stat", Path: path, Err: unix.EACCES}
	}})
	if !errors.Is(err, unix.EACCES) || err.Error() != "config.json: linux.namespaces[4].path: /x: EACCES (13)" {
		t.Errorf("got %v", err)
	}
}

// joinedRows have a user namespace to join, with the mappings of addUserNS(10).
var joinedRows = []hostRow{
	{row: row{name: "joined user namespace", edit: func(s *specs.Spec) { addNS(s, specs.UserNamespace, otherUserNS) }}, host: joinable(10)},
	{row: row{name: "joined user namespace with its mappings", edit: func(s *specs.Spec) { joinUserNS(s, 10) }}, host: joinable(10)},
	{row: row{name: "joined user namespace with other users", edit: func(s *specs.Spec) {
		joinUserNS(s, 10)
		s.Linux.UIDMappings[0].Size = 9
	}, path: "linux.uidMappings"}, host: joinable(10)},
	{row: row{name: "joined user namespace with other groups", edit: func(s *specs.Spec) {
		joinUserNS(s, 10)
		s.Linux.GIDMappings = nil
	}, path: "linux.gidMappings"}, host: joinable(10)},
	{row: row{name: "joined user namespace without root", edit: func(s *specs.Spec) { addNS(s, specs.UserNamespace, otherUserNS) }, path: "linux.namespaces"}, host: joinable(0)},
	{row: row{name: "joined user namespace without the user", edit: func(s *specs.Spec) {
		addNS(s, specs.UserNamespace, otherUserNS)
		s.Process.User.UID = 10
	}, path: "process.user.uid", reason: otherUserNS}, host: joinable(10)},
	{row: row{name: "joined user namespace that is not there", edit: func(s *specs.Spec) { addNS(s, specs.UserNamespace, otherUserNS) }, path: "linux.namespaces[5].path", reason: "ENOENT (2)"}, host: Host{
		UserNSMaps: func(string) ([]specs.LinuxIDMapping, []specs.LinuxIDMapping, error) { return nil, nil, unix.ENOENT },
	}},
}

// joinable is a host whose user namespaces have size ids.
func joinable(size uint32) Host {
	s := baseSpec()
	addUserNS(s, size)
	return Host{UserNSMaps: func(string) ([]specs.LinuxIDMapping, []specs.LinuxIDMapping, error) {
		return s.Linux.UIDMappings, s.Linux.GIDMappings, nil
	}}
}

// joinUserNS joins a user namespace and says its mappings too, as containerd does.
func joinUserNS(s *specs.Spec, size uint32) {
	addUserNS(s, size)
	dropNS(s, specs.UserNamespace)
	addNS(s, specs.UserNamespace, otherUserNS)
}

func TestSameMappings(t *testing.T) {
	a := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 5, Size: 1}, {ContainerID: 1, HostID: 9, Size: 1}}
	b := []specs.LinuxIDMapping{a[1], a[0]}
	if !sameMappings(a, b) || sameMappings(a, a[:1]) || sameMappings(a, nil) || !sameMappings(nil, []specs.LinuxIDMapping{}) {
		t.Error("two maps are the same when they hold the same lines")
	}
	if b[0] != a[1] {
		t.Error("the maps were sorted in place")
	}
}
