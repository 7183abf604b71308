package bundle

import (
	"slices"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/plan"
)

// The tables are slices, not maps: they are short, and a map of strings costs start-up time in
// every run of the runtime.

var namespaceTypes = []specs.LinuxNamespaceType{
	specs.CgroupNamespace,
	specs.IPCNamespace,
	specs.MountNamespace,
	specs.NetworkNamespace,
	specs.PIDNamespace,
	specs.TimeNamespace,
	specs.UserNamespace,
	specs.UTSNamespace,
}

// hookPoints are in the order in which a container's life meets them.
var hookPoints = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// capabilityNames has each capability at its number.
var capabilityNames = sync.OnceValue(plan.Capabilities)

func capabilityNumber(name string) (int, bool) {
	i := slices.Index(capabilityNames(), name)
	return i, i >= 0
}

// rlimitNames are all of getrlimit(2).
var rlimitNames = []string{
	"RLIMIT_AS",
	"RLIMIT_CORE",
	"RLIMIT_CPU",
	"RLIMIT_DATA",
	"RLIMIT_FSIZE",
	"RLIMIT_LOCKS",
	"RLIMIT_MEMLOCK",
	"RLIMIT_MSGQUEUE",
	"RLIMIT_NICE",
	"RLIMIT_NOFILE",
	"RLIMIT_NPROC",
	"RLIMIT_RSS",
	"RLIMIT_RTPRIO",
	"RLIMIT_RTTIME",
	"RLIMIT_SIGPENDING",
	"RLIMIT_STACK",
}

func knownRlimit(name string) bool { return slices.Contains(rlimitNames, name) }

func knownIOClass(class specs.IOPriorityClass) bool {
	return class == specs.IOPRIO_CLASS_RT || class == specs.IOPRIO_CLASS_BE || class == specs.IOPRIO_CLASS_IDLE
}

var schedulerPolicies = []specs.LinuxSchedulerPolicy{
	specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO, specs.SchedIdle, specs.SchedDeadline,
}

var schedulerFlags = []specs.LinuxSchedulerFlag{
	specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
	specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
}

var memoryPolicyModes = []specs.MemoryPolicyModeType{
	specs.MpolBind, specs.MpolDefault, specs.MpolInterleave, specs.MpolLocal,
	specs.MpolPreferred, specs.MpolPreferredMany, specs.MpolWeightedInterleave,
}

var memoryPolicyFlags = []specs.MemoryPolicyFlagType{
	specs.MpolFNumaBalancing, specs.MpolFRelativeNodes, specs.MpolFStaticNodes,
}

var personalityDomains = []specs.LinuxPersonalityDomain{specs.PerLinux, specs.PerLinux32}

var seccompActions = []specs.LinuxSeccompAction{
	specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread,
	specs.ActLog, specs.ActNotify, specs.ActTrace, specs.ActTrap,
}

var seccompOperators = []specs.LinuxSeccompOperator{
	specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual,
	specs.OpLessThan, specs.OpMaskedEqual, specs.OpNotEqual,
}

var seccompArchs = []specs.Arch{
	specs.ArchAARCH64, specs.ArchARM, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchMIPS,
	specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32,
	specs.ArchPARISC, specs.ArchPARISC64, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE,
	specs.ArchRISCV64, specs.ArchS390, specs.ArchS390X, specs.ArchSH, specs.ArchSHEB,
	specs.ArchX32, specs.ArchX86, specs.ArchX86_64,
}

// seccompFlagTsync is in the text of the specification and not in its Go types. It asks for what
// holds anyway: the stage has a single thread.
const seccompFlagTsync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

var seccompFlags = []specs.LinuxSeccompFlag{
	specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, seccompFlagTsync, specs.LinuxSeccompFlagWaitKillableRecv,
}
