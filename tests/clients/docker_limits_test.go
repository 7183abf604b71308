package clients

import (
	"strings"

	"runack/tests/harness"
)

// Limits, from the start and changed later.
var dockerLimits = []feature[docker]{
	{"--pids-limit", func(d docker) {
		id := d.start(with("--pids-limit", "5"), "sh", "-c", "sleep 600 & sleep 600 & sleep 600 & sleep 600 & echo full; wait")
		d.logged(id, "full")
		wantEqual(d.T, "pids.max", d.control(id, "pids", "pids.max", "pids.max"), "5")
		for range rounds(5, 100) {
			wantEqual(d.T, "exec at the limit", d.exec(id, "echo", "admitted"), "admitted\n")
		}
		r := d.run(with("--pids-limit", "1"), "sh", "-c", "(true); echo forked")
		if r.Code == 0 {
			d.T.Errorf("a second process at a limit of 1: %s", r)
		}
		wantEqual(d.T, "a limit of 1", d.out(with("--pids-limit", "1"), "echo", "runs"), "runs\n")
	}},
	{"--memory and OOMKilled", func(d docker) {
		id := d.start(with("--memory", "16m", "--memory-swap", "16m"), "sh", "-c", "head -c 64m /dev/zero | tail; exit $?")
		events := d.events(id)
		until(events, "die")
		wantEqual(d.T, "the end", d.inspect(id, "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137")
		id = d.waiter("--memory", "16m")
		wantEqual(d.T, "the limit", d.control(id, "memory", "memory.limit_in_bytes", "memory.max"), "16777216")
		d.ok("stop", id)
		wantEqual(d.T, "without an OOM", d.inspect(id, "{{.State.OOMKilled}}"), "false")
	}},
	{"--memory, the least", func(d docker) {
		wantEqual(d.T, "with 6 MiB", d.out(with("--memory", "6m", "--memory-swap", "6m"), "echo", "runs"), "runs\n")
	}},
	{"--cpus, --cpu-shares, --cpuset-cpus", func(d docker) {
		id := d.waiter("--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0")
		if harness.CgroupVersion() == "v2" {
			wantEqual(d.T, "cpu.max", d.control(id, "", "", "cpu.max"), "50000 100000")
		} else {
			wantEqual(d.T, "quota", d.control(id, "cpu", "cpu.cfs_quota_us", ""), "50000")
			wantEqual(d.T, "period", d.control(id, "cpu", "cpu.cfs_period_us", ""), "100000")
			wantEqual(d.T, "shares", d.control(id, "cpu", "cpu.shares", ""), "512")
		}
		wantEqual(d.T, "CPUs", field(d.exec(id, "cat", "/proc/1/status"), "Cpus_allowed_list"), "0")
	}},
	{"update", func(d docker) {
		id := d.waiter("--memory", "64m", "--memory-swap", "128m")
		limit := func() string { return d.control(id, "memory", "memory.limit_in_bytes", "memory.max") }
		// Up above the old swap limit and down below the old memory limit: each order of the two
		// writes is wrong for one of them.
		for _, step := range [][3]string{{"256m", "512m", "268435456"}, {"32m", "48m", "33554432"}, {"128m", "128m", "134217728"}} {
			d.ok("update", "--memory", step[0], "--memory-swap", step[1], id)
			wantEqual(d.T, "memory after update "+step[0], limit(), step[2])
		}
		d.ok("update", "--pids-limit", "77", "--cpu-quota", "25000", "--cpu-period", "50000", "--cpuset-cpus", "0", id)
		wantEqual(d.T, "pids", d.control(id, "pids", "pids.max", "pids.max"), "77")
		if harness.CgroupVersion() == "v2" {
			wantEqual(d.T, "cpu.max", d.control(id, "", "", "cpu.max"), "25000 50000")
		} else {
			wantEqual(d.T, "quota", d.control(id, "cpu", "cpu.cfs_quota_us", ""), "25000")
		}
		wantEqual(d.T, "CPUs", field(d.exec(id, "cat", "/proc/1/status"), "Cpus_allowed_list"), "0")
		wantEqual(d.T, "memory after an update of others", limit(), "134217728")
	}},
	{"--ulimit", func(d docker) {
		out := d.out(with("--ulimit", "nofile=123:456", "--ulimit", "core=0"), "probe", "limits")
		wantContains(d.T, "limits", out, "7 123 456\n", "4 0 0\n")
	}},
	{"--oom-score-adj", func(d docker) {
		wantEqual(d.T, "the score", d.out(with("--oom-score-adj", "500"), "cat", "/proc/self/oom_score_adj"), "500\n")
	}},
	{"--shm-size", func(d docker) {
		out := d.out(with("--shm-size", "8m"), "df", "-k", "/dev/shm")
		wantContains(d.T, "df", strings.Join(strings.Fields(out), " "), "shm 8192 ")
	}},
}
