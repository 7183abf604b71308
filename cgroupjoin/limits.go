package cgroupjoin

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A limit is one field of linux.resources as it reaches the kernel. The library does the writing;
// this table names the file and the value in errors, tells whether a container asks for limits at
// all, and is what docs/cgroups.md and the tests go through.
type limit struct {
	field      string // of linux.resources: "memory.limit"
	controller string
	file       string
	value      string
}

// limitsOf lists what r asks for on a layout, but for device rules. A field that the layout has no
// file for is not in the list: runc ignores it there, and so does this package.
func limitsOf(r *specs.LinuxResources, layout Layout) []limit {
	if r == nil {
		return nil
	}
	l := &limitList{v2: layout == V2}
	l.memory(r.Memory)
	l.cpu(r.CPU)
	if r.Pids != nil && r.Pids.Limit != nil {
		l.both("pids.limit", "pids", "pids.max", "pids.max", pidsMax(*r.Pids.Limit))
	}
	l.blockIO(r.BlockIO)
	for _, h := range r.HugepageLimits {
		l.hugepage(h)
	}
	l.network(r.Network)
	for device := range r.Rdma {
		l.both("rdma."+device, "rdma", "rdma.max", "rdma.max", device)
	}
	for file, v := range r.Unified {
		l.both("unified."+file, "", "", file, v)
	}
	return l.limits
}

type limitList struct {
	v2     bool
	limits []limit
}

// both adds a limit under the name of the layout's file; an empty name means there is none.
func (l *limitList) both(field, controller, v1, v2, value string) {
	file := v1
	if l.v2 {
		file = v2
	}
	if file != "" {
		l.limits = append(l.limits, limit{field, controller, file, value})
	}
}

func (l *limitList) number(field, controller, v1, v2 string, n *int64) {
	if n != nil && *n != 0 {
		l.both(field, controller, v1, v2, strconv.FormatInt(*n, 10))
	}
}

func (l *limitList) unsigned(field, controller, v1, v2 string, n *uint64) {
	if n != nil {
		l.both(field, controller, v1, v2, strconv.FormatUint(*n, 10))
	}
}

func pidsMax(n int64) string {
	switch {
	case n < 0:
		return "max"
	case n == 0:
		return "1" // as the library has it, for systemd's sake
	}
	return strconv.FormatInt(n, 10)
}

func (l *limitList) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	l.number("memory.limit", "memory", "memory.limit_in_bytes", "memory.max", m.Limit)
	l.number("memory.swap", "memory", "memory.memsw.limit_in_bytes", "memory.swap.max", m.Swap)
	l.number("memory.reservation", "memory", "memory.soft_limit_in_bytes", "memory.low", m.Reservation)
	l.unsigned("memory.swappiness", "memory", "memory.swappiness", "", m.Swappiness)
	if value(m.DisableOOMKiller) {
		l.both("memory.disableOOMKiller", "memory", "memory.oom_control", "", "1")
	}
}

func (l *limitList) cpu(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	if s := value(c.Shares); s != 0 {
		v := s
		if l.v2 {
			v = cgroups.ConvertCPUSharesToCgroupV2Value(s)
		}
		l.unsigned("cpu.shares", "cpu", "cpu.shares", "cpu.weight", &v)
	}
	l.number("cpu.quota", "cpu", "cpu.cfs_quota_us", "cpu.max", c.Quota)
	if value(c.Period) != 0 {
		l.unsigned("cpu.period", "cpu", "cpu.cfs_period_us", "cpu.max", c.Period)
	}
	l.unsigned("cpu.burst", "cpu", "cpu.cfs_burst_us", "cpu.max.burst", c.Burst)
	l.number("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", "", c.RealtimeRuntime)
	if value(c.RealtimePeriod) != 0 {
		l.unsigned("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", "", c.RealtimePeriod)
	}
	if c.Idle != nil {
		l.both("cpu.idle", "cpu", "cpu.idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	if c.Cpus != "" {
		l.both("cpu.cpus", "cpuset", "cpuset.cpus", "cpuset.cpus", c.Cpus)
	}
	if c.Mems != "" {
		l.both("cpu.mems", "cpuset", "cpuset.mems", "cpuset.mems", c.Mems)
	}
}

func (l *limitList) blockIO(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	io := "io"
	if !l.v2 {
		io = "blkio"
	}
	if w := value(b.Weight); w != 0 {
		v := uint64(w)
		l.unsigned("blockIO.weight", io, "blkio.weight", "io.weight", &v)
	}
	if w := value(b.LeafWeight); w != 0 {
		v := uint64(w)
		l.unsigned("blockIO.leafWeight", io, "blkio.leaf_weight", "", &v)
	}
	for _, d := range b.WeightDevice {
		l.both("blockIO.weightDevice", io, "blkio.weight_device", "io.bfq.weight",
			cgroups.NewWeightDevice(d.Major, d.Minor, value(d.Weight), 0).WeightString())
	}
	l.throttle("blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice)
	l.throttle("blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice)
	l.throttle("blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice)
	l.throttle("blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice)
}

func (l *limitList) throttle(field, v1, key string, devices []specs.LinuxThrottleDevice) {
	for _, d := range devices {
		t := cgroups.NewThrottleDevice(d.Major, d.Minor, d.Rate)
		if l.v2 {
			l.both(field, "io", "", "io.max", t.StringName(key))
		} else {
			l.both(field, "blkio", v1, "", t.String())
		}
	}
}

func (l *limitList) hugepage(h specs.LinuxHugepageLimit) {
	v, prefix := strconv.FormatUint(h.Limit, 10), "hugetlb."+h.Pagesize
	l.both("hugepageLimits", "hugetlb", prefix+".limit_in_bytes", prefix+".max", v)
	l.both("hugepageLimits", "hugetlb", prefix+".rsvd.limit_in_bytes", prefix+".rsvd.max", v)
}

func (l *limitList) network(n *specs.LinuxNetwork) {
	if n == nil {
		return
	}
	if id := value(n.ClassID); id != 0 {
		l.both("network.classID", "net_cls", "net_cls.classid", "", strconv.FormatUint(uint64(id), 10))
	}
	for _, p := range n.Priorities {
		l.both("network.priorities", "net_prio", "net_prio.ifpriomap", "",
			p.Name+" "+strconv.FormatUint(uint64(p.Priority), 10))
	}
}

// explainLimit completes an error of the library's Set with what it leaves out: the value, where the
// file could not be opened; the file and the errno, where the library checks by itself; and the
// controller, where there is none.
func (c *Cgroup) explainLimit(r *specs.LinuxResources, err error) error {
	e := explain("set limit", err)
	limits := limitsOf(r, c.saved.Layout)
	if e.File == "" {
		return c.explainRefusal(limits, err)
	}
	for _, l := range limits {
		if l.file != filepath.Base(e.File) {
			continue
		}
		if e.Value == "" {
			e.Value = l.value
		}
		if e.Detail == "" && errors.Is(err, unix.ENOENT) && l.controller != "" {
			e.Detail = "controller " + l.controller + " is not available (" + l.field + ")"
		}
	}
	return e
}

// refusals are the library's own checks, by how their texts begin.
var refusals = []struct {
	text, field string
	errno       unix.Errno
}{
	{"unable to set memory limit to", "memory.limit", unix.EBUSY},
	{"rejecting memory limit", "memory.limit", unix.EBUSY},
	{"rejecting memory+swap limit", "memory.swap", unix.EBUSY},
	{"unable to set swap limit without", "memory.swap", unix.EINVAL},
	{"memory+swap limit should be", "memory.swap", unix.EINVAL},
	{"invalid memory", "memory.limit", unix.EINVAL},
	{"invalid memory swappiness", "memory.swappiness", unix.EINVAL},
	{"the maximum allowed cpu-shares", "cpu.shares", unix.ERANGE},
	{"the minimum allowed cpu-shares", "cpu.shares", unix.ERANGE},
	{"unified resource", "unified.", unix.EINVAL},
}

func (c *Cgroup) explainRefusal(limits []limit, err error) error {
	text := err.Error()
	if strings.HasPrefix(text, "cannot set ") {
		return c.missingController(limits, err)
	}
	e := &Error{Step: "set limit", Err: err}
	for _, r := range refusals {
		if !strings.HasPrefix(text, r.text) {
			continue
		}
		for _, l := range limits {
			if l.field != r.field && (r.field != "unified." || !strings.Contains(text, strconv.Quote(l.file))) {
				continue
			}
			e = &Error{Step: "set limit", File: filepath.Join(c.dirOf(l.controller), l.file), Value: l.value,
				Err: r.errno, Detail: text}
		}
	}
	return e
}

// missingController names the first limit whose hierarchy the container has no directory in.
func (c *Cgroup) missingController(limits []limit, err error) error {
	for _, l := range limits {
		if c.dirOf(l.controller) == "" {
			return &Error{Step: "set limit", File: l.file, Value: l.value, Err: unix.ENOENT,
				Detail: "controller " + l.controller + " is not mounted, or not to be had (" + l.field + ")"}
		}
	}
	return &Error{Step: "set limit", Err: err}
}

// dirOf gives the directory whose files belong to a controller, "" where there is none.
func (c *Cgroup) dirOf(controller string) string {
	if c.saved.Layout == V2 {
		return c.saved.Paths[""]
	}
	return c.saved.Paths[controller]
}
