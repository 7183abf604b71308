package cgroupjoin

import (
	"cmp"
	"maps"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// merge gives the limits after an update, and those that have to be written for it. The two differ
// in fields that stand alone (a CPU set, the number of pids): of these only the new ones are
// written, as runc does. All others go together: the quota with its period, swap with memory.
func merge(old, update *specs.LinuxResources) (merged, toWrite *specs.LinuxResources) {
	merged = &specs.LinuxResources{}
	if old != nil {
		*merged = *old
	}
	if update == nil {
		update = &specs.LinuxResources{}
	}
	merged.Memory = mergeMemory(merged.Memory, update.Memory)
	merged.CPU = mergeCPU(merged.CPU, update.CPU)
	merged.BlockIO = mergeBlockIO(merged.BlockIO, update.BlockIO)
	merged.Network = cmp.Or(update.Network, merged.Network)
	if update.Pids != nil && update.Pids.Limit != nil {
		merged.Pids = update.Pids
	}
	if len(update.HugepageLimits) > 0 {
		merged.HugepageLimits = update.HugepageLimits
	}
	merged.Rdma = mergeMaps(merged.Rdma, update.Rdma)
	merged.Unified = mergeMaps(merged.Unified, update.Unified)

	w := *merged
	w.Pids, w.Unified, w.Rdma = update.Pids, update.Unified, update.Rdma
	w.HugepageLimits, w.Network = update.HugepageLimits, update.Network
	if w.CPU != nil {
		alone := *w.CPU
		alone.Cpus, alone.Mems, alone.Burst, alone.Idle = "", "", nil, nil
		if u := update.CPU; u != nil {
			alone.Cpus, alone.Mems, alone.Burst, alone.Idle = u.Cpus, u.Mems, u.Burst, u.Idle
			if u.Idle != nil && u.Shares == nil {
				// The kernel refuses a weight for an idle cgroup with EINVAL.
				alone.Shares = nil
			}
		}
		w.CPU = &alone
	}
	return merged, &w
}

func mergeMaps[V any](old, update map[string]V) map[string]V {
	if len(update) == 0 {
		return old
	}
	out := make(map[string]V, len(old)+len(update))
	maps.Copy(out, old)
	maps.Copy(out, update)
	return out
}

// mergeMemory: a limit that is lifted lifts the one on memory and swap together with it, unless that
// one is given; it could not stay below.
func mergeMemory(old, update *specs.LinuxMemory) *specs.LinuxMemory {
	if update == nil {
		return old
	}
	m := specs.LinuxMemory{}
	if old != nil {
		m = *old
	}
	m.Limit = cmp.Or(update.Limit, m.Limit)
	m.Reservation = cmp.Or(update.Reservation, m.Reservation)
	m.Swap = cmp.Or(update.Swap, m.Swap)
	if value(update.Limit) == -1 && update.Swap == nil {
		m.Swap = nil
	}
	m.Swappiness = cmp.Or(update.Swappiness, m.Swappiness)
	m.DisableOOMKiller = cmp.Or(update.DisableOOMKiller, m.DisableOOMKiller)
	m.CheckBeforeUpdate = cmp.Or(update.CheckBeforeUpdate, m.CheckBeforeUpdate)
	return &m
}

func mergeCPU(old, update *specs.LinuxCPU) *specs.LinuxCPU {
	if update == nil {
		return old
	}
	c := specs.LinuxCPU{}
	if old != nil {
		c = *old
	}
	c.Shares = cmp.Or(update.Shares, c.Shares)
	if value(update.Quota) != 0 {
		c.Quota = update.Quota
	}
	if value(update.Period) != 0 {
		c.Period = update.Period
	}
	c.Burst = cmp.Or(update.Burst, c.Burst)
	c.RealtimeRuntime = cmp.Or(update.RealtimeRuntime, c.RealtimeRuntime)
	c.RealtimePeriod = cmp.Or(update.RealtimePeriod, c.RealtimePeriod)
	c.Cpus = cmp.Or(update.Cpus, c.Cpus)
	c.Mems = cmp.Or(update.Mems, c.Mems)
	c.Idle = cmp.Or(update.Idle, c.Idle)
	return &c
}

func mergeBlockIO(old, update *specs.LinuxBlockIO) *specs.LinuxBlockIO {
	if update == nil {
		return old
	}
	b := specs.LinuxBlockIO{}
	if old != nil {
		b = *old
	}
	b.Weight = cmp.Or(update.Weight, b.Weight)
	b.LeafWeight = cmp.Or(update.LeafWeight, b.LeafWeight)
	b.WeightDevice = mergeWeights(b.WeightDevice, update.WeightDevice)
	b.ThrottleReadBpsDevice = mergeThrottles(b.ThrottleReadBpsDevice, update.ThrottleReadBpsDevice)
	b.ThrottleWriteBpsDevice = mergeThrottles(b.ThrottleWriteBpsDevice, update.ThrottleWriteBpsDevice)
	b.ThrottleReadIOPSDevice = mergeThrottles(b.ThrottleReadIOPSDevice, update.ThrottleReadIOPSDevice)
	b.ThrottleWriteIOPSDevice = mergeThrottles(b.ThrottleWriteIOPSDevice, update.ThrottleWriteIOPSDevice)
	return &b
}

func mergeWeights(old, update []specs.LinuxWeightDevice) []specs.LinuxWeightDevice {
	out := slices.Clone(old)
	for _, u := range update {
		i := slices.IndexFunc(out, func(d specs.LinuxWeightDevice) bool {
			return d.Major == u.Major && d.Minor == u.Minor
		})
		if i < 0 {
			out = append(out, u)
			continue
		}
		out[i].Weight = cmp.Or(u.Weight, out[i].Weight)
		out[i].LeafWeight = cmp.Or(u.LeafWeight, out[i].LeafWeight)
	}
	return out
}

func mergeThrottles(old, update []specs.LinuxThrottleDevice) []specs.LinuxThrottleDevice {
	out := slices.Clone(old)
	for _, u := range update {
		i := slices.IndexFunc(out, func(d specs.LinuxThrottleDevice) bool {
			return d.Major == u.Major && d.Minor == u.Minor
		})
		if i < 0 {
			out = append(out, u)
			continue
		}
		out[i].Rate = u.Rate
	}
	return out
}
