package cgroupjoin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	devices "github.com/opencontainers/cgroups/devices/config"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// sampleResources are limits that every layout's kernel takes, where it has the controllers.
func sampleResources() *specs.LinuxResources {
	return &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
}

// allResources has a value in every field, each another one.
func allResources() *specs.LinuxResources {
	throttle := func(minor int64, rate uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = 8, minor
		return []specs.LinuxThrottleDevice{d}
	}
	weight := specs.LinuxWeightDevice{Weight: ptr(uint16(310)), LeafWeight: ptr(uint16(320))}
	weight.Major, weight.Minor = 8, 5
	return &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{
			{Allow: false, Access: "rwm"},
			{Allow: true, Type: "c", Major: ptr(int64(10)), Minor: ptr(int64(229)), Access: "rw"},
			{Allow: true, Type: "b", Major: ptr(int64(8)), Access: "r"},
			{Allow: true, Type: "a", Access: "m"},
		},
		Memory: &specs.LinuxMemory{
			Limit: ptr(int64(1 << 30)), Reservation: ptr(int64(2 << 28)), Swap: ptr(int64(3 << 30)),
			Swappiness: ptr(uint64(40)), DisableOOMKiller: ptr(true), CheckBeforeUpdate: ptr(true),
		},
		CPU: &specs.LinuxCPU{
			Shares: ptr(uint64(2048)), Quota: ptr(int64(60000)), Burst: ptr(uint64(7000)), Period: ptr(uint64(80000)),
			RealtimeRuntime: ptr(int64(9000)), RealtimePeriod: ptr(uint64(110000)), Cpus: "0-1", Mems: "0",
			Idle: ptr(int64(1)),
		},
		Pids: &specs.LinuxPids{Limit: ptr(int64(120))},
		BlockIO: &specs.LinuxBlockIO{
			Weight: ptr(uint16(130)), LeafWeight: ptr(uint16(140)), WeightDevice: []specs.LinuxWeightDevice{weight},
			ThrottleReadBpsDevice: throttle(1, 1501), ThrottleWriteBpsDevice: throttle(2, 1502),
			ThrottleReadIOPSDevice: throttle(3, 1503), ThrottleWriteIOPSDevice: throttle(4, 1504),
		},
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 16 << 21}},
		Network: &specs.LinuxNetwork{
			ClassID: ptr(uint32(0x100001)), Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 17}},
		},
		Rdma:    map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: ptr(uint32(18)), HcaObjects: ptr(uint32(19))}},
		Unified: map[string]string{"memory.high": "20971520"},
	}
}

func TestDefaultDevices(t *testing.T) {
	has := func(rules []*devices.Rule, major, minor int64) bool {
		return slices.ContainsFunc(rules, func(r *devices.Rule) bool { return r.Major == major && r.Minor == minor })
	}
	all, err := convert(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Devices) != len(defaultDevices) || !has(all.Devices, 1, 3) {
		t.Errorf("without resources: %d rules, want the %d default ones", len(all.Devices), len(defaultDevices))
	}
	replaced, err := convert(nil, []specs.LinuxDevice{{Path: "/dev/null"}, {Path: "/dev/fuse"}})
	if err != nil {
		t.Fatal(err)
	}
	if has(replaced.Devices, 1, 3) || !has(replaced.Devices, 1, 5) || len(replaced.Devices) != len(defaultDevices)-1 {
		t.Error("a device of the configuration at /dev/null must replace that default rule and no other")
	}
}

func TestBadDeviceRules(t *testing.T) {
	for _, test := range []struct {
		name string
		rule specs.LinuxDeviceCgroup
		want string
	}{
		{"type", specs.LinuxDeviceCgroup{Type: "x", Access: "r"}, `invalid cgroup device type "x"`},
		{"no access", specs.LinuxDeviceCgroup{Type: "c"}, "device access at 1 field cannot be empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := convert(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}, test.rule}}, nil)
			if err == nil || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains(err.Error(), "linux.resources.devices[1]") {
				t.Errorf("got %v, want EINVAL and %q", err, test.want)
			}
		})
	}
}

// The table of limits has a row for every field, and only for what the layout knows.
func TestLimitsOf(t *testing.T) {
	fields := func(layout Layout) []string {
		var out []string
		for _, l := range limitsOf(allResources(), layout) {
			if l.value == "" || l.file == "" || (l.controller == "" && !strings.HasPrefix(l.field, "unified.")) {
				t.Errorf("%s: incomplete row %+v", layout, l)
			}
			if !slices.Contains(out, l.field) {
				out = append(out, l.field)
			}
		}
		slices.Sort(out)
		return out
	}
	onlyV1 := []string{
		"blockIO.leafWeight", "cpu.realtimePeriod", "cpu.realtimeRuntime", "memory.disableOOMKiller",
		"memory.swappiness", "network.classID", "network.priorities",
	}
	v1, v2 := fields(V1), fields(V2)
	for _, f := range v1 {
		if slices.Contains(onlyV1, f) == slices.Contains(v2, f) {
			t.Errorf("field %s: on v2 %v", f, slices.Contains(v2, f))
		}
	}
	if !slices.Contains(v2, "unified.memory.high") || slices.Contains(v1, "unified.memory.high") {
		t.Error("unified is for v2 alone")
	}
	if len(v1) != 26 {
		t.Errorf("%d fields on v1: %q", len(v1), v1)
	}
}

func TestNeedsLimits(t *testing.T) {
	for _, test := range []struct {
		name string
		r    *specs.LinuxResources
		want bool
	}{
		{"nil", nil, false},
		{"empty", &specs.LinuxResources{Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{}, Pids: &specs.LinuxPids{}}, false},
		{"devices", sampleResources(), false},
		{"pids", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(0))}}, true},
		{"v1 alone", &specs.LinuxResources{Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(1))}}, true},
		{"v2 alone", &specs.LinuxResources{Unified: map[string]string{"memory.high": "1"}}, true},
	} {
		if got := needsLimits(test.r); got != test.want {
			t.Errorf("needsLimits(%s) = %v", test.name, got)
		}
	}
}
