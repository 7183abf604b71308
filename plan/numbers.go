package plan

import (
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rlimits are the kernel's limits by number (asm-generic/resource.h).
var rlimits = [...]string{
	unix.RLIMIT_CPU: "RLIMIT_CPU", unix.RLIMIT_FSIZE: "RLIMIT_FSIZE", unix.RLIMIT_DATA: "RLIMIT_DATA",
	unix.RLIMIT_STACK: "RLIMIT_STACK", unix.RLIMIT_CORE: "RLIMIT_CORE", unix.RLIMIT_RSS: "RLIMIT_RSS",
	unix.RLIMIT_NPROC: "RLIMIT_NPROC", unix.RLIMIT_NOFILE: "RLIMIT_NOFILE",
	unix.RLIMIT_MEMLOCK: "RLIMIT_MEMLOCK", unix.RLIMIT_AS: "RLIMIT_AS", unix.RLIMIT_LOCKS: "RLIMIT_LOCKS",
	unix.RLIMIT_SIGPENDING: "RLIMIT_SIGPENDING", unix.RLIMIT_MSGQUEUE: "RLIMIT_MSGQUEUE",
	unix.RLIMIT_NICE: "RLIMIT_NICE", unix.RLIMIT_RTPRIO: "RLIMIT_RTPRIO", unix.RLIMIT_RTTIME: "RLIMIT_RTTIME",
}

func rlimitNumber(name string) (int, bool) {
	n := slices.Index(rlimits[:], name)
	return n, n >= 0 && name != ""
}

// schedulerPolicies are by the kernel's number (linux/sched.h).
var schedulerPolicies = [...]specs.LinuxSchedulerPolicy{
	specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO,
	specs.SchedIdle, specs.SchedDeadline,
}

// schedulerFlags are by bit (linux/sched.h).
var schedulerFlags = [...]specs.LinuxSchedulerFlag{
	specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun,
	specs.SchedFlagKeepPolicy, specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin,
	specs.SchedFlagUtilClampMax,
}

func schedulerStep(field string, s *specs.Scheduler) (Scheduler, error) {
	policy := slices.Index(schedulerPolicies[:], s.Policy)
	if policy < 0 {
		return Scheduler{}, refuse(field+".policy", "unknown policy "+strconv.Quote(string(s.Policy)))
	}
	if s.Priority < 0 {
		return Scheduler{}, refuse(field+".priority", "negative")
	}
	step := Scheduler{
		Policy: uint32(policy), Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	}
	for i, f := range s.Flags {
		bit := slices.Index(schedulerFlags[:], f)
		if bit < 0 {
			return Scheduler{}, refuse(item(field+".flags", i), "unknown flag "+strconv.Quote(string(f)))
		}
		step.Flags |= 1 << bit
	}
	return step, nil
}

// ioClass gives the number of linux/ioprio.h.
func ioClass(c specs.IOPriorityClass) (int, bool) {
	switch c {
	case specs.IOPRIO_CLASS_RT:
		return 1, true
	case specs.IOPRIO_CLASS_BE:
		return 2, true
	case specs.IOPRIO_CLASS_IDLE:
		return 3, true
	}
	return 0, false
}

// memoryModes and memoryFlags are linux/mempolicy.h's.
var memoryModes = map[specs.MemoryPolicyModeType]int{
	specs.MpolDefault:            unix.MPOL_DEFAULT,
	specs.MpolPreferred:          unix.MPOL_PREFERRED,
	specs.MpolBind:               unix.MPOL_BIND,
	specs.MpolInterleave:         unix.MPOL_INTERLEAVE,
	specs.MpolLocal:              unix.MPOL_LOCAL,
	specs.MpolPreferredMany:      unix.MPOL_PREFERRED_MANY,
	specs.MpolWeightedInterleave: unix.MPOL_WEIGHTED_INTERLEAVE,
}

var memoryFlags = map[specs.MemoryPolicyFlagType]int{
	specs.MpolFStaticNodes:   unix.MPOL_F_STATIC_NODES,
	specs.MpolFRelativeNodes: unix.MPOL_F_RELATIVE_NODES,
	specs.MpolFNumaBalancing: unix.MPOL_F_NUMA_BALANCING,
}
