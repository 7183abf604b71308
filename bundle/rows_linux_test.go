package bundle

import (
	"math"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var namespaceRows = []row{
	{name: "every namespace", edit: func(s *specs.Spec) {
		addUserNS(s, 65536)
		addNS(s, specs.CgroupNamespace, "")
		addNS(s, specs.TimeNamespace, "")
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: -5, Nanosecs: 999999999}, "monotonic": {Secs: 7}}
	}},
	{name: "no namespace", edit: func(s *specs.Spec) { s.Linux.Namespaces = nil }},
	{name: "namespace unknown", edit: func(s *specs.Spec) { addNS(s, "foo", "") }, path: "linux.namespaces[5].type", reason: `unknown namespace "foo"`},
	{name: "namespace without type", edit: func(s *specs.Spec) { addNS(s, "", "") }, path: "linux.namespaces[5].type"},
	{name: "namespace by its short name", edit: func(s *specs.Spec) { addNS(s, "net", "") }, path: "linux.namespaces[5].type"},
	{name: "namespace twice", edit: func(s *specs.Spec) { addNS(s, specs.PIDNamespace, "") }, path: "linux.namespaces[5].type", reason: "linux.namespaces[0]"},
	{name: "namespace joined and new", edit: func(s *specs.Spec) { addNS(s, specs.PIDNamespace, "/proc/1/ns/pid") }, path: "linux.namespaces[5].type"},
	{name: "namespace joined", edit: func(s *specs.Spec) { addNS(s, specs.CgroupNamespace, "/proc/1/ns/cgroup") }},
	{name: "namespace with relative path", edit: func(s *specs.Spec) { addNS(s, specs.CgroupNamespace, "ns/cgroup") }, path: "linux.namespaces[5].path", differs: specAbs},
	{name: "namespace path with zero byte", edit: func(s *specs.Spec) { addNS(s, specs.CgroupNamespace, "/a\x00b") }, path: "linux.namespaces[5].path", differs: runcStart},

	{name: "user namespace", edit: func(s *specs.Spec) { addUserNS(s, 1) }},
	{name: "user namespace of all ids", edit: func(s *specs.Spec) {
		addUserNS(s, math.MaxUint32)
		s.Linux.UIDMappings[0].HostID, s.Linux.GIDMappings[0].HostID = 0, 0
	}},
	{name: "user namespace without mappings", edit: func(s *specs.Spec) { addNS(s, specs.UserNamespace, "") }, path: "linux.uidMappings", reason: "missing"},
	{name: "user namespace without group mappings", edit: func(s *specs.Spec) { addUserNS(s, 1); s.Linux.GIDMappings = nil }, path: "linux.gidMappings", reason: "missing"},
	{name: "user mappings without namespace", edit: func(s *specs.Spec) { addUserNS(s, 1); dropNS(s, specs.UserNamespace) }, warn: "linux.uidMappings"},
	{name: "group mappings without namespace", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		dropNS(s, specs.UserNamespace)
		s.Linux.UIDMappings = nil
	}, warn: "linux.gidMappings"},
	{name: "user 0 not mapped", edit: func(s *specs.Spec) { addUserNS(s, 1); s.Linux.UIDMappings[0].ContainerID = 1 }, path: "linux.uidMappings", reason: "user 0"},
	{name: "group 0 not mapped", edit: func(s *specs.Spec) { addUserNS(s, 1); s.Linux.GIDMappings[0].ContainerID = 1 }, path: "linux.gidMappings", reason: "group 0"},
	{name: "mapping of nothing", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 5, HostID: 5})
	}, path: "linux.uidMappings[1].size", differs: kernelWill},
	{name: "mapping beyond the end in the container", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		s.Linux.GIDMappings = append(s.Linux.GIDMappings, specs.LinuxIDMapping{ContainerID: math.MaxUint32, HostID: 5, Size: 1})
	}, path: "linux.gidMappings[1].size", differs: kernelWill},
	{name: "mapping beyond the end on the host", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		s.Linux.GIDMappings[0].HostID = math.MaxUint32
	}, path: "linux.gidMappings[0].size", reason: "on the host", differs: kernelWill},
	{name: "mappings that overlap in the container", edit: func(s *specs.Spec) {
		addUserNS(s, 10)
		s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 9, HostID: 5, Size: 2})
	}, path: "linux.uidMappings[1].containerID", reason: "linux.uidMappings[0]", differs: kernelWill},
	{name: "mappings that overlap on the host", edit: func(s *specs.Spec) {
		addUserNS(s, 10)
		s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 10, HostID: 99999, Size: 2})
	}, path: "linux.uidMappings[1].hostID", differs: kernelWill},
	{name: "mappings side by side", edit: func(s *specs.Spec) {
		addUserNS(s, 10)
		s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 10, HostID: 100010, Size: 2})
	}},
	{name: "more mappings than fit", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		for i := range uint32(340) {
			s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 1 + i, HostID: 1 + i, Size: 1})
		}
	}, path: "linux.uidMappings", reason: "341 mappings", differs: kernelWill},
	{name: "user namespace joined", edit: func(s *specs.Spec) { addNS(s, specs.UserNamespace, otherUserNS) }},
	{name: "user namespace joined with mappings", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		dropNS(s, specs.UserNamespace)
		addNS(s, specs.UserNamespace, otherUserNS)
	}, warn: "linux.uidMappings"},
	{name: "user namespace joined with other mappings", edit: func(s *specs.Spec) {
		addUserNS(s, 2)
		dropNS(s, specs.UserNamespace)
		addNS(s, specs.UserNamespace, otherUserNS)
	}, warn: "linux.uidMappings", differs: "libcontainer opens the namespace and compares; this room touches no host"},

	{name: "time offsets without namespace", edit: func(s *specs.Spec) {
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}}
	}, path: "linux.timeOffsets"},
	{name: "time offsets of a joined namespace", edit: func(s *specs.Spec) {
		addNS(s, specs.TimeNamespace, "/proc/1/ns/time")
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}}
	}, path: "linux.timeOffsets"},
	{name: "time offset of another clock", edit: func(s *specs.Spec) {
		addNS(s, specs.TimeNamespace, "")
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {Secs: 1}}
	}, path: `linux.timeOffsets["realtime"]`, reason: "unknown clock", differs: kernelWill},
	{name: "time offset of a whole second", edit: func(s *specs.Spec) {
		addNS(s, specs.TimeNamespace, "")
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Nanosecs: 1e9}}
	}, path: `linux.timeOffsets["boottime"].nanosecs`, differs: kernelWill},
}

var sysctlRows = []row{
	{name: "sysctl of ipc", edit: sysctl("kernel.shmmax", "1")},
	{name: "sysctl of message queues", edit: sysctl("fs.mqueue.msg_max", "1")},
	{name: "sysctl of ipc without namespace", edit: sysctl("kernel.shm_rmid_forced", "1", func(s *specs.Spec) { dropNS(s, specs.IPCNamespace) }), path: `linux.sysctl["kernel.shm_rmid_forced"]`, reason: "ipc namespace"},
	{name: "sysctl of message queues without namespace", edit: sysctl("fs.mqueue.msg_max", "1", func(s *specs.Spec) { dropNS(s, specs.IPCNamespace) }), path: `linux.sysctl["fs.mqueue.msg_max"]`},
	{name: "sysctl of net", edit: sysctl("net.ipv4.ip_forward", "1")},
	{name: "sysctl of net with slashes", edit: sysctl("net/ipv4/ip_forward", "1")},
	{name: "sysctl of a device with a dot", edit: sysctl("net/ipv4/conf/eth0.100/forwarding", "1")},
	{name: "sysctl of a device with a slash", edit: sysctl("net.ipv4.conf.eth0/100.forwarding", "1")},
	{name: "sysctl of net without namespace", edit: sysctl("net.core.somaxconn", "1", func(s *specs.Spec) { dropNS(s, specs.NetworkNamespace) }), path: `linux.sysctl["net.core.somaxconn"]`, reason: "network namespace"},
	{name: "sysctl of net with slashes without namespace", edit: sysctl("net/core/somaxconn", "1", func(s *specs.Spec) { dropNS(s, specs.NetworkNamespace) }), path: `linux.sysctl["net/core/somaxconn"]`},
	{name: "sysctl that climbs", edit: sysctl("net/../kernel/core_pattern", "1"), path: `linux.sysctl["net/../kernel/core_pattern"]`, reason: "not the name", differs: "runc makes slashes of the dots, and meets a file that is not there"},
	{name: "sysctl that climbs with dots", edit: sysctl("net.//.kernel.core_pattern", "1"), path: `linux.sysctl["net.//.kernel.core_pattern"]`, differs: "runc makes slashes of the dots, and meets a file that is not there"},
	{name: "sysctl with an empty part", edit: sysctl("net..x", "1"), path: `linux.sysctl["net..x"]`, differs: "runc meets a file that is not there"},
	{name: "sysctl value with zero byte", edit: sysctl("net.x", "1\x00"), path: `linux.sysctl["net.x"]`, differs: kernelWill},
	{name: "sysctl of the domain name", edit: sysctl("kernel.domainname", "x")},
	{name: "sysctl of the domain name without namespace", edit: sysctl("kernel.domainname", "x", func(s *specs.Spec) { dropNS(s, specs.UTSNamespace) }), path: `linux.sysctl["kernel.domainname"]`},
	{name: "sysctl of the host name", edit: sysctl("kernel.hostname", "x"), path: `linux.sysctl["kernel.hostname"]`, reason: "hostname"},
	{name: "sysctl of the host name without namespace", edit: sysctl("kernel.hostname", "x", func(s *specs.Spec) { dropNS(s, specs.UTSNamespace) }), path: `linux.sysctl["kernel.hostname"]`},
	{name: "sysctl of the user namespace", edit: sysctl("user.max_user_namespaces", "1", func(s *specs.Spec) { addUserNS(s, 1) })},
	{name: "sysctl of the user namespace without one", edit: sysctl("user.max_user_namespaces", "1"), path: `linux.sysctl["user.max_user_namespaces"]`},
	{name: "sysctl of the host", edit: sysctl("kernel.core_pattern", "|/x"), path: `linux.sysctl["kernel.core_pattern"]`, reason: "change the host"},
	{name: "sysctl of virtual memory", edit: sysctl("vm.swappiness", "1"), path: `linux.sysctl["vm.swappiness"]`},
	{name: "sysctl without name", edit: sysctl("", "1"), path: `linux.sysctl[""]`},
}

var deviceRows = []row{
	{name: "device of each kind", edit: func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: mode(0o666), UID: new(uint32(5)), GID: new(uint32(5))},
			{Path: "/dev/sda", Type: "b", Major: 8, Minor: 0},
			{Path: "/dev/u", Type: "u", Major: 1, Minor: 3},
			{Path: "/opt/pipe", Type: "p"},
		}
	}},
	{name: "device without type", edit: withDevice(specs.LinuxDevice{Path: "/dev/x"}), path: "linux.devices[0].type", reason: "missing"},
	{name: "device of another type", edit: withDevice(specs.LinuxDevice{Path: "/dev/x", Type: "a"}), path: "linux.devices[0].type"},
	{name: "device without path", edit: withDevice(specs.LinuxDevice{Type: "p"}), path: "linux.devices[0].path", differs: "runc makes no device at all, in silence"},
	{name: "device with relative path", edit: withDevice(specs.LinuxDevice{Type: "p", Path: "dev/x"}), path: "linux.devices[0].path", differs: "the specification wants the full path in the container"},
	{name: "device at the root", edit: withDevice(specs.LinuxDevice{Type: "p", Path: "/."}), path: "linux.devices[0].path", differs: runcStart},
	{name: "device with negative major", edit: withDevice(specs.LinuxDevice{Type: "c", Path: "/dev/x", Major: -1}), path: "linux.devices[0].major", differs: runcStart},
	{name: "device with large major", edit: withDevice(specs.LinuxDevice{Type: "c", Path: "/dev/x", Major: 4096}), path: "linux.devices[0].major", differs: "mknod(2) would make another device"},
	{name: "device with large minor", edit: withDevice(specs.LinuxDevice{Type: "b", Path: "/dev/x", Minor: 1 << 20}), path: "linux.devices[0].minor", differs: "mknod(2) would make another device"},
	{name: "device with the largest numbers", edit: withDevice(specs.LinuxDevice{Type: "b", Path: "/dev/x", Major: 4095, Minor: 1<<20 - 1})},
	{name: "pipe with numbers", edit: withDevice(specs.LinuxDevice{Type: "p", Path: "/dev/x", Major: -1, Minor: -1})},
	{name: "device twice", edit: func(s *specs.Spec) {
		withDevice(specs.LinuxDevice{Type: "c", Path: "/dev/x", Minor: 1})(s)
		withDevice(specs.LinuxDevice{Type: "u", Path: "/dev//x", Minor: 1})(s)
	}},
	{name: "two devices at a path", edit: func(s *specs.Spec) {
		withDevice(specs.LinuxDevice{Type: "c", Path: "/dev/x", Minor: 1})(s)
		withDevice(specs.LinuxDevice{Type: "c", Path: "/dev//x", Minor: 2})(s)
	}, path: "linux.devices[1].path", reason: "linux.devices[0]", differs: specMust},
	{name: "device owned by -1", edit: withDevice(specs.LinuxDevice{Type: "p", Path: "/dev/x", UID: new(uint32(math.MaxUint32))}), path: "linux.devices[0].uid", differs: "chown(2) would leave the owner as it is"},
	{name: "device of group -1", edit: withDevice(specs.LinuxDevice{Type: "p", Path: "/dev/x", GID: new(uint32(math.MaxUint32))}), path: "linux.devices[0].gid", differs: "chown(2) would leave the group as it is"},
	{name: "device with the type in its mode", edit: withDevice(specs.LinuxDevice{Type: "c", Path: "/dev/x", FileMode: mode(0o020666)})},
	{name: "device with Go's mode", edit: withDevice(specs.LinuxDevice{Type: "c", Path: "/dev/x", FileMode: mode(1<<26 | 0o666)}), warn: "linux.devices[0].fileMode"},

	{name: "device rules", edit: resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
		{Access: "rwm"},
		{Allow: true, Type: "a", Access: "m"},
		{Allow: true, Type: "c", Major: new(int64(10)), Minor: new(int64(229)), Access: "rw"},
		{Allow: true, Type: "b", Major: new(int64(8)), Minor: new(int64(-1)), Access: "r"},
	}})},
	{name: "device rule of another type", edit: resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Type: "p", Access: "r"}}}), path: "linux.resources.devices[0].type"},
	{name: "device rule without access", edit: resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "r"}, {Type: "c"}}}), path: "linux.resources.devices[1].access"},
	{name: "device rule with another access", edit: resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rx"}}}), path: "linux.resources.devices[0].access", differs: runcStart},
	{name: "device rule with negative number", edit: resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "r", Major: new(int64(-2))}}}), path: "linux.resources.devices[0].major", differs: kernelWill},
	{name: "device rule with large number", edit: resources(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "r", Minor: new(int64(1 << 32))}}}), path: "linux.resources.devices[0].minor", differs: runcStart},
}

var linuxRows = []row{
	{name: "propagation", edit: func(s *specs.Spec) { s.Linux.RootfsPropagation = "slave" }},
	{name: "recursive propagation", edit: func(s *specs.Spec) { s.Linux.RootfsPropagation = "rshared" }},
	{name: "propagation unknown", edit: func(s *specs.Spec) { s.Linux.RootfsPropagation = "ro" }, path: "linux.rootfsPropagation"},
	{name: "propagation without namespace", edit: func(s *specs.Spec) {
		dropNS(s, specs.MountNamespace)
		s.Linux.RootfsPropagation = "slave"
	}, path: "linux.rootfsPropagation", differs: hostMounts},
	{name: "masked and read-only paths", edit: func(s *specs.Spec) {
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/proc/kcore"}, []string{"/proc/sys"}
	}},
	{name: "masked paths without namespace", edit: func(s *specs.Spec) {
		dropNS(s, specs.MountNamespace)
		s.Linux.MaskedPaths = []string{"/proc/kcore"}
	}, path: "linux.maskedPaths"},
	{name: "read-only paths without namespace", edit: func(s *specs.Spec) {
		dropNS(s, specs.MountNamespace)
		s.Linux.ReadonlyPaths = []string{"/proc/sys"}
	}, path: "linux.readonlyPaths"},
	{name: "masked path relative", edit: func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/a", "proc/kcore"} }, path: "linux.maskedPaths[1]", differs: specAbs},
	{name: "read-only path empty", edit: func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{""} }, path: "linux.readonlyPaths[0]", differs: specAbs},
	{name: "cgroups path", edit: func(s *specs.Spec) { s.Linux.CgroupsPath = "/a/../b" }},
	{name: "cgroups path of two lines", edit: func(s *specs.Spec) { s.Linux.CgroupsPath = "a\nb" }, path: "linux.cgroupsPath", differs: "a name that /proc/PID/cgroup cannot tell"},
	{name: "mount label", edit: func(s *specs.Spec) { s.Linux.MountLabel = "system_u:object_r:container_file_t:s0:c1,c2" }},
	{name: "mount label of two lines", edit: func(s *specs.Spec) { s.Linux.MountLabel = "a\nb" }, path: "linux.mountLabel", differs: kernelWill},

	{name: "network devices", edit: netDevices(map[string]specs.LinuxNetDevice{"eth0": {}, "eth1": {Name: "eth%d"}, "eth2": {Name: "eth%d"}})},
	{name: "network devices without namespace", edit: func(s *specs.Spec) {
		dropNS(s, specs.NetworkNamespace)
		netDevices(map[string]specs.LinuxNetDevice{"eth0": {}})(s)
	}, path: "linux.netDevices"},
	{name: "network device with a slash", edit: netDevices(map[string]specs.LinuxNetDevice{"a/b": {}}), path: `linux.netDevices["a/b"]`},
	{name: "network device named for the parent", edit: netDevices(map[string]specs.LinuxNetDevice{"eth0": {Name: ".."}}), path: `linux.netDevices["eth0"].name`},
	{name: "network device with a long name", edit: netDevices(map[string]specs.LinuxNetDevice{"eth0": {Name: "a234567890123456"}}), path: `linux.netDevices["eth0"].name`, differs: "the kernel's names end with a zero byte, for which runc leaves no room"},
	{name: "network devices of the same name", edit: netDevices(map[string]specs.LinuxNetDevice{"eth0": {}, "eth1": {Name: "eth0"}}), path: `linux.netDevices["eth1"].name`, differs: specMust},

	{name: "rdt", edit: rdt(specs.LinuxIntelRdt{ClosID: "/", L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20", Schemata: []string{"L2:0=f"}, EnableMonitoring: true}), differs: hostLacks},
	{name: "rdt with a path", edit: rdt(specs.LinuxIntelRdt{ClosID: "a/b"}), path: "linux.intelRdt.closID"},
	{name: "rdt named for the parent", edit: rdt(specs.LinuxIntelRdt{ClosID: ".."}), path: "linux.intelRdt.closID"},
	{name: "rdt id of two lines", edit: rdt(specs.LinuxIntelRdt{ClosID: "a\nb"}), path: "linux.intelRdt.closID"},
	{name: "rdt cache schema of two lines", edit: rdt(specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f\nMB:0=1"}), path: "linux.intelRdt.l3CacheSchema"},
	{name: "rdt cache schema without name", edit: rdt(specs.LinuxIntelRdt{L3CacheSchema: "0=f"}), warn: "linux.intelRdt.l3CacheSchema", differs: hostLacks},
	{name: "rdt bandwidth schema without name", edit: rdt(specs.LinuxIntelRdt{MemBwSchema: "0=20"}), path: "linux.intelRdt.memBwSchema"},
	{name: "rdt bandwidth schema of two lines", edit: rdt(specs.LinuxIntelRdt{MemBwSchema: "MB:0=1\n"}), path: "linux.intelRdt.memBwSchema"},
	{name: "rdt schemata of two lines", edit: rdt(specs.LinuxIntelRdt{Schemata: []string{"a", "b\n"}}), path: "linux.intelRdt.schemata[1]"},

	{name: "memory policy", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0-1", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}})},
	{name: "memory policy default", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolDefault})},
	{name: "memory policy preferred without nodes", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred})},
	{name: "memory policy without mode", edit: policy(specs.LinuxMemoryPolicy{}), path: "linux.memoryPolicy.mode", reason: "missing"},
	{name: "memory policy unknown", edit: policy(specs.LinuxMemoryPolicy{Mode: "MPOL_FOO"}), path: "linux.memoryPolicy.mode"},
	{name: "memory policy default with nodes", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolDefault, Nodes: "0"}), path: "linux.memoryPolicy.nodes", reason: "takes none"},
	{name: "memory policy local with nodes", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolLocal, Nodes: "0"}), path: "linux.memoryPolicy.nodes"},
	{name: "memory policy bind without nodes", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind}), path: "linux.memoryPolicy.nodes", reason: "at least one"},
	{name: "memory policy weighted without nodes", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolWeightedInterleave}), path: "linux.memoryPolicy.nodes"},
	{name: "memory policy with words for nodes", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "x"}), path: "linux.memoryPolicy.nodes"},
	{name: "memory policy flag unknown", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{"MPOL_F_FOO"}}), path: "linux.memoryPolicy.flags[0]"},
	{name: "memory policy flags that exclude each other", edit: policy(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: memoryPolicyFlags}), path: "linux.memoryPolicy.flags", differs: kernelWill},

	{name: "personality", edit: func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }},
	{name: "personality without domain", edit: func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{} }, path: "linux.personality.domain"},
	{name: "personality with flags", edit: func(s *specs.Spec) {
		s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux, Flags: []specs.LinuxPersonalityFlag{"x"}}
	}},
}

func netDevices(m map[string]specs.LinuxNetDevice) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.NetDevices = m }
}

func rdt(r specs.LinuxIntelRdt) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.IntelRdt = &r }
}

func policy(p specs.LinuxMemoryPolicy) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.MemoryPolicy = &p }
}
