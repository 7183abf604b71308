package cgroupjoin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Memory and memory+swap in any order of sizes: v1 refuses a moment in which the sum is below its
// part, so the order of the two writes depends on the old values and the new.
func TestUpdateMemoryBothWays(t *testing.T) {
	const mb = 1 << 20
	c := memoryLimited(t, 64*mb)
	for _, step := range []struct{ limit, swap int64 }{
		{128 * mb, 128 * mb}, {512 * mb, 1024 * mb}, {32 * mb, 48 * mb}, {64 * mb, 64 * mb}, {64 * mb, 512 * mb},
		{300 * mb, 300 * mb}, {100 * mb, 200 * mb}, {90 * mb, 120 * mb}, {1024 * mb, -1}, {256 * mb, 256 * mb},
		{-1, -1}, {48 * mb, 64 * mb},
	} {
		if err := c.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &step.limit, Swap: &step.swap}}); err != nil {
			t.Fatalf("%d, %d: %v", step.limit/mb, step.swap/mb, err)
		}
		if c.Layout() == V2 {
			continue // one file each, in no relation: TestLimits reads them
		}
		wantBytes(t, c, "memory/memory.limit_in_bytes", step.limit)
		wantBytes(t, c, "memory/memory.memsw.limit_in_bytes", step.swap)
	}
}

func wantBytes(t testing.TB, c *Cgroup, file string, want int64) {
	t.Helper()
	if want == -1 {
		c.wantFile(t, file, "9223372036854771712")
		return
	}
	text, _ := json.Marshal(want)
	c.wantFile(t, file, string(text))
}

// A limit below what is in use: refused, in words, and everything as before.
func TestUpdateMemoryBelowUsage(t *testing.T) {
	c := memoryLimited(t, 512<<20)
	big := fillMemory(t, c)
	err := c.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{
		Limit: ptr(int64(4 << 20)), Swap: ptr(int64(4 << 20)), CheckBeforeUpdate: ptr(true)}})
	if err == nil {
		t.Fatal("a limit far below the usage was accepted")
	}
	wantClean(t, err)
	for _, want := range []string{`"4194304"`, "EBUSY (16)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("not EBUSY: %v", err)
	}
	if got := value(c.Saved().Resources.Memory.Limit); got != 512<<20 {
		t.Errorf("the refused limit was saved: %d", got)
	}
	if c.Layout() != V2 {
		wantBytes(t, c, "memory/memory.limit_in_bytes", 512<<20)
	} else {
		wantBytes(t, c, "memory/memory.max", 512<<20)
	}
	if _, state := procStat(big.Process.Pid); state == "Z" || state == "" {
		t.Error("the process has ended")
	}
}

// One limit of several is refused: those already written are set back.
func TestUpdateSetsBack(t *testing.T) {
	c := created(t, &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}, CPU: &specs.LinuxCPU{Quota: ptr(int64(20000))},
	})
	needController(t, c, "memory")
	needController(t, c, "cpu")
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	before := c.Saved()
	// Both v1 and v2 write memory before cpu.
	err := c.Update(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(128 << 20))}, CPU: &specs.LinuxCPU{Quota: ptr(int64(3))},
	})
	if !errors.Is(err, unix.EINVAL) {
		t.Fatalf("Update: %v, want EINVAL", err)
	}
	file := "memory/memory.limit_in_bytes"
	if c.Layout() == V2 {
		file = "memory/memory.max"
	}
	wantBytes(t, c, file, 64<<20)
	if !reflect.DeepEqual(c.Saved(), before) {
		t.Errorf("saved %+v, want %+v", c.Saved(), before)
	}
}

// Quota and period go together, whichever of them an update names, and after a restart too.
func TestUpdateQuotaAlone(t *testing.T) {
	c := created(t, &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(20000)), Period: ptr(uint64(50000))}})
	needController(t, c, "cpu")
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	want := func(quota, period string) {
		t.Helper()
		if c.Layout() == V2 {
			c.wantFile(t, "cpu/cpu.max", quota+" "+period)
			return
		}
		c.wantFile(t, "cpu/cpu.cfs_quota_us", quota)
		c.wantFile(t, "cpu/cpu.cfs_period_us", period)
	}
	update := func(cpu specs.LinuxCPU) {
		t.Helper()
		again, err := Load(c.Saved())
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Update(&specs.LinuxResources{CPU: &cpu}); err != nil {
			t.Fatal(err)
		}
		c.saved = again.Saved()
	}
	want("20000", "50000")
	update(specs.LinuxCPU{Quota: ptr(int64(30000))})
	want("30000", "50000")
	update(specs.LinuxCPU{Period: ptr(uint64(60000))})
	want("30000", "60000")
	update(specs.LinuxCPU{Shares: ptr(uint64(512))})
	want("30000", "60000")
}

// Every file that an update has written before it came to the one that is refused is as it was, whether
// there was a limit before or not.
func TestUpdateSetsBackEveryFile(t *testing.T) {
	major, minor := diskDevice(t)
	throttle := func(rate uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: rate}
		d.Major, d.Minor = major, minor
		return []specs.LinuxThrottleDevice{d}
	}
	limits := func(n uint64) *specs.LinuxResources {
		return &specs.LinuxResources{
			Memory:  &specs.LinuxMemory{Limit: ptr(int64(n << 26)), Swap: ptr(int64(n << 27)), Reservation: ptr(int64(n << 25)), Swappiness: ptr(6 + n)},
			CPU:     &specs.LinuxCPU{Shares: ptr(512 * n), Quota: ptr(int64(20000 * n)), Period: ptr(50000 * n), Burst: ptr(10000 * n), Cpus: "0", Mems: "0"},
			Pids:    &specs.LinuxPids{Limit: ptr(int64(9 * n))},
			BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(200 * n)), ThrottleReadBpsDevice: throttle(1 << 20 * n), ThrottleWriteIOPSDevice: throttle(100 * n)},
		}
	}
	for name, before := range map[string]*specs.LinuxResources{"no limits": nil, "limits": limits(2)} {
		t.Run(name, func(t *testing.T) {
			c := created(t, nil)
			for _, name := range []string{"memory", "cpu", "pids"} {
				needController(t, c, name)
			}
			if before != nil {
				if err := c.Set(c.settable(before)); err != nil {
					t.Fatal(err)
				}
			}
			was, saved := c.limitTexts(t), c.Saved()
			update := c.settable(limits(1))
			// The kernel refuses it last, whatever the layout.
			update.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}
			if err := c.Update(update); err == nil || strings.Contains(err.Error(), "set limits back") {
				t.Fatalf("there are no pages of 3 MB: %v", err)
			}
			for file, text := range c.limitTexts(t) {
				if text != was[file] {
					t.Errorf("%s is %q, and was %q", file, text, was[file])
				}
			}
			if !reflect.DeepEqual(c.Saved(), saved) {
				t.Errorf("saved %+v, want %+v", c.Saved(), saved)
			}
		})
	}
}

// The files of linux.resources.unified are written in no certain order.
func TestUpdateSetsBackUnified(t *testing.T) {
	c := created(t, nil)
	if c.Layout() != V2 {
		t.Skip("unified is of v2")
	}
	needController(t, c, "memory")
	was := c.limitTexts(t)
	for range 8 {
		err := c.Update(&specs.LinuxResources{Unified: map[string]string{"memory.high": "10485760", "pids.max": "9", "memory.nothing": "1"}})
		if err == nil {
			t.Fatal("there is no file memory.nothing")
		}
		for file, text := range c.limitTexts(t) {
			if text != was[file] {
				t.Errorf("%s is %q, and was %q", file, text, was[file])
			}
		}
	}
}

// settable leaves out what this host has no file for.
func (c *Cgroup) settable(r *specs.LinuxResources) *specs.LinuxResources {
	for _, l := range limitsOf(r, c.saved.Layout) {
		if _, err := os.Stat(filepath.Join(c.dirOf(l.controller), l.file)); err == nil {
			continue
		}
		switch l.field {
		case "memory.swap":
			r.Memory.Swap = nil
		case "memory.swappiness":
			r.Memory.Swappiness = nil
		case "cpu.burst":
			r.CPU.Burst = nil
		case "cpu.cpus", "cpu.mems":
			r.CPU.Cpus, r.CPU.Mems = "", ""
		case "blockIO.weight":
			r.BlockIO.Weight = nil
		case "blockIO.throttleReadBpsDevice", "blockIO.throttleWriteIOPSDevice":
			r.BlockIO.ThrottleReadBpsDevice, r.BlockIO.ThrottleWriteIOPSDevice = nil, nil
		}
	}
	return r
}

// limitTexts reads whatever files of the cgroup can have a limit in them.
func (c *Cgroup) limitTexts(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range c.dirs() {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err != nil || info.IsDir() || info.Mode()&0o200 == 0 || !isLimit.MatchString(entry.Name()) {
				continue
			}
			file := filepath.Join(dir, entry.Name())
			if data, err := os.ReadFile(file); err == nil {
				out[file] = string(data)
			}
		}
	}
	if len(out) < 8 {
		t.Fatalf("only %d files with limits: %v", len(out), out)
	}
	return out
}

var isLimit = regexp.MustCompile(`limit_in_bytes|swappiness|oom_control|\.(max|high|low|min|weight|shares|cpus|mems|idle|burst)$|cfs_|weight|throttle\.(read|write)|classid|ifpriomap`)

// An idle cgroup has no weight: it is kept, and written when the cgroup is idle no more.
func TestUpdateIdle(t *testing.T) {
	c := created(t, &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(512)), Idle: ptr(int64(1))}})
	needController(t, c, "cpu")
	file, weight := "cpu/cpu.shares", "512"
	if c.Layout() == V2 {
		file, weight = "cpu/cpu.weight", fmt.Sprint(cgroups.ConvertCPUSharesToCgroupV2Value(512))
	}
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	c.wantFile(t, "cpu/cpu.idle", "1")
	for _, cpu := range []specs.LinuxCPU{{Quota: ptr(int64(20000))}, {Idle: ptr(int64(0))}} {
		if err := c.Update(&specs.LinuxResources{CPU: &cpu}); err != nil {
			t.Fatal(err)
		}
	}
	c.wantFile(t, "cpu/cpu.idle", "0")
	c.wantFile(t, file, weight)
}

func TestMerge(t *testing.T) {
	old := allResources()
	for _, test := range []struct {
		name, update, merged, toWrite string // JSON, of the parts that matter
	}{
		{"nothing", `{}`, ``, ``},
		{"stand-alone fields are not written again", `{"cpu":{"shares":100}}`,
			`{"cpu":{"shares":100,"quota":60000,"burst":7000,"period":80000,"realtimeRuntime":9000,"realtimePeriod":110000,"cpus":"0-1","mems":"0","idle":1}}`,
			`{"cpu":{"quota":60000,"period":80000,"realtimeRuntime":9000,"realtimePeriod":110000}}`},
		{"the weight comes back after idle", `{"cpu":{"idle":0}}`, ``,
			`{"cpu":{"shares":2048,"quota":60000,"period":80000,"realtimeRuntime":9000,"realtimePeriod":110000,"idle":0}}`},
		{"lifting the limit lifts swap", `{"memory":{"limit":-1}}`,
			`{"memory":{"limit":-1,"reservation":536870912,"swappiness":40,"disableOOMKiller":true,"checkBeforeUpdate":true}}`, ``},
		{"pids", `{"pids":{"limit":5}}`, `{"pids":{"limit":5}}`, `{"pids":{"limit":5}}`},
		{"pids unset", `{"pids":{}}`, `{"pids":{"limit":120}}`, `{"pids":{}}`},
		{"unified is added to", `{"unified":{"memory.min":"1"}}`,
			`{"unified":{"memory.high":"20971520","memory.min":"1"}}`, `{"unified":{"memory.min":"1"}}`},
		{"throttles by device", `{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":9},{"major":8,"minor":9,"rate":8}]}}`,
			`{"blockIO":{"weight":130,"leafWeight":140,"weightDevice":[{"major":8,"minor":5,"weight":310,"leafWeight":320}],
			"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":9},{"major":8,"minor":9,"rate":8}],
			"throttleWriteBpsDevice":[{"major":8,"minor":2,"rate":1502}],"throttleReadIOPSDevice":[{"major":8,"minor":3,"rate":1503}],
			"throttleWriteIOPSDevice":[{"major":8,"minor":4,"rate":1504}]}}`, ``},
		{"weights by device", `{"blockIO":{"weightDevice":[{"major":8,"minor":5,"weight":50},{"major":8,"minor":6,"leafWeight":60}]}}`,
			`{"blockIO":{"weight":130,"leafWeight":140,"weightDevice":[{"major":8,"minor":5,"weight":50,"leafWeight":320},{"major":8,"minor":6,"leafWeight":60}],
			"throttleReadBpsDevice":[{"major":8,"minor":1,"rate":1501}],"throttleWriteBpsDevice":[{"major":8,"minor":2,"rate":1502}],
			"throttleReadIOPSDevice":[{"major":8,"minor":3,"rate":1503}],"throttleWriteIOPSDevice":[{"major":8,"minor":4,"rate":1504}]}}`, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			var update specs.LinuxResources
			if err := json.Unmarshal([]byte(test.update), &update); err != nil {
				t.Fatal(err)
			}
			merged, toWrite := merge(old, &update)
			wantParts(t, "merged", merged, test.merged)
			wantParts(t, "to write", toWrite, test.toWrite)
			if !reflect.DeepEqual(old, allResources()) {
				t.Fatal("merge has changed the old limits")
			}
		})
	}
}

// wantParts compares the top-level fields that want has.
func wantParts(t testing.TB, what string, r *specs.LinuxResources, want string) {
	t.Helper()
	if want == "" {
		return
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got, wanted map[string]any
	if err := errors.Join(json.Unmarshal(data, &got), json.Unmarshal([]byte(want), &wanted)); err != nil {
		t.Fatal(err)
	}
	for key, w := range wanted {
		if !reflect.DeepEqual(got[key], w) {
			t.Errorf("%s: %s is %v, want %v", what, key, got[key], w)
		}
	}
}
