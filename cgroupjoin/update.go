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
		alone := *withoutIdleWeight(w.CPU)
		alone.Cpus, alone.Mems, alone.Burst, alone.Idle = "", "", nil, nil
		if u := update.CPU; u != nil {
			alone.Cpus, alone.Mems, alone.Burst, alone.Idle = u.Cpus, u.Mems, u.Burst, u.Idle
		}
		w.CPU = &alone
	}
	return merged, &w
}

// withoutIdleWeight leaves the weight of an idle cgroup out: the kernel refuses one with EINVAL. It
// stays saved, and is written when the cgroup stops being idle.
func withoutIdleWeight(c *specs.LinuxCPU) *specs.LinuxCPU {
	if c == nil || value(c.Idle) == 0 {
		return c
	}
	out := *c
	out.Shares = nil
	return &out
}

// beforeUpdate gives what undoes an update as far as systemd has a property for it: the old limits, and
// where there was none the word for that. The rest is in the snapshot.
func beforeUpdate(old, update *specs.LinuxResources) *specs.LinuxResources {
	none := specs.LinuxResources{}
	if m := update.Memory; m != nil {
		none.Memory = &specs.LinuxMemory{Limit: ifSet(m.Limit, -1), Swap: ifSet(m.Swap, -1)}
	}
	if c := update.CPU; c != nil {
		none.CPU = &specs.LinuxCPU{
			Shares: ifSet(c.Shares, 1024), Quota: ifSet(c.Quota, -1), Period: ifSet(c.Period, 100000),
			Burst: ifSet(c.Burst, 0), Idle: ifSet(c.Idle, 0),
		}
	}
	if p := update.Pids; p != nil {
		none.Pids = &specs.LinuxPids{Limit: ifSet(p.Limit, -1)}
	}
	if old == nil {
		old = &specs.LinuxResources{}
	}
	before, _ := merge(&none, old)
	return before
}

// ifSet gives v for a field that is set, and nil for one that is not.
func ifSet[T any](field *T, v T) *T {
	if field == nil {
		return nil
	}
	return &v
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
	return mergeDevices(old, update,
		func(d *specs.LinuxWeightDevice) [2]int64 { return [2]int64{d.Major, d.Minor} },
		func(d *specs.LinuxWeightDevice, u specs.LinuxWeightDevice) {
			d.Weight, d.LeafWeight = cmp.Or(u.Weight, d.Weight), cmp.Or(u.LeafWeight, d.LeafWeight)
		})
}

func mergeThrottles(old, update []specs.LinuxThrottleDevice) []specs.LinuxThrottleDevice {
	return mergeDevices(old, update,
		func(d *specs.LinuxThrottleDevice) [2]int64 { return [2]int64{d.Major, d.Minor} },
		func(d *specs.LinuxThrottleDevice, u specs.LinuxThrottleDevice) { d.Rate = u.Rate })
}

// mergeDevices changes what old has of a device, and adds the devices that it has not.
func mergeDevices[D any](old, update []D, number func(*D) [2]int64, change func(*D, D)) []D {
	out := slices.Clone(old)
	for _, u := range update {
		i := slices.IndexFunc(out, func(d D) bool { return number(&d) == number(&u) })
		if i < 0 {
			out = append(out, u)
			continue
		}
		change(&out[i], u)
	}
	return out
}
