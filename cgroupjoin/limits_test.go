package cgroupjoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// diskDevice gives a block device's number: the kernel takes throttles for devices that exist only.
func diskDevice(t testing.TB) (major, minor int64) {
	t.Helper()
	files, _ := filepath.Glob("/sys/block/*/dev")
	for _, f := range files {
		if strings.Contains(f, "/zram") {
			continue
		}
		var dev [2]int64
		for i, part := range strings.SplitN(read(t, f), ":", 2) {
			for _, digit := range part {
				dev[i] = dev[i]*10 + int64(digit-'0')
			}
		}
		return dev[0], dev[1]
	}
	t.Skip("this host has no block device")
	return 0, 0
}

// limitTests has a row for every field of linux.resources: what is asked for, and what the files say
// afterwards on v1 and on v2. DEV stands for a block device, in limits as in files.
var limitTests = []struct {
	field  string
	r      func(major, minor int64) *specs.LinuxResources
	v1, v2 map[string]string // by controller/file; nil: the layout has no such thing, and ignores it
}{
	{"memory.limit", memory(specs.LinuxMemory{Limit: ptr(int64(64 << 20))}),
		map[string]string{"memory/memory.limit_in_bytes": "67108864"},
		map[string]string{"memory/memory.max": "67108864"}},
	{"memory.limit unlimited", memory(specs.LinuxMemory{Limit: ptr(int64(-1))}),
		map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.memsw.limit_in_bytes": "9223372036854771712"},
		map[string]string{"memory/memory.max": "max", "memory/memory.swap.max": "max"}},
	{"memory.swap", memory(specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(96 << 20))}),
		map[string]string{"memory/memory.memsw.limit_in_bytes": "100663296"},
		map[string]string{"memory/memory.swap.max": "33554432"}},
	{"memory.swap none", memory(specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20))}),
		map[string]string{"memory/memory.memsw.limit_in_bytes": "67108864"},
		map[string]string{"memory/memory.swap.max": "0"}},
	{"memory.reservation", memory(specs.LinuxMemory{Reservation: ptr(int64(32 << 20))}),
		map[string]string{"memory/memory.soft_limit_in_bytes": "33554432"},
		map[string]string{"memory/memory.low": "33554432"}},
	{"memory.swappiness", memory(specs.LinuxMemory{Swappiness: ptr(uint64(7))}),
		map[string]string{"memory/memory.swappiness": "7"}, nil},
	{"memory.disableOOMKiller", memory(specs.LinuxMemory{DisableOOMKiller: ptr(true)}),
		map[string]string{"memory/memory.oom_control": "oom_kill_disable 1*"}, nil},
	{"memory.kernel", memory(specs.LinuxMemory{Kernel: ptr(int64(1 << 20)), KernelTCP: ptr(int64(1 << 20))}), nil, nil},
	{"memory.useHierarchy", memory(specs.LinuxMemory{UseHierarchy: ptr(true)}), nil, nil},
	{"cpu.shares", cpu(specs.LinuxCPU{Shares: ptr(uint64(2048))}),
		map[string]string{"cpu/cpu.shares": "2048"}, map[string]string{"cpu/cpu.weight": "174"}},
	{"cpu.quota", cpu(specs.LinuxCPU{Quota: ptr(int64(30000))}),
		map[string]string{"cpu/cpu.cfs_quota_us": "30000"}, map[string]string{"cpu/cpu.max": "30000 100000"}},
	{"cpu.period", cpu(specs.LinuxCPU{Quota: ptr(int64(30000)), Period: ptr(uint64(50000))}),
		map[string]string{"cpu/cpu.cfs_quota_us": "30000", "cpu/cpu.cfs_period_us": "50000"},
		map[string]string{"cpu/cpu.max": "30000 50000"}},
	{"cpu.burst", cpu(specs.LinuxCPU{Quota: ptr(int64(30000)), Burst: ptr(uint64(20000))}),
		map[string]string{"cpu/cpu.cfs_burst_us": "20000"}, map[string]string{"cpu/cpu.max.burst": "20000"}},
	{"cpu.realtimeRuntime", cpu(specs.LinuxCPU{RealtimeRuntime: ptr(int64(5000))}),
		map[string]string{"cpu/cpu.rt_runtime_us": "5000"}, nil},
	{"cpu.realtimePeriod", cpu(specs.LinuxCPU{RealtimeRuntime: ptr(int64(5000)), RealtimePeriod: ptr(uint64(500000))}),
		map[string]string{"cpu/cpu.rt_runtime_us": "5000", "cpu/cpu.rt_period_us": "500000"}, nil},
	{"cpu.idle", cpu(specs.LinuxCPU{Idle: ptr(int64(1))}),
		map[string]string{"cpu/cpu.idle": "1"}, map[string]string{"cpu/cpu.idle": "1"}},
	{"cpu.cpus", cpu(specs.LinuxCPU{Cpus: "0"}),
		map[string]string{"cpuset/cpuset.cpus": "0"}, map[string]string{"cpuset/cpuset.cpus": "0"}},
	{"cpu.mems", cpu(specs.LinuxCPU{Mems: "0"}),
		map[string]string{"cpuset/cpuset.mems": "0"}, map[string]string{"cpuset/cpuset.mems": "0"}},
	{"pids.limit", pids(17), map[string]string{"pids/pids.max": "17"}, map[string]string{"pids/pids.max": "17"}},
	{"pids.limit unlimited", pids(-1), map[string]string{"pids/pids.max": "max"}, map[string]string{"pids/pids.max": "max"}},
	{"pids.limit zero", pids(0), map[string]string{"pids/pids.max": "1"}, map[string]string{"pids/pids.max": "1"}},
	{"blockIO.weight", blockIO(specs.LinuxBlockIO{Weight: ptr(uint16(300))}),
		map[string]string{"blkio/blkio.bfq.weight": "300"}, map[string]string{"io/io.bfq.weight": "default 300"}},
	{"blockIO.weight without bfq", blockIO(specs.LinuxBlockIO{Weight: ptr(uint16(300))}),
		nil, map[string]string{"io/io.weight": "default 2930"}},
	{"blockIO.throttleReadBpsDevice", throttle(func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleReadBpsDevice = d }),
		map[string]string{"blkio/blkio.throttle.read_bps_device": "DEV 1048576"},
		map[string]string{"io/io.max": "DEV rbps=1048576 wbps=max riops=max wiops=max"}},
	{"blockIO.throttleWriteBpsDevice", throttle(func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleWriteBpsDevice = d }),
		map[string]string{"blkio/blkio.throttle.write_bps_device": "DEV 1048576"},
		map[string]string{"io/io.max": "DEV rbps=max wbps=1048576 riops=max wiops=max"}},
	{"blockIO.throttleReadIOPSDevice", throttle(func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleReadIOPSDevice = d }),
		map[string]string{"blkio/blkio.throttle.read_iops_device": "DEV 1048576"},
		map[string]string{"io/io.max": "DEV rbps=max wbps=max riops=1048576 wiops=max"}},
	{"blockIO.throttleWriteIOPSDevice", throttle(func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleWriteIOPSDevice = d }),
		map[string]string{"blkio/blkio.throttle.write_iops_device": "DEV 1048576"},
		map[string]string{"io/io.max": "DEV rbps=max wbps=max riops=max wiops=1048576"}},
	{"hugepageLimits", fixed(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 21}}}),
		map[string]string{"hugetlb/hugetlb.2MB.limit_in_bytes": "8388608", "hugetlb/hugetlb.2MB.rsvd.limit_in_bytes": "8388608"},
		map[string]string{"hugetlb/hugetlb.2MB.max": "8388608", "hugetlb/hugetlb.2MB.rsvd.max": "8388608"}},
	{"network.classID", fixed(specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(0x100001))}}),
		map[string]string{"net_cls/net_cls.classid": "1048577"}, nil},
	{"network.priorities", fixed(specs.LinuxResources{Network: &specs.LinuxNetwork{
		Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 3}}}}),
		map[string]string{"net_prio/net_prio.ifpriomap": "lo 3*"}, nil},
	{"unified", fixed(specs.LinuxResources{Unified: map[string]string{"hugetlb.2MB.max": "4194304"}}),
		nil, map[string]string{"hugetlb/hugetlb.2MB.max": "4194304"}},
	{"unified memory.high", fixed(specs.LinuxResources{Unified: map[string]string{"memory.high": "20971520", "memory.oom.group": "1"}}),
		nil, map[string]string{"memory/memory.high": "20971520", "memory/memory.oom.group": "1"}},
}

func fixed(r specs.LinuxResources) func(int64, int64) *specs.LinuxResources {
	return func(int64, int64) *specs.LinuxResources { return &r }
}

func memory(m specs.LinuxMemory) func(int64, int64) *specs.LinuxResources {
	return fixed(specs.LinuxResources{Memory: &m})
}

func cpu(c specs.LinuxCPU) func(int64, int64) *specs.LinuxResources {
	return fixed(specs.LinuxResources{CPU: &c})
}

func pids(n int64) func(int64, int64) *specs.LinuxResources {
	return fixed(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}})
}

func blockIO(b specs.LinuxBlockIO) func(int64, int64) *specs.LinuxResources {
	return fixed(specs.LinuxResources{BlockIO: &b})
}

func throttle(set func(*specs.LinuxBlockIO, []specs.LinuxThrottleDevice)) func(int64, int64) *specs.LinuxResources {
	return func(major, minor int64) *specs.LinuxResources {
		d := specs.LinuxThrottleDevice{Rate: 1 << 20}
		d.Major, d.Minor = major, minor
		b := &specs.LinuxBlockIO{}
		set(b, []specs.LinuxThrottleDevice{d})
		return &specs.LinuxResources{BlockIO: b}
	}
}

// TestLimits sets every field and reads the kernel's files.
func TestLimits(t *testing.T) {
	needRoot(t)
	major, minor := diskDevice(t)
	for _, test := range limitTests {
		t.Run(test.field, func(t *testing.T) {
			r := test.r(major, minor)
			host, err := Detect()
			if err != nil {
				t.Fatal(err)
			}
			want := test.v1
			if host.Layout == V2 {
				want = test.v2
			}
			if len(r.Unified) > 0 && host.Layout != V2 {
				if _, err := New(Config{ID: name(), Resources: r}); err == nil || !strings.Contains(err.Error(), "unified") {
					t.Errorf("unified on %s: %v", host.Layout, err)
				}
				return
			}
			if test.field == "blockIO.weight without bfq" && want == nil {
				t.Skip("v1 has one file for it, with bfq alone")
			}
			c := created(t, r)
			for file := range want {
				needController(t, c, filepath.Dir(file))
				if _, err := os.Stat(c.file(file)); err != nil {
					t.Skipf("this kernel has no %s", file)
				}
			}
			if _, err := os.Stat(c.file("io/io.bfq.weight")); err == nil && want["io/io.weight"] != "" {
				t.Skip("this kernel has bfq")
			}
			if err := c.Set(nil); err != nil {
				t.Fatalf("Set: %v", err)
			}
			for file, value := range want {
				c.wantFile(t, file, strings.Replace(value, "DEV", devName(major, minor), 1))
			}
		})
	}
}

func devName(major, minor int64) string {
	d := specs.LinuxThrottleDevice{}
	d.Major, d.Minor = major, minor
	return strings.Fields(limitsOf(&specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{d}}}, V1)[0].value)[0]
}

// file gives the path of "controller/file".
func (c *Cgroup) file(name string) string {
	return filepath.Join(c.dirOf(filepath.Dir(name)), filepath.Base(name))
}

// wantFile compares a file's text; a value that ends in * is its beginning.
func (c *Cgroup) wantFile(t testing.TB, file, want string) {
	t.Helper()
	got := strings.Join(strings.Fields(read(t, c.file(file))), " ")
	if start, ok := strings.CutSuffix(want, "*"); ok {
		if !strings.HasPrefix(got, start) {
			t.Errorf("%s is %q, want it to start with %q", file, got, start)
		}
		return
	}
	if got != want {
		t.Errorf("%s is %q, want %q", file, got, want)
	}
}

// TestMissingController: a limit that this host has no hierarchy for is an error that says which.
func TestMissingController(t *testing.T) {
	needRoot(t)
	major, minor := diskDevice(t)
	tried := 0
	for _, test := range limitTests {
		r := test.r(major, minor)
		host, err := Detect()
		if err != nil {
			t.Fatal(err)
		}
		want, first := test.v1, V1
		if host.Layout == V2 {
			want, first = test.v2, V2
		}
		if len(want) == 0 {
			continue
		}
		c := newCgroup(t, r)
		if err := c.Create(); err != nil {
			t.Fatal(err)
		}
		l := limitsOf(r, first)[0]
		// Turning swap off where there is none is fine, and so is lifting a limit.
		if l.controller == "" || hasController(c, l.controller) || l.value == "-1" {
			continue
		}
		tried++
		t.Run(test.field, func(t *testing.T) {
			err := c.Set(nil)
			if err == nil {
				t.Fatalf("no error without the %s controller", l.controller)
			}
			wantClean(t, err)
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, unix.ENOENT) || filepath.Base(e.File) == "" || e.Value == "" ||
				!strings.Contains(err.Error(), "ENOENT (2)") || !strings.Contains(err.Error(), "controller "+l.controller) {
				t.Errorf("want file, value, errno and controller: %v", err)
			}
		})
	}
	if tried == 0 {
		t.Skip("this host has every controller")
	}
}

// blkio.leaf_weight went with the CFQ scheduler (Linux 5.0). Who asks for one is told so on v1, and on
// v2, which never had it, is not.
func TestLimitsThatAreGone(t *testing.T) {
	c := created(t, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr(uint16(300))}})
	err := c.Set(nil)
	if c.Layout() == V2 {
		if err != nil {
			t.Errorf("Set: %v", err)
		}
		return
	}
	needController(t, c, "blkio")
	if err == nil {
		c.wantFile(t, "blkio/blkio.leaf_weight", "300")
		return
	}
	wantClean(t, err)
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), `write "300" to `+c.file("blkio/blkio.leaf_weight")) {
		t.Errorf("want ENOENT with value and file: %v", err)
	}
}

// rdma limits go by the name of an adapter. Without one the kernel has the word: EINVAL.
func TestRdma(t *testing.T) {
	adapter := "runack0"
	if found, _ := filepath.Glob("/sys/class/infiniband/*"); len(found) > 0 {
		adapter = filepath.Base(found[0])
	}
	c := created(t, &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{adapter: {HcaHandles: ptr(uint32(3)), HcaObjects: ptr(uint32(4))}}})
	needController(t, c, "rdma")
	err := c.Set(nil)
	if adapter != "runack0" {
		if err != nil {
			t.Fatal(err)
		}
		c.wantFile(t, "rdma/rdma.max", adapter+" hca_handle=3 hca_object=4*")
		return
	}
	if err == nil {
		t.Fatal("a limit for an adapter that is not there was taken")
	}
	wantClean(t, err)
	for _, want := range []string{adapter, "hca_handle=3", "rdma.max: ", " ("} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

// Weights by device are the BFQ scheduler's. In the virtual machine the disk is given it; elsewhere the
// kernel refuses (v1), or has no file for it, and the field is ignored (v2).
func TestWeightDevice(t *testing.T) {
	major, minor := diskDevice(t)
	d := specs.LinuxWeightDevice{Weight: ptr(uint16(310))}
	d.Major, d.Minor = major, minor
	c := created(t, &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{d}}})
	file, want := "blkio/blkio.bfq.weight_device", devName(major, minor)+" 310"
	if c.Layout() == V2 {
		file, want = "io/io.bfq.weight", "default 100 "+want
	}
	needController(t, c, filepath.Dir(file))
	if _, err := os.Stat(c.file(file)); err != nil {
		if err := c.Set(nil); err != nil && c.Layout() == V2 {
			t.Errorf("not ignored: %v", err)
		}
		t.Skipf("this kernel has no %s", filepath.Base(file))
	}
	hasBFQ := useBFQ(t, major, minor)
	err := c.Set(nil)
	if !hasBFQ {
		if !errors.Is(err, unix.EOPNOTSUPP) || !strings.Contains(err.Error(), devName(major, minor)+" 310") {
			t.Errorf("want EOPNOTSUPP with the value: %v", err)
		}
		t.Skip("no disk here has the BFQ scheduler: what was seen is the refusal")
	}
	if err != nil {
		t.Fatal(err)
	}
	c.wantFile(t, file, want)
}

// useBFQ reports whether the device has the scheduler. In the virtual machine, whose disks are ours, it
// is given it until the test ends.
func useBFQ(t testing.TB, major, minor int64) bool {
	t.Helper()
	file := fmt.Sprintf("/sys/dev/block/%d:%d/queue/scheduler", major, minor)
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	if strings.Contains(string(text), "[bfq]") {
		return true
	}
	if os.Getenv("RUNACK_VM") == "" || !strings.Contains(string(text), "bfq") {
		return false
	}
	_, old, _ := strings.Cut(string(text), "[")
	old, _, _ = strings.Cut(old, "]")
	write(t, "bfq", file)
	t.Cleanup(func() { write(t, old, file) })
	return true
}
