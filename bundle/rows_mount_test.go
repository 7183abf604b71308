package bundle

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/plan"
)

var idMap = []specs.LinuxIDMapping{{HostID: 5, Size: 1}}

const runcMounts = "runc refuses it too, when it mounts"

var mountRows = []row{
	{name: "default mounts", edit: func(s *specs.Spec) { s.Mounts = defaultMounts() }},
	{name: "mount with every option", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs", Source: "x", Options: withoutBinds(plan.MountOptions())})},
	{name: "bind with every option", edit: func(s *specs.Spec) {
		mount(specs.Mount{Destination: "/a", Source: "/x", Options: plan.MountOptions()})(s)
		addUserNS(s, 1)
	}, differs: "runc takes defaults, which the specification demands, for an option of the file system"},
	{name: "mount with options of the file system", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"size=1m", "mode=755", "foo"}})},
	{name: "mount with an empty option", edit: mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", ""}})},
	{name: "mount without destination", edit: mount(specs.Mount{Type: "tmpfs"}), path: "mounts[0].destination", reason: "missing", differs: runcMounts},
	{name: "mount with relative destination", edit: mount(specs.Mount{Destination: "a", Type: "tmpfs"})},
	{name: "mount with zero byte in destination", edit: mount(specs.Mount{Destination: "/a\x00", Type: "tmpfs"}), path: "mounts[0].destination"},
	{name: "mount with zero byte in source", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs", Source: "\x00"}), path: "mounts[0].source"},
	{name: "mount with zero byte in type", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs\x00"}), path: "mounts[0].type"},
	{name: "mount with zero byte in option", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"ro", "x\x00"}}), path: "mounts[0].options[1]", differs: runcMounts},
	{name: "mount without type", edit: mount(specs.Mount{Destination: "/a", Options: []string{"ro"}}), path: "mounts[0].type", differs: kernelWill},
	{name: "mount of type none", edit: mount(specs.Mount{Destination: "/a", Type: "none"}), path: "mounts[0].type", differs: kernelWill},
	{name: "mount of type bind alone", edit: mount(specs.Mount{Destination: "/a", Type: "bind", Source: "/x"})},
	{name: "remount without type", edit: mount(specs.Mount{Destination: "/a", Options: []string{"remount", "ro"}})},
	{name: "mount on the root", edit: mount(specs.Mount{Destination: "/a/..", Type: "tmpfs"}), path: "mounts[0].destination", reason: "root itself", differs: runcMounts},
	{name: "bind", edit: mount(specs.Mount{Destination: "/a", Source: "x", Options: []string{"rbind", "ro", "rprivate", "rnosuid"}})},
	{name: "bind of any type", edit: mount(specs.Mount{Destination: "/a", Type: "ext4", Source: "x", Options: []string{"bind"}})},
	{name: "bind without source", edit: mount(specs.Mount{Destination: "/a", Options: []string{"bind"}}), path: "mounts[0].source", differs: "runc takes the bundle itself, with its config.json"},
	{name: "bind with options of the file system", edit: mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", "size=1m"}}), path: "mounts[0].options", reason: "size=1m"},
	{name: "copy up", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"tmpcopyup"}})},
	{name: "copy up of another type", edit: mount(specs.Mount{Destination: "/a", Type: "sysfs", Options: []string{"tmpcopyup"}})},
	{name: "mounts without namespace", edit: func(s *specs.Spec) {
		dropNS(s, specs.MountNamespace)
		mount(specs.Mount{Destination: "/a", Type: "tmpfs"})(s)
	}, warn: "mounts"},

	{name: "proc", edit: mount(specs.Mount{Destination: "/proc", Type: "proc"})},
	{name: "bind on proc", edit: mount(specs.Mount{Destination: "/proc", Source: "/proc", Options: []string{"rbind"}})},
	{name: "tmpfs on proc", edit: mount(specs.Mount{Destination: "/x/../proc/", Type: "tmpfs"}), path: "mounts[0].destination", reason: "procfs", differs: runcMounts},
	{name: "bind inside proc", edit: mount(specs.Mount{Destination: "/proc/self/attr", Source: "/x", Options: []string{"bind"}}), path: "mounts[0].destination", reason: "inside /proc", differs: runcMounts},
	{name: "relative bind inside proc", edit: mount(specs.Mount{Destination: "proc/sys", Source: "/x", Options: []string{"bind"}}), path: "mounts[0].destination", differs: runcMounts},
	{name: "lxcfs", edit: mount(specs.Mount{Destination: "/proc/meminfo", Source: "/x", Options: []string{"bind"}})},
	{name: "below lxcfs", edit: mount(specs.Mount{Destination: "/proc/meminfo/x", Source: "/x", Options: []string{"bind"}}), path: "mounts[0].destination", differs: runcMounts},
	{name: "remount of proc", edit: mount(specs.Mount{Destination: "/proc/sys", Options: []string{"remount", "bind", "ro"}})},
	{name: "a name that starts like proc", edit: mount(specs.Mount{Destination: "/proc2", Type: "tmpfs"})},

	{name: "idmap with mappings", edit: mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", "idmap"}, UIDMappings: idMap, GIDMappings: idMap})},
	{name: "mappings without idmap", edit: mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"rbind"}, UIDMappings: idMap, GIDMappings: idMap})},
	{name: "idmap of the user namespace", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"rbind", "ridmap"}})(s)
	}},
	{name: "idmap of a joined user namespace", edit: func(s *specs.Spec) {
		addNS(s, specs.UserNamespace, otherUserNS)
		mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"rbind", "ridmap"}})(s)
	}},
	{name: "idmap without mappings", edit: mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", "idmap"}}), path: "mounts[0].uidMappings"},
	{name: "idmap with user mappings alone", edit: mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind", "idmap"}, UIDMappings: idMap}), path: "mounts[0].gidMappings"},
	{name: "idmap with group mappings alone", edit: func(s *specs.Spec) {
		addUserNS(s, 1)
		mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind"}, GIDMappings: idMap})(s)
	}, path: "mounts[0].uidMappings"},
	{name: "idmap of a tmpfs", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"idmap"}, UIDMappings: idMap, GIDMappings: idMap}), path: "mounts[0].options"},
	{name: "mappings of a tmpfs", edit: mount(specs.Mount{Destination: "/a", Type: "tmpfs", UIDMappings: idMap, GIDMappings: idMap}), path: "mounts[0].options"},
	{name: "idmap of nothing", edit: mount(specs.Mount{Destination: "/a", Source: "/x", Options: []string{"bind"}, UIDMappings: idMap, GIDMappings: []specs.LinuxIDMapping{{}}}), path: "mounts[0].gidMappings[0].size", differs: kernelWill},
	{name: "idmap of another mount", edit: func(s *specs.Spec) {
		mount(specs.Mount{Destination: "/a", Type: "tmpfs"})(s)
		mount(specs.Mount{Destination: "/b", Source: "/x", Options: []string{"bind", "idmap"}})(s)
	}, path: "mounts[1].uidMappings"},
}

// withoutBinds leaves out what makes a mount something else.
func withoutBinds(options []string) []string {
	var rest []string
	for _, o := range options {
		switch o {
		case "bind", "rbind", "remount", "idmap", "ridmap":
		default:
			rest = append(rest, o)
		}
	}
	return rest
}

var resourceRows = []row{
	{name: "resources", edit: resources(specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: new(int64(1 << 30)), Reservation: new(int64(1 << 29)), Swap: new(int64(-1)), Swappiness: new(uint64(100)), DisableOOMKiller: new(true), UseHierarchy: new(true), CheckBeforeUpdate: new(true)},
		CPU:     &specs.LinuxCPU{Shares: new(uint64(1024)), Quota: new(int64(100000)), Burst: new(uint64(100000)), Period: new(uint64(100000)), RealtimeRuntime: new(int64(950000)), RealtimePeriod: new(uint64(1000000)), Cpus: "0-1", Mems: "0", Idle: new(int64(0))},
		Pids:    &specs.LinuxPids{Limit: new(int64(0))},
		Network: &specs.LinuxNetwork{ClassID: new(uint32(1)), Priorities: []specs.LinuxInterfacePriority{{Name: "eth0", Priority: 1}}},
		BlockIO: &specs.LinuxBlockIO{Weight: new(uint16(10)), LeafWeight: new(uint16(1000)), WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8}, Weight: new(uint16(500))}}, ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8, Minor: 16}, Rate: 1}}},
		Rdma:    map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: new(uint32(3))}},
		HugepageLimits: []specs.LinuxHugepageLimit{
			{Pagesize: "2MB", Limit: 1}, {Pagesize: "64KB"}, {Pagesize: "1GB"},
		},
	})},
	{name: "memory below -1", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(-2))}}), path: "linux.resources.memory.limit", differs: kernelWill},
	{name: "reservation below -1", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Reservation: new(int64(-2))}}), path: "linux.resources.memory.reservation", differs: kernelWill},
	{name: "swap smaller than memory", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(2)), Swap: new(int64(1))}}), path: "linux.resources.memory.swap", differs: kernelWill},
	{name: "swap and memory without limit", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: new(int64(-1)), Swap: new(int64(1))}})},
	{name: "swappiness too large", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: new(uint64(101))}}), path: "linux.resources.memory.swappiness", differs: runcStart},
	{name: "swappiness of -1", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: new(^uint64(0))}})},
	{name: "kernel memory", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{Kernel: new(int64(-1))}}), warn: "linux.resources.memory.kernel"},
	{name: "accounting without hierarchy", edit: resources(specs.LinuxResources{Memory: &specs.LinuxMemory{UseHierarchy: new(false)}}), warn: "linux.resources.memory.useHierarchy"},
	{name: "cpu period too short", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Period: new(uint64(999))}}), path: "linux.resources.cpu.period", differs: kernelWill},
	{name: "cpu period too long", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Period: new(uint64(1000001))}}), path: "linux.resources.cpu.period", differs: kernelWill},
	{name: "cpu period and quota unset", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Period: new(uint64(0)), Quota: new(int64(0))}})},
	{name: "cpu quota without limit", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: new(int64(-1)), Burst: new(uint64(5))}})},
	{name: "cpu quota too small", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: new(int64(999))}}), path: "linux.resources.cpu.quota", differs: kernelWill},
	{name: "cpu burst over quota", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: new(int64(1000)), Burst: new(uint64(1001))}}), path: "linux.resources.cpu.burst", differs: kernelWill},
	{name: "cpu real time over its period", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{RealtimeRuntime: new(int64(11)), RealtimePeriod: new(uint64(10))}}), path: "linux.resources.cpu.realtimeRuntime", differs: kernelWill},
	{name: "cpu idle", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: new(int64(2))}}), path: "linux.resources.cpu.idle", differs: kernelWill},
	{name: "cpus in words", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "two"}}), path: "linux.resources.cpu.cpus", differs: kernelWill},
	{name: "cpus in the kernel's grammar", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-31:2/4, N", Mems: "all"}})},
	{name: "memory nodes with a zero byte", edit: resources(specs.LinuxResources{CPU: &specs.LinuxCPU{Mems: "0\x00"}}), path: "linux.resources.cpu.mems", differs: kernelWill},
	{name: "pids without limit", edit: resources(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: new(int64(-1))}})},
	{name: "weight too large", edit: resources(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: new(uint16(1001))}}), path: "linux.resources.blockIO.weight", differs: kernelWill},
	{name: "leaf weight too large", edit: resources(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: new(uint16(1001))}}), path: "linux.resources.blockIO.leafWeight", differs: kernelWill},
	{name: "weight of a device missing", edit: resources(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{}}}}), path: "linux.resources.blockIO.weightDevice[0]", differs: specMust},
	{name: "weight of a device too large", edit: resources(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LeafWeight: new(uint16(1001))}}}}), path: "linux.resources.blockIO.weightDevice[0].leafWeight", differs: kernelWill},
	{name: "weight of no device", edit: resources(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: -1}}}}}), path: "linux.resources.blockIO.weightDevice[0].major", differs: kernelWill},
	{name: "throttle of no device", edit: resources(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Minor: -1}}}}}), path: "linux.resources.blockIO.throttleWriteIOPSDevice[0].minor", differs: kernelWill},
	{name: "huge pages of a path", edit: resources(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "../../memory"}}}), path: "linux.resources.hugepageLimits[0].pageSize", differs: runcStart},
	{name: "huge pages without unit", edit: resources(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2M"}}}), path: "linux.resources.hugepageLimits[0].pageSize", differs: runcStart},
	{name: "huge pages of two units", edit: resources(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MMB"}}}), path: "linux.resources.hugepageLimits[0].pageSize", differs: runcStart},
	{name: "priority of no device", edit: resources(specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{}}}}), path: "linux.resources.network.priorities[0].name", differs: kernelWill},
	{name: "rdma without limit", edit: resources(specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"a": {}}}), path: `linux.resources.rdma["a"]`, differs: specMust},
	{name: "rdma of no device", edit: resources(specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"a b": {}}}), path: `linux.resources.rdma["a b"]`, differs: kernelWill},
	{name: "unified", edit: resources(specs.LinuxResources{Unified: map[string]string{"memory.high": "1", "hugetlb.1GB.max": "0"}}), differs: hostLacks},
	{name: "unified with a path", edit: resources(specs.LinuxResources{Unified: map[string]string{"../memory.max": "1"}}), path: `linux.resources.unified["../memory.max"]`},
	{name: "unified without controller", edit: resources(specs.LinuxResources{Unified: map[string]string{"max": "1"}}), path: `linux.resources.unified["max"]`},
}

var seccompRows = []row{
	{name: "seccomp of nothing", edit: seccomp(specs.LinuxSeccomp{}), warn: "linux.seccomp"},
	{name: "seccomp with every word", edit: func(s *specs.Spec) {
		p := specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: new(uint(4095)), ListenerPath: "/run/x.sock", ListenerMetadata: "x"}
		for _, a := range seccompActions {
			p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"mkdir"}, Action: a})
		}
		for _, op := range seccompOperators {
			p.Syscalls[0].Args = append(p.Syscalls[0].Args, specs.LinuxSeccompArg{Index: 5, Op: op, ValueTwo: 1})
		}
		seccomp(p)(s)
	}},
	{name: "seccomp architectures", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX32, specs.ArchLOONGARCH64}})},
	{name: "seccomp architectures that runc lacks", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: seccompArchs}), differs: runcLacks},
	{name: "seccomp architecture unknown", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_NATIVE"}}), path: "linux.seccomp.architectures[0]"},
	{name: "seccomp flags", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: seccompFlags}), differs: seccompOff},
	{name: "seccomp flag unknown", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW_LISTENER"}}), path: "linux.seccomp.flags[0]"},
	{name: "seccomp without default", edit: seccomp(specs.LinuxSeccomp{Syscalls: []specs.LinuxSyscall{{Names: []string{"a"}, Action: specs.ActAllow}}}), path: "linux.seccomp.defaultAction", reason: "missing"},
	{name: "seccomp default unknown", edit: seccomp(specs.LinuxSeccomp{DefaultAction: "ALLOW"}), path: "linux.seccomp.defaultAction"},
	{name: "seccomp default notify", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActNotify, ListenerPath: "/x"}), path: "linux.seccomp.defaultAction", reason: "SCMP_ACT_NOTIFY cannot be used as default action", differs: runcStart},
	{name: "seccomp default errno with allow", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: new(uint(1))}), path: "linux.seccomp.defaultErrnoRet", differs: specMust},
	{name: "seccomp action missing", edit: rule(specs.LinuxSyscall{Names: []string{"a"}}), path: "linux.seccomp.syscalls[0].action", reason: "missing"},
	{name: "seccomp action unknown", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: "SCMP_ACT_FOO"}), path: "linux.seccomp.syscalls[0].action"},
	{name: "seccomp errno too large", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActErrno, ErrnoRet: new(uint(4096))}), path: "linux.seccomp.syscalls[0].errnoRet", differs: "the kernel cuts the number off"},
	{name: "seccomp trace data", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActTrace, ErrnoRet: new(uint(65535))})},
	{name: "seccomp trace data too large", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActTrace, ErrnoRet: new(uint(65536))}), path: "linux.seccomp.syscalls[0].errnoRet", differs: "the kernel cuts the number off"},
	{name: "seccomp errno with kill", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActKillProcess, ErrnoRet: new(uint(0))}), path: "linux.seccomp.syscalls[0].errnoRet", differs: specMust},
	{name: "seccomp rule for nothing", edit: rule(specs.LinuxSyscall{Action: specs.ActErrno}), warn: "linux.seccomp.syscalls[0].names"},
	{name: "seccomp rule with empty name", edit: rule(specs.LinuxSyscall{Names: []string{"a", ""}, Action: specs.ActErrno}), path: "linux.seccomp.syscalls[0].names[1]", differs: runcStart},
	{name: "seccomp rule with zero byte", edit: rule(specs.LinuxSyscall{Names: []string{"a\x00"}, Action: specs.ActErrno}), path: "linux.seccomp.syscalls[0].names[0]", differs: "no system call has such a name"},
	{name: "seccomp rule for an unknown call", edit: rule(specs.LinuxSyscall{Names: []string{"no_such_call"}, Action: specs.ActErrno})},
	{name: "seccomp argument beyond the last", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}), path: "linux.seccomp.syscalls[0].args[0].index", differs: runcStart},
	{name: "seccomp operator unknown", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Op: "=="}}}), path: "linux.seccomp.syscalls[0].args[0].op"},
	{name: "seccomp operator missing", edit: rule(specs.LinuxSyscall{Names: []string{"a"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{}}}), path: "linux.seccomp.syscalls[0].args[0].op"},
	{name: "seccomp notify without listener", edit: rule(specs.LinuxSyscall{Names: []string{"mkdir"}, Action: specs.ActNotify}), path: "linux.seccomp.listenerPath", differs: runcStart},
	{name: "seccomp notify of write", edit: rule(specs.LinuxSyscall{Names: []string{"mkdir", "write"}, Action: specs.ActNotify}), path: "linux.seccomp.syscalls[0].names[1]", reason: "SCMP_ACT_NOTIFY cannot be used for the write syscall", differs: runcStart},
	{name: "seccomp listener without notify", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/x"})},
	{name: "seccomp listener relative", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "x"}), path: "linux.seccomp.listenerPath", differs: "runc takes it as relative to the bundle; here every path of the host is absolute but root.path and the sources of mounts"},
	{name: "seccomp metadata without listener", edit: seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: "x"}), path: "linux.seccomp.listenerMetadata", differs: specMust},
}

func rule(r specs.LinuxSyscall) func(*specs.Spec) {
	return seccomp(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{r}})
}
