package bundle

import (
	"math"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var processRows = []row{
	{name: "smallest", edit: func(s *specs.Spec) {}},
	{name: "no linux section", edit: func(s *specs.Spec) { s.Linux = nil }},
	{name: "version missing", edit: func(s *specs.Spec) { s.Version = "" }, path: "ociVersion", reason: "missing", differs: specMust},
	{name: "version words", edit: func(s *specs.Spec) { s.Version = "one" }, path: "ociVersion", reason: "semantic", differs: specMust},
	{name: "version of two numbers", edit: func(s *specs.Spec) { s.Version = "1.0" }, path: "ociVersion", reason: "semantic", differs: specMust},
	{name: "version with leading zero", edit: func(s *specs.Spec) { s.Version = "1.02.0" }, path: "ociVersion", differs: specMust},
	{name: "version 0", edit: func(s *specs.Spec) { s.Version = "0.1.0" }, path: "ociVersion", reason: "only versions 1.x", differs: specMust},
	{name: "version 2", edit: func(s *specs.Spec) { s.Version = "2.0.0" }, path: "ociVersion", differs: specMust},
	{name: "version 1.0", edit: func(s *specs.Spec) { s.Version = "1.0.0" }},
	{name: "version of a development branch", edit: func(s *specs.Spec) { s.Version = "1.0.2-dev" }},
	{name: "version with release candidate and build", edit: func(s *specs.Spec) { s.Version = "1.0.0-rc2+git.5" }},
	{name: "version newer in minor", edit: func(s *specs.Spec) { s.Version = "1.4.0" }, warn: "ociVersion"},

	{name: "root missing", edit: func(s *specs.Spec) { s.Root = nil }, path: "root"},
	{name: "root path missing", edit: func(s *specs.Spec) { s.Root.Path = "" }, path: "root.path", differs: specMust},
	{name: "read-only root without mount namespace", edit: func(s *specs.Spec) {
		dropNS(s, specs.MountNamespace)
		s.Root.Readonly = true
	}, path: "root.readonly", differs: hostMounts},
	{name: "root path with zero byte", edit: func(s *specs.Spec) { s.Root.Path = "root\x00fs" }, path: "root.path"},

	{name: "process missing", edit: func(s *specs.Spec) { s.Process = nil }, path: "process", differs: runcMain},
	{name: "cwd missing", edit: func(s *specs.Spec) { s.Process.Cwd = "" }, path: "process.cwd", reason: "missing", differs: runcMain},
	{name: "cwd relative", edit: func(s *specs.Spec) { s.Process.Cwd = "tmp" }, path: "process.cwd", reason: "absolute", differs: runcMain},
	{name: "cwd with zero byte", edit: func(s *specs.Spec) { s.Process.Cwd = "/a\x00b" }, path: "process.cwd", differs: kernelWill},
	{name: "cwd through the descriptors of a process", edit: func(s *specs.Spec) { s.Process.Cwd = "/proc/self/fd/7" }},
	{name: "args missing", edit: func(s *specs.Spec) { s.Process.Args = nil }, path: "process.args", differs: runcMain},
	{name: "args with an empty program", edit: func(s *specs.Spec) { s.Process.Args = []string{""} }},
	{name: "args with zero byte", edit: func(s *specs.Spec) { s.Process.Args = []string{"a", "b\x00"} }, path: "process.args[1]", differs: kernelWill},
	{name: "env without equals sign", edit: func(s *specs.Spec) { s.Process.Env = []string{"A=1", "B"} }, path: "process.env[1]", reason: "no '='", differs: runcStart},
	{name: "env without name", edit: func(s *specs.Spec) { s.Process.Env = []string{"=1"} }, path: "process.env[0]", reason: "no name", differs: runcStart},
	{name: "env with zero byte", edit: func(s *specs.Spec) { s.Process.Env = []string{"A=\x00"} }, path: "process.env[0]", differs: runcStart},
	{name: "env with empty value", edit: func(s *specs.Spec) { s.Process.Env = []string{"A="} }},
	{name: "commandLine is Windows's", edit: func(s *specs.Spec) { s.Process.CommandLine = "cmd /c" }},
	{name: "username is Windows's", edit: func(s *specs.Spec) { s.Process.User.Username = "root" }},

	{name: "console size", edit: func(s *specs.Spec) {
		s.Process.Terminal, s.Process.ConsoleSize = true, &specs.Box{Height: 25, Width: 65535}
	}},
	{name: "console too high", edit: func(s *specs.Spec) {
		s.Process.Terminal, s.Process.ConsoleSize = true, &specs.Box{Height: 65536, Width: 80}
	}, path: "process.consoleSize.height", differs: "runc cuts the number off"},
	{name: "console too wide", edit: func(s *specs.Spec) {
		s.Process.Terminal, s.Process.ConsoleSize = true, &specs.Box{Height: 25, Width: 1 << 20}
	}, path: "process.consoleSize.width", differs: "runc cuts the number off"},
	{name: "console size without terminal", edit: func(s *specs.Spec) { s.Process.ConsoleSize = &specs.Box{Height: 1 << 20} }},

	{name: "uid -1", edit: func(s *specs.Spec) { s.Process.User.UID = math.MaxUint32 }, path: "process.user.uid", differs: kernelWill},
	{name: "gid -1", edit: func(s *specs.Spec) { s.Process.User.GID = math.MaxUint32 }, path: "process.user.gid", differs: kernelWill},
	{name: "group -1", edit: func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{1, math.MaxUint32} }, path: "process.user.additionalGids[1]", differs: kernelWill},
	{name: "user, groups and umask", edit: func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{5, 6}, Umask: new(uint32(0o22))}
	}},
	{name: "umask with more than permissions", edit: func(s *specs.Spec) { s.Process.User.Umask = new(uint32(0o1022)) }, warn: "process.user.umask"},
	{name: "uid not mapped", edit: func(s *specs.Spec) { addUserNS(s, 10); s.Process.User.UID = 10 }, path: "process.user.uid", reason: "linux.uidMappings", differs: runcStart},
	{name: "gid not mapped", edit: func(s *specs.Spec) { addUserNS(s, 10); s.Process.User.GID = 10 }, path: "process.user.gid", differs: runcStart},
	{name: "group not mapped", edit: func(s *specs.Spec) { addUserNS(s, 10); s.Process.User.AdditionalGids = []uint32{9, 10} }, path: "process.user.additionalGids[1]", differs: runcStart},

	{name: "every limit", edit: func(s *specs.Spec) {
		for _, name := range rlimitNames {
			s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: name, Soft: 1, Hard: math.MaxUint64})
		}
	}},
	{name: "limit unknown", edit: func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE"}, {Type: "RLIMIT_FOO"}}
	}, path: "process.rlimits[1].type", reason: "RLIMIT_FOO", differs: runcMain},
	{name: "limit without the prefix", edit: func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "NOFILE"}} }, path: "process.rlimits[0].type", differs: runcMain},
	{name: "limit twice", edit: func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}, {Type: "RLIMIT_CORE"}}
	}, path: "process.rlimits[1].type", reason: "rlimits[0]", differs: specMust},
	{name: "limit soft over hard", edit: func(s *specs.Spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 2, Hard: 1}}
	}, path: "process.rlimits[0].soft", differs: kernelWill},

	{name: "capabilities", edit: func(s *specs.Spec) {
		all := capabilityNames()
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Inheritable: all, Permitted: all, Ambient: all}
	}},
	{name: "capabilities unknown", edit: func(s *specs.Spec) {
		odd := []string{"CAP_FOO", "cap_kill"}
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: odd, Effective: odd, Inheritable: odd, Permitted: odd, Ambient: odd}
	}},
	{name: "effective beyond permitted", edit: func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Effective: []string{"CAP_FOO", "CAP_KILL"}}
	}, path: "process.capabilities.effective", reason: "CAP_KILL", differs: kernelWill},
	{name: "inheritable beyond bounding", edit: func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Inheritable: []string{"CAP_KILL"}}
	}, path: "process.capabilities.inheritable", reason: "CAP_KILL", differs: kernelWill},
	{name: "ambient beyond inheritable", edit: func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Permitted: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL"}}
	}},

	{name: "apparmor profile", edit: func(s *specs.Spec) { s.Process.ApparmorProfile = "docker-default" }},
	{name: "apparmor profile of two lines", edit: func(s *specs.Spec) { s.Process.ApparmorProfile = "a\nb" }, path: "process.apparmorProfile", differs: kernelWill},
	{name: "selinux label", edit: func(s *specs.Spec) { s.Process.SelinuxLabel = "system_u:system_r:container_t:s0" }, differs: hostLacks},
	{name: "selinux label of two lines", edit: func(s *specs.Spec) { s.Process.SelinuxLabel = "a\nb" }, path: "process.selinuxLabel"},

	{name: "oom score least", edit: func(s *specs.Spec) { s.Process.OOMScoreAdj = new(-1000) }},
	{name: "oom score largest", edit: func(s *specs.Spec) { s.Process.OOMScoreAdj = new(1000) }},
	{name: "oom score too small", edit: func(s *specs.Spec) { s.Process.OOMScoreAdj = new(-1001) }, path: "process.oomScoreAdj", differs: kernelWill},
	{name: "oom score too large", edit: func(s *specs.Spec) { s.Process.OOMScoreAdj = new(1001) }, path: "process.oomScoreAdj", differs: kernelWill},

	{name: "io priority", edit: func(s *specs.Spec) {
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 7}
	}},
	{name: "io priority without class", edit: func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{} }, path: "process.ioPriority.class"},
	{name: "io priority of another class", edit: func(s *specs.Spec) {
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_NONE"}
	}, path: "process.ioPriority.class"},
	{name: "io priority too small", edit: func(s *specs.Spec) {
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_RT, Priority: -1}
	}, path: "process.ioPriority.priority"},
	{name: "io priority too large", edit: func(s *specs.Spec) {
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 8}
	}, path: "process.ioPriority.priority"},

	{name: "affinity", edit: affinity("0-3,7", " 0 , 2-2,")},
	{name: "affinity empty", edit: affinity("", "")},
	{name: "affinity with words", edit: affinity("all", ""), path: "process.execCPUAffinity.initial"},
	{name: "affinity backwards", edit: affinity("", "3-1"), path: "process.execCPUAffinity.final", reason: "empty range"},
	{name: "affinity of nothing", edit: affinity(",", ""), path: "process.execCPUAffinity.initial", reason: "names nothing"},
	{name: "affinity too large", edit: affinity("1024", ""), path: "process.execCPUAffinity.initial", reason: "larger than 1023"},
	{name: "affinity at the end", edit: affinity("1023", "")},
	{name: "affinity negative", edit: affinity("-1", ""), path: "process.execCPUAffinity.initial"},
	{name: "affinity with a step", edit: affinity("0-31:2/4", ""), path: "process.execCPUAffinity.initial"},

	{name: "hostname", edit: func(s *specs.Spec) { s.Hostname, s.Domainname = "web1", "example.org" }},
	{name: "hostname without namespace", edit: func(s *specs.Spec) { dropNS(s, specs.UTSNamespace); s.Hostname = "a" }, path: "hostname"},
	{name: "hostname in a joined namespace", edit: func(s *specs.Spec) {
		dropNS(s, specs.UTSNamespace)
		addNS(s, specs.UTSNamespace, "/proc/1/ns/uts")
		s.Hostname = "a"
	}},
	{name: "domainname without namespace", edit: func(s *specs.Spec) { dropNS(s, specs.UTSNamespace); s.Domainname = "a" }, path: "domainname"},
	{name: "hostname too long", edit: func(s *specs.Spec) { s.Hostname = strings.Repeat("a", 65) }, path: "hostname", differs: kernelWill},
	{name: "hostname as long as can be", edit: func(s *specs.Spec) { s.Hostname = strings.Repeat("a", 64) }},
	{name: "domainname with zero byte", edit: func(s *specs.Spec) { s.Domainname = "a\x00b" }, path: "domainname", differs: "the kernel would take the part before it"},

	{name: "annotations", edit: func(s *specs.Spec) { s.Annotations = map[string]string{"a": "", "org.example": "x"} }},
	{name: "annotation without key", edit: func(s *specs.Spec) { s.Annotations = map[string]string{"": "x"} }, path: "annotations", differs: "the specification forbids it"},
	{name: "own annotation", edit: func(s *specs.Spec) { s.Annotations = map[string]string{ExecPids: "strict", Init: "true"} }},
	{name: "own annotation of another value", edit: func(s *specs.Spec) { s.Annotations = map[string]string{ExecPids: "Strict"} }, path: `annotations["org.runack.exec.pids"]`, differs: "it is ours"},
	{name: "own annotation unknown", edit: func(s *specs.Spec) { s.Annotations = map[string]string{"org.runack.foo": ""} }, warn: `annotations["org.runack.foo"]`},

	{name: "sections of other systems", edit: func(s *specs.Spec) {
		s.Windows, s.Solaris, s.VM = &specs.Windows{LayerFolders: []string{"c:"}}, &specs.Solaris{Milestone: "x"}, &specs.VM{}
		s.ZOS, s.FreeBSD = &specs.ZOS{}, &specs.FreeBSD{}
	}},
}

func affinity(initial, final string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: initial, Final: final}
	}
}

var schedulerRows = []row{
	{name: "scheduler other", edit: scheduler(specs.Scheduler{Policy: specs.SchedOther, Nice: -20})},
	{name: "scheduler without policy", edit: scheduler(specs.Scheduler{Nice: 1}), path: "process.scheduler.policy", reason: "missing"},
	{name: "scheduler unknown", edit: scheduler(specs.Scheduler{Policy: "SCHED_FOO"}), path: "process.scheduler.policy"},
	{name: "scheduler flag unknown", edit: scheduler(specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{"SCHED_FLAG_FOO"}}), path: "process.scheduler.flags[0]"},
	{name: "scheduler with all flags", edit: scheduler(specs.Scheduler{Policy: specs.SchedOther, Flags: schedulerFlags})},
	{name: "scheduler nice too small", edit: scheduler(specs.Scheduler{Policy: specs.SchedBatch, Nice: -21}), path: "process.scheduler.nice"},
	{name: "scheduler nice too large", edit: scheduler(specs.Scheduler{Policy: specs.SchedOther, Nice: 20}), path: "process.scheduler.nice"},
	{name: "scheduler nice where it means nothing", edit: scheduler(specs.Scheduler{Policy: specs.SchedFIFO, Priority: 1, Nice: 20})},
	{name: "scheduler iso", edit: scheduler(specs.Scheduler{Policy: specs.SchedISO})},
	{name: "scheduler idle", edit: scheduler(specs.Scheduler{Policy: specs.SchedIdle})},
	{name: "scheduler priority without real time", edit: scheduler(specs.Scheduler{Policy: specs.SchedBatch, Priority: 1}), path: "process.scheduler.priority"},
	{name: "scheduler real time", edit: scheduler(specs.Scheduler{Policy: specs.SchedRR, Priority: 99})},
	{name: "scheduler real time without priority", edit: scheduler(specs.Scheduler{Policy: specs.SchedFIFO}), path: "process.scheduler.priority", differs: kernelWill},
	{name: "scheduler priority too large", edit: scheduler(specs.Scheduler{Policy: specs.SchedFIFO, Priority: 100}), path: "process.scheduler.priority", differs: kernelWill},
	{name: "scheduler that keeps the parameters", edit: scheduler(specs.Scheduler{Policy: specs.SchedFIFO, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagKeepParams}})},
	{name: "scheduler runtime without deadline policy", edit: scheduler(specs.Scheduler{Policy: specs.SchedOther, Runtime: 1}), path: "process.scheduler.runtime"},
	{name: "scheduler period without deadline policy", edit: scheduler(specs.Scheduler{Policy: specs.SchedOther, Period: 1}), path: "process.scheduler.period"},
	{name: "scheduler deadline", edit: scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 10e6, Deadline: 30e6, Period: 30e6})},
	{name: "scheduler deadline without period", edit: scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 10e6, Deadline: 30e6})},
	{name: "scheduler deadline runtime too small", edit: scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1023, Deadline: 30e6}), path: "process.scheduler.runtime", differs: kernelWill},
	{name: "scheduler deadline before runtime", edit: scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 10e6, Deadline: 9e6}), path: "process.scheduler.deadline", differs: kernelWill},
	{name: "scheduler period before deadline", edit: scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 10e6, Deadline: 20e6, Period: 19e6}), path: "process.scheduler.period", differs: kernelWill},
	{name: "scheduler period without bound", edit: scheduler(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 10e6, Deadline: 20e6, Period: 1 << 63}), path: "process.scheduler.period", differs: kernelWill},
}

var hookRows = []row{
	{name: "hooks", edit: func(s *specs.Spec) {
		h := []specs.Hook{{Path: "/bin/true", Args: []string{"true", "x"}, Env: []string{"A=1"}, Timeout: new(5)}}
		s.Hooks = &specs.Hooks{Prestart: h, CreateRuntime: h, CreateContainer: h, StartContainer: h, Poststart: h, Poststop: h}
	}},
	{name: "hook without path", edit: hooks(specs.Hook{}), path: "hooks.poststop[0].path", reason: "missing", differs: specMust},
	{name: "hook with relative path", edit: hooks(specs.Hook{Path: "/a"}, specs.Hook{Path: "bin/true"}), path: "hooks.poststop[1].path", reason: "absolute", differs: specAbs},
	{name: "hook with zero byte", edit: hooks(specs.Hook{Path: "/a", Args: []string{"\x00"}}), path: "hooks.poststop[0].args[0]", differs: kernelWill},
	{name: "hook environment with zero byte", edit: hooks(specs.Hook{Path: "/a", Env: []string{"A=\x00"}}), path: "hooks.poststop[0].env[0]", differs: kernelWill},
	{name: "hook without time", edit: hooks(specs.Hook{Path: "/a", Timeout: new(0)}), path: "hooks.poststop[0].timeout", differs: specMust},
	{name: "hook with negative time", edit: hooks(specs.Hook{Path: "/a", Timeout: new(-1)}), path: "hooks.poststop[0].timeout", differs: specMust},
	{name: "hook with endless time", edit: hooks(specs.Hook{Path: "/a", Timeout: new(math.MaxInt)}), path: "hooks.poststop[0].timeout", differs: "runc's duration overflows"},
	{name: "deprecated hook", edit: func(s *specs.Spec) { s.Hooks = &specs.Hooks{Prestart: []specs.Hook{{Path: "x"}}} }, path: "hooks.prestart[0].path", differs: specAbs},
}

func hooks(list ...specs.Hook) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Hooks = &specs.Hooks{Poststop: list} }
}
