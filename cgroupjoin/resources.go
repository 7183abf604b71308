package cgroupjoin

import (
	"maps"

	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// convert turns linux.resources into the library's form, with the same meaning as runc gives it.
// linuxDevices are linux.devices of the configuration: one that has the path of a default device
// takes that one's place. A test compares the result with runc's own conversion (specconv), which
// needs cgo and so cannot be used here.
func convert(r *specs.LinuxResources, linuxDevices []specs.LinuxDevice) (*cgroups.Resources, error) {
	out := &cgroups.Resources{}
	if r != nil {
		rules, err := deviceRules(r.Devices)
		if err != nil {
			return nil, err
		}
		out.Devices = rules
		convertMemory(r.Memory, out)
		convertCPU(r.CPU, out)
		convertBlockIO(r.BlockIO, out)
		convertNetwork(r.Network, out)
		if r.Pids != nil {
			out.PidsLimit = r.Pids.Limit
		}
		for _, l := range r.HugepageLimits {
			out.HugetlbLimit = append(out.HugetlbLimit, &cgroups.HugepageLimit{Pagesize: l.Pagesize, Limit: l.Limit})
		}
		convertRdma(r.Rdma, out)
		if len(r.Unified) > 0 {
			out.Unified = maps.Clone(r.Unified)
		}
	}
	out.Devices = append(out.Devices, defaultRules(linuxDevices)...)
	return out, nil
}

// value gives what p points to, or the zero value: the library's word for "not set".
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// convertMemory leaves kernel and kernelTCP out: the kernel has dropped them, and runc ignores them.
func convertMemory(m *specs.LinuxMemory, out *cgroups.Resources) {
	if m == nil {
		return
	}
	out.Memory = value(m.Limit)
	out.MemoryReservation = value(m.Reservation)
	out.MemorySwap = value(m.Swap)
	out.MemorySwappiness = m.Swappiness
	out.OomKillDisable = value(m.DisableOOMKiller)
	out.MemoryCheckBeforeUpdate = value(m.CheckBeforeUpdate)
}

func convertCPU(c *specs.LinuxCPU, out *cgroups.Resources) {
	if c == nil {
		return
	}
	out.CpuShares = value(c.Shares)
	out.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(out.CpuShares)
	out.CpuQuota = value(c.Quota)
	out.CpuBurst = c.Burst
	out.CpuPeriod = value(c.Period)
	out.CpuRtRuntime = value(c.RealtimeRuntime)
	out.CpuRtPeriod = value(c.RealtimePeriod)
	out.CpusetCpus = c.Cpus
	out.CpusetMems = c.Mems
	out.CPUIdle = c.Idle
}

func convertBlockIO(b *specs.LinuxBlockIO, out *cgroups.Resources) {
	if b == nil {
		return
	}
	out.BlkioWeight = value(b.Weight)
	out.BlkioLeafWeight = value(b.LeafWeight)
	for _, d := range b.WeightDevice {
		out.BlkioWeightDevice = append(out.BlkioWeightDevice,
			cgroups.NewWeightDevice(d.Major, d.Minor, value(d.Weight), value(d.LeafWeight)))
	}
	out.BlkioThrottleReadBpsDevice = throttles(b.ThrottleReadBpsDevice)
	out.BlkioThrottleWriteBpsDevice = throttles(b.ThrottleWriteBpsDevice)
	out.BlkioThrottleReadIOPSDevice = throttles(b.ThrottleReadIOPSDevice)
	out.BlkioThrottleWriteIOPSDevice = throttles(b.ThrottleWriteIOPSDevice)
}

func throttles(in []specs.LinuxThrottleDevice) (out []*cgroups.ThrottleDevice) {
	for _, d := range in {
		out = append(out, cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate))
	}
	return out
}

func convertNetwork(n *specs.LinuxNetwork, out *cgroups.Resources) {
	if n == nil {
		return
	}
	out.NetClsClassid = value(n.ClassID)
	for _, p := range n.Priorities {
		out.NetPrioIfpriomap = append(out.NetPrioIfpriomap,
			&cgroups.IfPrioMap{Interface: p.Name, Priority: int64(p.Priority)})
	}
}

func convertRdma(in map[string]specs.LinuxRdma, out *cgroups.Resources) {
	if len(in) == 0 {
		return
	}
	out.Rdma = make(map[string]cgroups.LinuxRdma, len(in))
	for device, limit := range in {
		out.Rdma[device] = cgroups.LinuxRdma{HcaHandles: limit.HcaHandles, HcaObjects: limit.HcaObjects}
	}
}
