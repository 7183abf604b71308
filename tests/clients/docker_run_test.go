package clients

import (
	"fmt"
	"slices"
	"strings"
	"syscall"

	"runack/tests/harness"
)

// endClient ends a client that follows something: none leaves a container's process alone with it.
const endClient = syscall.SIGTERM

// What `docker run` promises by itself.
var dockerRun = append(append(runs[docker](), signalDeath[docker]()), []feature[docker]{
	{"run -it", func(d docker) {
		tty := newTerminal(d.Env, 24, 80)
		p := d.runCmd(with("-it"), "sh", "-c", `
			trap 'echo interrupted; exit 6' INT
			echo ready; read a; echo "got $a"
			echo again; while :; do sleep 1; done`).TTY(tty.slave).Start()
		tty.expect("ready")
		tty.write("something\r")
		tty.expect("got something")
		tty.expect("again")
		tty.write("\x03")
		tty.expect("interrupted")
		wantCode(d.T, p.Wait(), 6)
	}},
	{"attach and detach", func(d docker) {
		id := d.start(with("-it"), "sh", "-c", `while read a; do echo "got $a"; done`)
		tty := newTerminal(d.Env, 24, 80)
		p := d.cmd("attach", id).TTY(tty.slave).Start()
		tty.write("one\r")
		tty.expect("got one")
		tty.write("\x10\x11") // ctrl-p ctrl-q
		p.Wait()
		wantEqual(d.T, "running after the detach", d.inspect(id, "{{.State.Running}}"), "true")
		again := newTerminal(d.Env, 24, 80)
		p = d.cmd("attach", id).TTY(again.slave).Start()
		again.write("two\r")
		again.expect("got two")
		again.write("\x04")
		wantCode(d.T, p.Wait(), 0)
	}},
	{"--init", func(d docker) {
		// The orphan of a subshell goes to pid 1, which has to reap it.
		out := d.out(with("--init"), "sh", "-c", `
			(sleep 0.01 & echo $! >/tmp/orphan)
			while [ -e /proc/$(cat /tmp/orphan) ]; do :; done
			tr '\0' '\n' </proc/1/cmdline | head -n 1; echo $$ >/tmp/own; [ $$ != 1 ] && echo not pid 1`)
		wantContains(d.T, "the output", out, "docker-init", "not pid 1")
		wantCode(d.T, d.run(with("--init"), "probe", "die", "15"), 128+15)
	}},
	{"missing program", func(d docker) {
		for _, name := range []string{"nosuch", "/bin/nosuch", "./nosuch"} {
			r := d.run(nil, name)
			wantCode(d.T, r, 127)
			wantContains(d.T, "the error", r.Stderr, name)
		}
	}},
	{"program without permission", func(d docker) {
		r := d.run(nil, "/bin/noexec")
		wantCode(d.T, r, 126)
		wantContains(d.T, "the error", r.Stderr, "/bin/noexec", "permission denied")
		wantCode(d.T, d.run(nil, "/tmp"), 126)
	}},
	{"missing working directory is made", func(d docker) {
		wantEqual(d.T, "the working directory", d.out(with("-w", "/a/b"), "pwd"), "/a/b\n")
	}},
	{"30 runs at once", func(d docker) {
		before := d.ok("info", "--format", "{{.Containers}}")
		together(d.T, 30, func(i int) error {
			r, err := d.runCmd(with("--network", "none"), "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)).Within(3 * aMinute).Try()
			if err != nil {
				return err
			}
			return exactly(r, i, fmt.Sprintf("%d\n", i))
		})
		wantEqual(d.T, "containers", d.ok("info", "--format", "{{.Containers}}"), before)
	}},
	{"events in order", func(d docker) {
		id := d.waiter()
		events := d.events(id)
		d.exec(id, "true")
		d.ok("stop", id)
		d.ok("rm", id)
		got := until(events, "destroy")
		// What is said of an exec has its command behind it.
		for i, line := range got {
			got[i], _, _ = strings.Cut(line, ":")
		}
		want := []string{"create", "start", "exec_create", "exec_start", "exec_die", "kill", "die", "stop", "destroy"}
		got = slices.DeleteFunc(got, func(s string) bool { return !slices.Contains(want, s) }) // attach and the like
		if !slices.Equal(got, want) {
			d.T.Errorf("events %q, want %q", got, want)
		}
	}},
	{"exec_die before die", func(d docker) {
		for range rounds(5, 200) {
			id := d.waiter()
			events := d.events(id)
			for range 3 {
				d.ok("exec", "-d", id, "sleep", "600")
			}
			d.cmd("exec", id, "kill", "1").Do() // the last one races with the end of init
			got := until(events, "die")
			started, ended := count(got, "exec_start"), count(got, "exec_die")
			if started < 3 || ended != started {
				d.T.Errorf("%d execs were started and %d had ended before init's end: %q", started, ended, got)
			}
			d.ok("rm", "-f", id)
		}
	}},
}...)

// rounds is how often something is tried.
func rounds(short, long int) int {
	if harness.Soak() {
		return long
	}
	return short
}

func count(list []string, prefix string) (n int) {
	for _, s := range list {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}
