package bundle

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The kernel's bounds: the period of the CPU controller in microseconds, its least quota, the
// weight of the block I/O controller, and memory.swappiness as the specification has it.
const (
	cpuPeriodMin  = 1000
	cpuPeriodMax  = 1000000
	cpuQuotaMin   = 1000
	blkioMax      = 1000
	swappinessMax = 100
	notSet        = ^uint64(0) // -1 as some callers write it: leave as it is
)

// resources checks the limits of the cgroup.
func (c *checker) resources() error {
	if c.linux.Resources == nil {
		return nil
	}
	return c.limits(c.linux.Resources, "linux.resources")
}

// ValidateResources checks limits by themselves, as `update` gets them. JSON paths in its errors
// are relative to the resources.
func ValidateResources(r *specs.LinuxResources) error {
	if r == nil {
		return nil
	}
	return (&checker{}).limits(r, "")
}

func (c *checker) limits(r *specs.LinuxResources, prefix string) error {
	at := under(prefix)
	if err := deviceRules(at("devices"), r.Devices); err != nil {
		return err
	}
	if err := c.memory(r.Memory, under(at("memory"))); err != nil {
		return err
	}
	if err := cpu(r.CPU, under(at("cpu"))); err != nil {
		return err
	}
	if err := blockIO(r.BlockIO, under(at("blockIO"))); err != nil {
		return err
	}
	for i, h := range r.HugepageLimits {
		if !validPageSize(h.Pagesize) {
			return refuse(item(at("hugepageLimits"), i)+".pageSize", "%q: must be a size like 64KB, 2MB or 1GB", h.Pagesize)
		}
	}
	if err := network(r.Network, under(at("network"))); err != nil {
		return err
	}
	if err := rdma(r.Rdma, at("rdma")); err != nil {
		return err
	}
	return unified(r.Unified, at("unified"))
}

func (c *checker) memory(m *specs.LinuxMemory, at func(string) string) error {
	if m == nil {
		return nil
	}
	for _, f := range []struct {
		name  string
		value *int64
	}{
		{"limit", m.Limit}, {"reservation", m.Reservation}, {"swap", m.Swap}, {"kernel", m.Kernel}, {"kernelTCP", m.KernelTCP}, //nolint:staticcheck // deprecated, and still in use
	} {
		if f.value != nil && *f.value < -1 {
			return refuse(at(f.name), "%d: must be a number of bytes, or -1 for no limit", *f.value)
		}
	}
	if err := swap(m, at); err != nil {
		return err
	}
	if m.Swappiness != nil && *m.Swappiness > swappinessMax && *m.Swappiness != notSet {
		return refuse(at("swappiness"), "%d: must be from 0 to %d", *m.Swappiness, swappinessMax)
	}
	if m.Kernel != nil || m.KernelTCP != nil { //nolint:staticcheck // as above
		c.warn(at("kernel"), "limits of kernel memory are ignored: the kernel has given them up")
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		c.warn(at("useHierarchy"), "false is ignored: accounting is always hierarchical")
	}
	return nil
}

// swap checks memory plus swap, which includes the memory.
func swap(m *specs.LinuxMemory, at func(string) string) error {
	if m.Swap == nil || *m.Swap <= 0 || m.Limit == nil || *m.Limit <= 0 {
		return nil
	}
	if *m.Swap < *m.Limit {
		return refuse(at("swap"), "%d: is memory and swap together, and smaller than the memory limit %d", *m.Swap, *m.Limit)
	}
	return nil
}

func cpu(r *specs.LinuxCPU, at func(string) string) error {
	if r == nil {
		return nil
	}
	if p := r.Period; p != nil && *p != 0 && (*p < cpuPeriodMin || *p > cpuPeriodMax) {
		return refuse(at("period"), "%d: must be from %d to %d microseconds", *p, cpuPeriodMin, cpuPeriodMax)
	}
	if q := r.Quota; q != nil && *q > 0 {
		if *q < cpuQuotaMin {
			return refuse(at("quota"), "%d: must be at least %d microseconds", *q, cpuQuotaMin)
		}
		if r.Burst != nil && *r.Burst > uint64(*q) {
			return refuse(at("burst"), "%d: must not be larger than quota %d", *r.Burst, *q)
		}
	}
	if r.RealtimeRuntime != nil && r.RealtimePeriod != nil && *r.RealtimePeriod != 0 &&
		*r.RealtimeRuntime > 0 && uint64(*r.RealtimeRuntime) > *r.RealtimePeriod {
		return refuse(at("realtimeRuntime"), "%d: must not be larger than realtimePeriod %d", *r.RealtimeRuntime, *r.RealtimePeriod)
	}
	if r.Idle != nil && *r.Idle != 0 && *r.Idle != 1 {
		return refuse(at("idle"), "%d: must be 0 or 1", *r.Idle)
	}
	if err := cpuset(at("cpus"), r.Cpus); err != nil {
		return err
	}
	return cpuset(at("mems"), r.Mems)
}

// cpuset refuses what no kernel takes for a list. Its grammar is larger than that of parseIDs
// ("all", "N", "0-31:2/4"), and which CPUs there are is the machine's affair.
func cpuset(at, s string) error {
	if strings.Trim(s, "0123456789,-:/ \talN") != "" {
		return refuse(at, "%q: not a list like 0-3,7", s)
	}
	return nil
}

func blockIO(b *specs.LinuxBlockIO, at func(string) string) error {
	if b == nil {
		return nil
	}
	if err := weight(at("weight"), b.Weight); err != nil {
		return err
	}
	if err := weight(at("leafWeight"), b.LeafWeight); err != nil {
		return err
	}
	for i, d := range b.WeightDevice {
		path := item(at("weightDevice"), i)
		if err := blockDevice(path, d.LinuxBlockIODevice); err != nil {
			return err
		}
		if d.Weight == nil && d.LeafWeight == nil {
			return refuse(path, "neither weight nor leafWeight is set")
		}
		if err := weight(path+".weight", d.Weight); err != nil {
			return err
		}
		if err := weight(path+".leafWeight", d.LeafWeight); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		name    string
		devices []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range list.devices {
			if err := blockDevice(item(at(list.name), i), d.LinuxBlockIODevice); err != nil {
				return err
			}
		}
	}
	return nil
}

// weight lets 0 through: it leaves the weight as it is. The least weight differs between the
// kernel's schedulers (1 or 10).
func weight(at string, w *uint16) error {
	if w != nil && *w > blkioMax {
		return refuse(at, "%d: must be at most %d", *w, blkioMax)
	}
	return nil
}

func blockDevice(at string, d specs.LinuxBlockIODevice) error {
	if d.Major < 0 || d.Major > maxMajor {
		return refuse(at+".major", "%d: must be from 0 to %d", d.Major, maxMajor)
	}
	if d.Minor < 0 || d.Minor > maxMinor {
		return refuse(at+".minor", "%d: must be from 0 to %d", d.Minor, maxMinor)
	}
	return nil
}

// validPageSize tells whether s has the form <size><unit>B. It becomes part of a file name.
func validPageSize(s string) bool {
	s, ok := strings.CutSuffix(s, "B")
	if !ok {
		return false
	}
	s = strings.TrimSuffix(s, "i")
	digits := strings.TrimRight(s, "KMGTPE")
	return len(s)-len(digits) <= 1 && digits != "" && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
}

func network(n *specs.LinuxNetwork, at func(string) string) error {
	if n == nil {
		return nil
	}
	for i, p := range n.Priorities {
		if !validInterface(p.Name) {
			return refuse(item(at("priorities"), i)+".name", "%q: not the name of a network device", p.Name)
		}
	}
	return nil
}

func rdma(devices map[string]specs.LinuxRdma, at string) error {
	for _, name := range sortedKeys(devices) {
		if name == "" || strings.ContainsAny(name, " \t\n\x00") {
			return refuse(entry(at, name), "not the name of a device")
		}
		if d := devices[name]; d.HcaHandles == nil && d.HcaObjects == nil {
			return refuse(entry(at, name), "neither hcaHandles nor hcaObjects is set")
		}
	}
	return nil
}

// unified checks the names of files of the unified hierarchy, which must stay inside the
// container's cgroup.
func unified(files map[string]string, at string) error {
	for _, name := range sortedKeys(files) {
		if strings.ContainsAny(name, "/\x00") {
			return refuse(entry(at, name), "must be the name of a file, without slashes")
		}
		controller, parameter, ok := strings.Cut(name, ".")
		if !ok || controller == "" || parameter == "" {
			return refuse(entry(at, name), "must have the form CONTROLLER.PARAMETER")
		}
		if err := noNUL(entry(at, name), files[name]); err != nil {
			return err
		}
	}
	return nil
}
