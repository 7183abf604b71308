package clients

import (
	"fmt"
	"strings"
	"syscall"

	"runack/tests/harness"
)

// A runner is a client that has `run` with docker's options.
type runner interface {
	env() *harness.Env
	runCmd(options []string, args ...string) *harness.Cmd
}

func (d docker) env() *harness.Env { return d.Env }
func (p podman) env() *harness.Env { return p.Env }

// runs are the first rows of such a client's table.
func runs[C runner]() []feature[C] {
	return []feature[C]{
		{"run", func(c C) {
			r := c.runCmd(with("--hostname", "web", "--env", "A=b c", "--workdir", "/tmp", "--network", "none"),
				"sh", "-c", `hostname; pwd; echo "$A"; echo "$$"; echo to stderr >&2`).Do()
			t := c.env().T
			wantCode(t, r, 0)
			wantEqual(t, "standard output", r.Stdout, "web\n/tmp\nb c\n1\n")
			wantEqual(t, "standard error", r.Stderr, "to stderr\n")
		}},
		{"exit codes", func(c C) {
			for _, code := range exitCodes() {
				wantCode(c.env().T, c.runCmd(with("--network", "none"), "probe", "exit", fmt.Sprint(code)).Do(), code)
			}
		}},
		{"run -i", func(c C) {
			text := strings.Repeat("a line of text that goes in and out\n", 10000)
			r := c.runCmd(with("-i", "--network", "none"), "sh", "-c", "cat; echo end").Stdin(strings.NewReader(text)).Do()
			if err := exactly(r, 0, text+"end\n"); err != nil {
				c.env().T.Errorf("%d bytes came back, exit code %d: %s", len(r.Stdout), r.Code, r.Stderr)
			}
		}},
		{"run -t", func(c C) {
			tty := newTerminal(c.env(), 33, 77)
			p := c.runCmd(with("-t", "--network", "none"), "sh", "-c", `
				test -t 0 && test -t 1 && test -t 2 && tty
				size() { until [ "$(stty size)" = "$1" ]; do sleep 0.02; done; echo "size $1"; }
				size "33 77"
				size "12 345"
				exit 5`).TTY(tty.slave).Start()
			tty.expect("/dev/pts/0")
			tty.expect("size 33 77")
			tty.resize(12, 345)
			tty.expectResized(p, "size 12 345")
			wantCode(c.env().T, p.Wait(), 5)
		}},
	}
}

// signalDeath is a row for root's clients: an ordinary user's container has a PID namespace.
func signalDeath[C runner]() feature[C] {
	return feature[C]{"death by signal", func(c C) {
		for _, n := range deadlySignals() {
			// In the host's PID namespace, as the kernel spares a namespace's pid 1.
			r := c.runCmd(with("--pid", "host", "--network", "none"), "probe", "die", fmt.Sprint(n)).Do()
			wantCode(c.env().T, r, 128+n)
		}
		wantCode(c.env().T, c.runCmd(with("--network", "none"), "probe", "crash").Do(), 128+int(syscall.SIGSEGV))
	}}
}
