package integration

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// A limitFile is where a limit shows: controller, name and value on v1 and on v2; a name that is empty
// means that the hierarchy has no such thing.
type limitFile struct{ controller, v1, v1Value, v2, v2Value string }

func (f limitFile) check(e *harness.Env, cgroup string) {
	e.T.Helper()
	name, want := f.v1, f.v1Value
	if harness.CgroupVersion() == "v2" {
		name, want = f.v2, f.v2Value
	}
	if name == "" {
		return
	}
	path := harness.ControlFile(f.controller, cgroup, f.v1, f.v2)
	wantEqual(e.T, path, strings.TrimSpace(e.Read(path)), want)
}

var updateFlags = []struct {
	flags []string
	files []limitFile
}{
	{[]string{"--memory", "64m", "--memory-swap", "96m"}, []limitFile{
		{"memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"},
		{"memory", "memory.memsw.limit_in_bytes", "100663296", "memory.swap.max", "33554432"}}},
	// Upwards memory+swap has to be written first, downwards memory.
	{[]string{"--memory", "512m", "--memory-swap", "1g"}, []limitFile{
		{"memory", "memory.limit_in_bytes", "536870912", "memory.max", "536870912"},
		{"memory", "memory.memsw.limit_in_bytes", "1073741824", "memory.swap.max", "536870912"}}},
	{[]string{"--memory", "32m", "--memory-swap", "48m"}, []limitFile{
		{"memory", "memory.limit_in_bytes", "33554432", "memory.max", "33554432"},
		{"memory", "memory.memsw.limit_in_bytes", "50331648", "memory.swap.max", "16777216"}}},
	{[]string{"--memory", "-1"}, []limitFile{
		{"memory", "memory.limit_in_bytes", "9223372036854771712", "memory.max", "max"},
		{"memory", "memory.memsw.limit_in_bytes", "9223372036854771712", "memory.swap.max", "max"}}},
	{[]string{"--memory-reservation", "16m"}, []limitFile{{"memory", "memory.soft_limit_in_bytes", "16777216", "memory.low", "16777216"}}},
	{[]string{"--kernel-memory", "1m", "--kernel-memory-tcp", "1m"}, nil},
	{[]string{"--cpu-quota", "30000", "--cpu-period", "50000"}, []limitFile{
		{"cpu", "cpu.cfs_quota_us", "30000", "cpu.max", "30000 50000"}, {"cpu", "cpu.cfs_period_us", "50000", "", ""}}},
	{[]string{"--cpu-quota", "20000"}, []limitFile{{"cpu", "cpu.cfs_quota_us", "20000", "cpu.max", "20000 50000"}}},
	{[]string{"--cpu-burst", "10000"}, []limitFile{{"cpu", "cpu.cfs_burst_us", "10000", "cpu.max.burst", "10000"}}},
	{[]string{"--cpu-share", "2048"}, []limitFile{{"cpu", "cpu.shares", "2048", "", ""}}},
	{[]string{"--cpu-idle", "1"}, []limitFile{{"cpu", "cpu.idle", "1", "cpu.idle", "1"}}},
	{[]string{"--cpuset-cpus", "0", "--cpuset-mems", "0"}, []limitFile{
		{"cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"}, {"cpuset", "cpuset.mems", "0", "cpuset.mems", "0"}}},
	{[]string{"--pids-limit", "17"}, []limitFile{{"pids", "pids.max", "17", "pids.max", "17"}}},
	{[]string{"--pids-limit", "-1"}, []limitFile{{"pids", "pids.max", "max", "pids.max", "max"}}},
}

// Each row changes what it names and leaves the rest, as the rows before it have left it.
func TestUpdateByFlags(t *testing.T) {
	e := harness.New(t)
	needController(e, "memory")
	needController(e, "pids")
	cgroup := e.Cgroup("c")
	id, _ := detached(e, harness.CgroupsPath(cgroup))
	for _, row := range updateFlags {
		t.Run(strings.Join(row.flags, " "), func(t *testing.T) {
			e := e.On(t)
			if flag := row.flags[0]; !harness.IsRunack() && (flag == "--cpu-burst" || flag == "--cpu-idle") {
				t.Skipf("runc 1.1 has no %s", flag)
			}
			wantEqual(t, "output", e.OK(append(append([]string{"update"}, row.flags...), id)...), "")
			for _, f := range row.files {
				f.check(e, cgroup)
			}
		})
	}
	wantStatus(e, id, "running")
	remove(e, id)
}

// Real-time limits are v1's, of a kernel with CONFIG_RT_GROUP_SCHED; a cgroup can have no more than the
// one above, so this container's is right below the root.
func TestUpdateRealtime(t *testing.T) {
	e := harness.New(t)
	if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"); err != nil {
		t.Skip("the kernel has no real-time limits for cgroups here")
	}
	cgroup := "/" + e.ID("c")
	id, _ := detached(e, harness.CgroupsPath(cgroup))
	e.OK("update", "--cpu-rt-period", "500000", "--cpu-rt-runtime", "2000", id)
	limitFile{"cpu", "cpu.rt_period_us", "500000", "", ""}.check(e, cgroup)
	limitFile{"cpu", "cpu.rt_runtime_us", "2000", "", ""}.check(e, cgroup)
	e.OK("update", "--cpu-rt-runtime", "1000", id)
	limitFile{"cpu", "cpu.rt_runtime_us", "1000", "", ""}.check(e, cgroup)
	limitFile{"cpu", "cpu.rt_period_us", "500000", "", ""}.check(e, cgroup)
	remove(e, id)
}

// --resources, from a file or, as - , from standard input; other options are then ignored.
func TestUpdateFromResources(t *testing.T) {
	e := harness.New(t)
	needController(e, "pids")
	cgroup := e.Cgroup("c")
	id, _ := detached(e, harness.CgroupsPath(cgroup))
	limits := func(n int64) string {
		data, err := json.Marshal(specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	want := func(n string) { limitFile{"pids", "pids.max", n, "pids.max", n}.check(e, cgroup) }
	e.OK("update", "-r", e.File("resources.json", limits(21)), "--pids-limit", "99", id)
	want("21")
	e.Runtime("update", "-r", "-", id).Stdin(strings.NewReader(limits(22))).OK()
	want("22")
	for name, text := range map[string]string{"no JSON": "{", "a wrong type": `{"pids": 5}`, "nothing": ""} {
		r := e.Runtime("update", "--resources", "-", id).Stdin(strings.NewReader(text)).Do()
		if r.Code != 1 {
			t.Errorf("%s: %s", name, r)
		}
		if harness.IsRunack() {
			harness.OneLine(t, r.Stderr, "resources from standard input")
		}
	}
	want("22")
	remove(e, id)
}

// A limit that is refused is an error that names file, value and errno, and changes nothing.
func TestUpdateRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's own")
	needController(e, "memory")
	cgroup := e.Cgroup("c")
	id, _ := detached(e, harness.CgroupsPath(cgroup), memoryLimit(64<<20))
	for _, row := range []struct {
		flags []string
		want  []string
	}{
		{[]string{"--memory", "128m", "--memory-swap", "128m", "--cpuset-cpus", "4095"}, []string{`write "4095" to`, "/cpuset.cpus: "}},
		{[]string{"--memory", "64m", "--memory-swap", "32m"}, []string{"memory", "EINVAL (22)"}},
		{[]string{"--blkio-weight", "5000"}, []string{"weight"}},
		{[]string{"--pids-limit", "many"}, []string{`invalid value for pids-limit: "many"`}},
		{[]string{"--l3-cache-schema", "L3:0=f"}, []string{"RDT"}},
		{[]string{"--mem-bw-schema", "MB:0=20"}, []string{"RDT"}},
	} {
		t.Run(strings.Join(row.flags, " "), func(t *testing.T) {
			e := e.On(t)
			stderr := e.Fails(1, append(append([]string{"update"}, row.flags...), id)...)
			harness.OneLine(t, stderr, row.want...)
			limitFile{"memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"}.check(e, cgroup)
		})
	}
	remove(e, id)
}

func TestUpdateOfAStoppedContainer(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	harness.OneLine(t, e.Fails(1, "update", "--pids-limit", "5", id), "not running")
	e.OK("delete", id)
}
