package cgroupjoin

import (
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/types"
)

// EventStats gives the statistics as `events --stats` prints them: runc's JSON, which clients decode.
// rdt may be nil.
func (c *Cgroup) EventStats(rdt *RDT) (*types.Stats, error) {
	s, err := c.Stats()
	if err != nil {
		return nil, err
	}
	out := eventStats(s)
	if rdt != nil {
		if err := rdt.addStats(&out.IntelRdt); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func eventStats(s *cgroups.Stats) *types.Stats {
	out := &types.Stats{
		CPU:     eventCPU(&s.CpuStats),
		CPUSet:  types.CPUSet(s.CPUSetStats),
		Memory:  eventMemory(&s.MemoryStats),
		Pids:    types.Pids{Current: s.PidsStats.Current, Limit: s.PidsStats.Limit},
		Blkio:   eventBlkio(&s.BlkioStats),
		Hugetlb: make(map[string]types.Hugetlb, len(s.HugetlbStats)),
	}
	for size, h := range s.HugetlbStats {
		out.Hugetlb[size] = types.Hugetlb{Usage: h.Usage, Max: h.MaxUsage, Failcnt: h.Failcnt}
	}
	return out
}

func eventCPU(s *cgroups.CpuStats) types.Cpu {
	u, t := &s.CpuUsage, &s.ThrottlingData
	return types.Cpu{
		Usage: types.CpuUsage{
			Total: u.TotalUsage, Percpu: u.PercpuUsage, PercpuKernel: u.PercpuUsageInKernelmode,
			PercpuUser: u.PercpuUsageInUsermode, Kernel: u.UsageInKernelmode, User: u.UsageInUsermode,
		},
		Throttling: types.Throttling{
			Periods: t.Periods, ThrottledPeriods: t.ThrottledPeriods, ThrottledTime: t.ThrottledTime,
		},
		PSI: s.PSI,
	}
}

func eventMemory(s *cgroups.MemoryStats) types.Memory {
	entry := func(d cgroups.MemoryData) types.MemoryEntry {
		return types.MemoryEntry{Limit: d.Limit, Usage: d.Usage, Max: d.MaxUsage, Failcnt: d.Failcnt}
	}
	return types.Memory{
		Cache: s.Cache, Usage: entry(s.Usage), Swap: entry(s.SwapUsage), Kernel: entry(s.KernelUsage),
		KernelTCP: entry(s.KernelTCPUsage), Raw: s.Stats, PSI: s.PSI,
	}
}

func eventBlkio(s *cgroups.BlkioStats) types.Blkio {
	return types.Blkio{
		IoServiceBytesRecursive: eventEntries(s.IoServiceBytesRecursive),
		IoServicedRecursive:     eventEntries(s.IoServicedRecursive),
		IoQueuedRecursive:       eventEntries(s.IoQueuedRecursive),
		IoServiceTimeRecursive:  eventEntries(s.IoServiceTimeRecursive),
		IoWaitTimeRecursive:     eventEntries(s.IoWaitTimeRecursive),
		IoMergedRecursive:       eventEntries(s.IoMergedRecursive),
		IoTimeRecursive:         eventEntries(s.IoTimeRecursive),
		SectorsRecursive:        eventEntries(s.SectorsRecursive),
		PSI:                     s.PSI,
	}
}

func eventEntries(in []cgroups.BlkioStatEntry) []types.BlkioEntry {
	out := make([]types.BlkioEntry, 0, len(in))
	for _, e := range in {
		out = append(out, types.BlkioEntry(e))
	}
	return out
}
