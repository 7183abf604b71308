package clients

import (
	"fmt"
	"strings"
	"syscall"
)

// docker exec.
var dockerExec = []feature[docker]{
	{"exec", func(d docker) {
		id := d.waiter("--env", "A=container")
		wantEqual(d.T, "variables", d.ok("exec", "-e", "B=exec", id, "sh", "-c", "echo $A $B"), "container exec\n")
		wantEqual(d.T, "-w", d.ok("exec", "-w", "/tmp", id, "pwd"), "/tmp\n")
		wantEqual(d.T, "-u name", d.ok("exec", "-u", "web", id, "id", "-u"), "1000\n")
		wantEqual(d.T, "-u uid:gid", d.ok("exec", "-u", "12:34", id, "sh", "-c", "id -u; id -g"), "12\n34\n")
		wantEqual(d.T, "-i", d.cmd("exec", "-i", id, "cat").Stdin(strings.NewReader("in and out")).OK(), "in and out")
	}},
	{"exec -d", func(d docker) {
		id := d.waiter()
		d.ok("exec", "-d", id, "sh", "-c", "echo done >/proc/1/fd/1; sleep 600")
		d.logged(id, "done")
	}},
	{"exec -t", func(d docker) {
		id := d.waiter()
		tty := newTerminal(d.Env, 20, 99)
		p := d.cmd("exec", "-it", id, "sh", "-c", `
			tty
			size() { until [ "$(stty size)" = "$1" ]; do sleep 0.02; done; echo "size $1"; }
			size "20 99"; read a; echo "got $a"; size "21 98"; exit 9`).TTY(tty.slave).Start()
		tty.expect("/dev/pts/0")
		tty.expect("size 20 99")
		tty.write("text\r")
		tty.expect("got text")
		tty.resize(21, 98)
		tty.expectResized(p, "size 21 98")
		wantCode(d.T, p.Wait(), 9)
	}},
	{"exec exit codes", func(d docker) {
		id := d.waiter()
		for _, code := range exitCodes() {
			wantCode(d.T, d.cmd("exec", id, "probe", "exit", fmt.Sprint(code)).Do(), code)
		}
		for _, n := range deadlySignals() {
			wantCode(d.T, d.cmd("exec", id, "probe", "die", fmt.Sprint(n)).Do(), 128+n)
		}
	}},
	{"exec of a missing program", func(d docker) {
		id := d.waiter()
		for name, want := range map[string]string{
			"nosuch": "executable file not found in $PATH", "/bin/nosuch": "no such file or directory", "/bin/noexec": "permission denied",
		} {
			r := d.cmd("exec", id, name).Do()
			// docker 20.10 makes 126 of all of them, later ones tell them apart.
			if r.Code != 126 && (r.Code != 127 || name == "/bin/noexec") {
				d.T.Errorf("want exit code 126 or 127: %s", r)
			}
			wantContains(d.T, "the error", r.Stdout+r.Stderr, name, want)
		}
		wantEqual(d.T, "the container after it", d.exec(id, "echo", "well"), "well\n")
	}},
	{"exec --privileged", func(d docker) {
		id := d.waiter()
		wantEqual(d.T, "CapEff of exec", caps(d.ok("exec", id, "cat", "/proc/self/status")), "00000000a80425fb")
		wantAllCaps(d.T, caps(d.ok("exec", "--privileged", id, "cat", "/proc/self/status")))
	}},
	{"20 execs at once", func(d docker) {
		id := d.waiter()
		together(d.T, 20, func(i int) error {
			r, err := d.cmd("exec", id, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)).Within(aMinute).Try()
			if err != nil {
				return err
			}
			return exactly(r, i, fmt.Sprintf("%d\n", i))
		})
	}},
	{"health checks", func(d docker) {
		id := d.waiter("--health-cmd", "test -e /tmp/well", "--health-interval", "100ms", "--health-retries", "2")
		events := d.events(id)
		until(events, "health_status: unhealthy")
		d.exec(id, "touch", "/tmp/well")
		until(events, "health_status: healthy")
		wantEqual(d.T, "the status", d.inspect(id, "{{.State.Health.Status}}"), "healthy")
	}},
	{"exec that outlives its client", func(d docker) {
		id := d.waiter()
		p := d.cmd("exec", id, "sh", "-c", "echo started >/proc/1/fd/1; sleep 600").Start()
		d.logged(id, "started")
		p.Signal(syscall.SIGKILL)
		p.Wait()
		wantContains(d.T, "top", d.ok("top", id), "sleep 600")
		d.ok("stop", id)
	}},
}

// caps is the effective capabilities in a /proc/PID/status.
func caps(status string) string { return field(status, "CapEff") }

// field finds the value of a "Key:\tvalue" line; "" if there is none.
func field(text, key string) string {
	for _, line := range lines(text) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return ""
}
