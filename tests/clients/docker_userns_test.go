package clients

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// A daemon of its own, as userns-remap is the daemon's option.
func TestDockerUserns(t *testing.T) {
	e := harness.New(t)
	prepare, _ := ordinary(e, true)
	d := startDocker(e, prepare, "--userns-remap", "ordinary")
	d.versions()
	remapped := "0 300000 65536"
	run(t, []feature[docker]{
		{"--userns-remap: run", func(d docker) {
			out := d.out(nil, "sh", "-c", "id -u; cat /proc/self/uid_map; touch /made && stat -c %u /made")
			wantEqual(d.T, "ids", strings.Join(strings.Fields(out), " "), "0 "+remapped+" 0")
			wantEqual(d.T, "--user", d.out(with("--user", "web"), "id", "-u"), "1000\n")
		}},
		{"--userns-remap: exec", func(d docker) {
			id := d.waiter()
			wantEqual(d.T, "the map", strings.Join(strings.Fields(d.exec(id, "cat", "/proc/self/uid_map")), " "), remapped)
			wantEqual(d.T, "exec -u", d.ok("exec", "-u", "web", id, "id", "-u"), "1000\n")
			var st unix.Stat_t
			if err := unix.Stat(fmt.Sprintf("/proc/%d", d.pidOf(id)), &st); err != nil || st.Uid != 300000 {
				d.T.Errorf("root of the container is %d on the host, %v", st.Uid, err)
			}
		}},
		{"--userns-remap: run -t, stop, restart", func(d docker) {
			tty := newTerminal(d.Env, 24, 80)
			p := d.runCmd(with("-t"), "sh", "-c", "tty; stat -c %u $(tty)").TTY(tty.slave).Start()
			tty.expect("/dev/pts/0")
			tty.expect("0")
			wantCode(d.T, p.Wait(), 0)
			id := d.waiter()
			d.ok("restart", id)
			d.ok("stop", id)
			wantEqual(d.T, "the status", d.inspect(id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 0")
		}},
		{"--userns-remap: volumes, --tmpfs, --read-only", func(d docker) {
			d.ok("volume", "create", "named")
			d.out(with("--read-only", "--tmpfs", "/scratch", "--volume", "named:/there"), "sh", "-c", "touch /scratch/a /there/kept")
			wantEqual(d.T, "the volume", d.out(with("--volume", "named:/there"), "ls", "/there"), "kept\n")
			d.ok("volume", "rm", "named")
		}},
		{"--userns host", func(d docker) {
			out := d.out(with("--userns", "host"), "cat", "/proc/self/uid_map")
			wantEqual(d.T, "the map", strings.Join(strings.Fields(out), " "), "0 0 4294967295")
		}},
	}, d.on, docker.clean)
}
