package shim

import (
	"strconv"

	stats1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	stats2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/opencontainers/cgroups"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// metrics measures a container's cgroup in the form of containerd's own shim: one message for v1,
// another for v2.
func (t *task) metrics() (*anypb.Any, error) {
	s, unified, err := t.state.measure()
	if err != nil {
		return nil, err
	}
	if unified {
		return marshalEvent(metrics2(s, t.oom.kills()))
	}
	return marshalEvent(metrics1(s, t.oom.kills()))
}

const nanosPerMicro = 1000

// limitOf is how containerd's v2 metrics say that there is no limit.
func limitOf(limit uint64) uint64 {
	if limit == 0 {
		return 1<<64 - 1
	}
	return limit
}

func metrics2(s *cgroups.Stats, oomKills uint64) *stats2.Metrics {
	cpu, throttling := &s.CpuStats.CpuUsage, &s.CpuStats.ThrottlingData
	m := &stats2.Metrics{
		Pids: &stats2.PidsStat{Current: s.PidsStats.Current, Limit: limitOf(s.PidsStats.Limit)},
		CPU: &stats2.CPUStat{
			UsageUsec: cpu.TotalUsage / nanosPerMicro, UserUsec: cpu.UsageInUsermode / nanosPerMicro,
			SystemUsec: cpu.UsageInKernelmode / nanosPerMicro,
			NrPeriods:  throttling.Periods, NrThrottled: throttling.ThrottledPeriods,
			ThrottledUsec: throttling.ThrottledTime / nanosPerMicro,
		},
		Memory:       memory2(&s.MemoryStats),
		MemoryEvents: &stats2.MemoryEvents{OomKill: oomKills},
		Io:           io2(&s.BlkioStats),
	}
	for size, h := range s.HugetlbStats {
		m.Hugetlb = append(m.Hugetlb, &stats2.HugeTlbStat{
			Current: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt, Pagesize: size,
		})
	}
	return m
}

func memory2(s *cgroups.MemoryStats) *stats2.MemoryStat {
	m := &stats2.MemoryStat{
		Usage: s.Usage.Usage, UsageLimit: s.Usage.Limit, MaxUsage: s.Usage.MaxUsage,
		SwapUsage: s.SwapOnlyUsage.Usage, SwapLimit: s.SwapOnlyUsage.Limit, SwapMaxUsage: s.SwapOnlyUsage.MaxUsage,
	}
	fillCounters(m, s.Stats, nil)
	return m
}

// io2 gathers the library's entries, one for each operation, into one for each device.
func io2(s *cgroups.BlkioStats) *stats2.IOStat {
	type device struct{ major, minor uint64 }
	entries := map[device]*stats2.IOEntry{}
	out := &stats2.IOStat{}
	of := func(e cgroups.BlkioStatEntry) *stats2.IOEntry {
		d := device{e.Major, e.Minor}
		if entries[d] == nil {
			entries[d] = &stats2.IOEntry{Major: e.Major, Minor: e.Minor}
			out.Usage = append(out.Usage, entries[d])
		}
		return entries[d]
	}
	for _, e := range s.IoServiceBytesRecursive {
		switch e.Op {
		case "Read":
			of(e).Rbytes = e.Value
		case "Write":
			of(e).Wbytes = e.Value
		}
	}
	for _, e := range s.IoServicedRecursive {
		switch e.Op {
		case "Read":
			of(e).Rios = e.Value
		case "Write":
			of(e).Wios = e.Value
		}
	}
	return out
}

func metrics1(s *cgroups.Stats, oomKills uint64) *stats1.Metrics {
	cpu, throttling := &s.CpuStats.CpuUsage, &s.CpuStats.ThrottlingData
	m := &stats1.Metrics{
		Pids: &stats1.PidsStat{Current: s.PidsStats.Current, Limit: s.PidsStats.Limit},
		CPU: &stats1.CPUStat{
			Usage: &stats1.CPUUsage{
				Total: cpu.TotalUsage, Kernel: cpu.UsageInKernelmode, User: cpu.UsageInUsermode, PerCPU: cpu.PercpuUsage,
			},
			Throttling: &stats1.Throttle{
				Periods: throttling.Periods, ThrottledPeriods: throttling.ThrottledPeriods,
				ThrottledTime: throttling.ThrottledTime,
			},
		},
		Memory:           memory1(&s.MemoryStats),
		MemoryOomControl: &stats1.MemoryOomControl{OomKill: oomKills},
		Blkio:            blkio1(&s.BlkioStats),
	}
	for size, h := range s.HugetlbStats {
		m.Hugetlb = append(m.Hugetlb, &stats1.HugetlbStat{
			Usage: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt, Pagesize: size,
		})
	}
	return m
}

func memory1(s *cgroups.MemoryStats) *stats1.MemoryStat {
	entry := func(d cgroups.MemoryData) *stats1.MemoryEntry {
		return &stats1.MemoryEntry{Limit: d.Limit, Usage: d.Usage, Max: d.MaxUsage, Failcnt: d.Failcnt}
	}
	m := &stats1.MemoryStat{
		Usage: entry(s.Usage), Swap: entry(s.SwapUsage), Kernel: entry(s.KernelUsage), KernelTCP: entry(s.KernelTCPUsage),
	}
	fillCounters(m, s.Stats, map[string]string{
		"pgpgin": "pg_pg_in", "pgpgout": "pg_pg_out", "pgfault": "pg_fault", "pgmajfault": "pg_maj_fault",
		"total_pgpgin": "total_pg_pg_in", "total_pgpgout": "total_pg_pg_out",
		"total_pgfault": "total_pg_fault", "total_pgmajfault": "total_pg_maj_fault",
		"hierarchical_memsw_limit": "hierarchical_swap_limit",
	})
	m.Cache = s.Cache
	return m
}

func blkio1(s *cgroups.BlkioStats) *stats1.BlkIOStat {
	entries := func(in []cgroups.BlkioStatEntry) []*stats1.BlkIOEntry {
		var out []*stats1.BlkIOEntry
		for _, e := range in {
			out = append(out, &stats1.BlkIOEntry{
				Op: e.Op, Major: e.Major, Minor: e.Minor, Value: e.Value,
				Device: strconv.FormatUint(e.Major, 10) + ":" + strconv.FormatUint(e.Minor, 10),
			})
		}
		return out
	}
	return &stats1.BlkIOStat{
		IoServiceBytesRecursive: entries(s.IoServiceBytesRecursive), IoServicedRecursive: entries(s.IoServicedRecursive),
		IoQueuedRecursive: entries(s.IoQueuedRecursive), IoServiceTimeRecursive: entries(s.IoServiceTimeRecursive),
		IoWaitTimeRecursive: entries(s.IoWaitTimeRecursive), IoMergedRecursive: entries(s.IoMergedRecursive),
		IoTimeRecursive: entries(s.IoTimeRecursive), SectorsRecursive: entries(s.SectorsRecursive),
	}
}

// fillCounters copies the kernel's counters (memory.stat) into fields of the same name. renamed has
// those that the message calls otherwise.
func fillCounters(m proto.Message, counters map[string]uint64, renamed map[string]string) {
	r := m.ProtoReflect()
	fields := r.Descriptor().Fields()
	for name, value := range counters {
		if other, ok := renamed[name]; ok {
			name = other
		}
		f := fields.ByName(protoreflect.Name(name))
		if f != nil && f.Kind() == protoreflect.Uint64Kind {
			r.Set(f, protoreflect.ValueOfUint64(value))
		}
	}
}
