package clients

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// What happens to a container that runs.
var dockerLife = []feature[docker]{
	{"stop", func(d docker) {
		id := d.waiter()
		d.ok("stop", id)
		wantEqual(d.T, "exit code after TERM", d.inspect(id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 0")

		id = d.start(with("--stop-signal", "USR1"), "sh", "-c", "trap 'exit 3' USR1; echo ready; while :; do sleep 0.05; done")
		d.logged(id, "ready")
		d.ok("stop", id)
		wantEqual(d.T, "exit code after --stop-signal", d.inspect(id, "{{.State.ExitCode}}"), "3")

		id = d.start(nil, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
		d.logged(id, "ready")
		d.ok("stop", "-t", "1", id)
		wantEqual(d.T, "exit code after KILL", d.inspect(id, "{{.State.ExitCode}}"), "137")
	}},
	{"kill", func(d docker) {
		id := d.waiter()
		for _, signal := range []string{"HUP", "SIGUSR1", "12", "RTMIN+3"} {
			d.ok("kill", "-s", signal, id)
		}
		for _, number := range []string{"signal 1", "signal 10", "signal 12", "signal 37"} {
			d.logged(id, number)
		}
		d.ok("kill", id)
		wantEqual(d.T, "exit code", d.wait(id), "137")
		r := d.cmd("kill", id).Do()
		wantCode(d.T, r, 1)
		wantContains(d.T, "the error", r.Stderr, "is not running")
	}},
	{"restart", func(d docker) {
		id := d.waiter()
		pid := d.pidOf(id)
		d.ok("restart", id)
		if d.pidOf(id) == pid {
			d.T.Errorf("pid %d before and after", pid)
		}
		d.ok("stop", id)
		d.ok("start", id)
		wantEqual(d.T, "the status", d.inspect(id, "{{.State.Status}}"), "running")
	}},
	{"restart policies", func(d docker) {
		id := d.start(with("--restart", "on-failure:2"), "probe", "exit", "3")
		events := d.events(id)
		for range 3 {
			until(events, "die")
		}
		wantEqual(d.T, "on-failure", d.wait(id)+" "+d.inspect(id, "{{.RestartCount}} {{.State.Status}}"), "3 2 exited")

		id = d.waiter("--restart", "always")
		events = d.events(id)
		until(events, "start")
		if err := syscall.Kill(d.pidOf(id), syscall.SIGKILL); err != nil {
			d.T.Fatal(err)
		}
		until(events, "die")
		until(events, "start")
		d.ok("stop", id)
		wantEqual(d.T, "always, stopped by hand", d.inspect(id, "{{.RestartCount}} {{.State.Status}}"), "1 exited")
	}},
	{"pause", func(d docker) {
		id := d.start(nil, "sh", "-c", "echo ready; while :; do date +%s%N >/tmp/now; sleep 0.01; done")
		d.logged(id, "ready")
		d.ok("pause", id)
		wantEqual(d.T, "the status", d.inspect(id, "{{.State.Status}}"), "paused")
		before := d.ok("cp", id+":/tmp/now", "-")
		wantContains(d.T, "exec while paused", d.cmd("exec", id, "true").Fails(1), "is paused")
		wantContains(d.T, "top while paused", d.ok("top", id), "sh -c")
		wantEqual(d.T, "what it writes while paused", d.ok("cp", id+":/tmp/now", "-"), before)
		d.ok("unpause", id)
		d.exec(id, "sh", "-c", "was=$(cat /tmp/now); while [ \"$was\" = \"$(cat /tmp/now)\" ]; do :; done")
	}},
	{"stop and rm of a paused container", func(d docker) {
		id := d.waiter()
		d.ok("pause", id)
		d.ok("stop", "-t", "1", id)
		wantEqual(d.T, "the status", d.inspect(id, "{{.State.Status}}"), "exited")
		id = d.waiter()
		d.ok("pause", id)
		d.ok("rm", "-f", id)
	}},
	{"top", func(d docker) {
		id := d.waiter()
		d.ok("exec", "-d", id, "sleep", "600")
		out := d.ok("top", id, "-eo", "pid,args")
		wantContains(d.T, "top", out, fmt.Sprint(d.pidOf(id)), "probe wait", "sleep 600")
	}},
	{"stats", func(d docker) {
		id := d.waiter("--memory", "64m")
		out := d.ok("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", id)
		wantContains(d.T, "stats", out, "1 ", "/ 64MiB")
		if strings.Contains(out, " 0B") {
			d.T.Errorf("no memory in use: %s", out)
		}
	}},
	{"logs", func(d docker) {
		id := d.start(nil, "sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; done; exit 4")
		wantEqual(d.T, "exit code", d.wait(id), "4")
		r := d.cmd("logs", "--follow", id).Do()
		wantEqual(d.T, "standard output", r.Stdout, "out 1\nout 2\nout 3\n")
		wantEqual(d.T, "standard error", r.Stderr, "err 1\nerr 2\nerr 3\n")
		r = d.cmd("logs", "--tail", "1", id).Do() // two streams have no order between them
		if last := r.Stdout + r.Stderr; last != "out 3\n" && last != "err 3\n" {
			d.T.Errorf("the last line is %q", last)
		}
	}},
	{"diff, cp and commit", func(d docker) {
		id := d.waiter()
		d.exec(id, "sh", "-c", "echo text >/tmp/made")
		wantContains(d.T, "diff", d.ok("diff", id), "A /tmp/made")
		wantContains(d.T, "cp", d.ok("cp", id+":/tmp/made", "-"), "text")
		d.ok("commit", id, "changed")
		wantEqual(d.T, "the new image", d.ok("run", "--rm", "changed", "cat", "/tmp/made"), "text\n")
		d.ok("rmi", "changed")
	}},
	{"create, start -a, wait, rm", func(d docker) {
		id := strings.TrimSpace(d.ok("create", image, "sh", "-c", "echo started; exit 8"))
		r := d.cmd("start", "-a", id).Do()
		if err := exactly(r, 8, "started\n"); err != nil {
			d.T.Error(err)
		}
		d.ok("rm", id)
		if names := lines(d.ok("ps", "-aq", "--no-trunc")); slices.Contains(names, id) {
			d.T.Errorf("%s is still there", id)
		}
	}},
}
