package stagetest

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

func (b *box) console(flags []string, script string, c plan.Console, steps ...plan.Step) result {
	b.t.Helper()
	steps = append(steps, plan.Pivot{Method: "pivot"}, c)
	return b.steps(flags, append(steps, sh(script)...)...)
}

func TestConsole(t *testing.T) {
	const script = "tty; stty size; stat -c '%F %t:%T %u %a' /dev/console /dev/pts/0; echo here >/dev/console; ps -o tty | tail -1; readlink /proc/self/fd/0"
	for _, user := range [][]string{{"-p"}, {"-p", "-u"}} {
		b := newBox(t)
		r := b.console(user, script, plan.Console{Mount: true, Rows: 33, Cols: 77, UID: 1000}, proc, dev, pts)
		if r.failure != nil || strings.Join(r.frames, " ") != "console executing" {
			t.Fatalf("%+v %v %s", r.failure, r.frames, r.stderr)
		}
		b.equal(r.out, `
/dev/pts/0
33 77
character special file 88:0 1000 620
character special file 88:0 1000 620
here
136,0
/dev/pts/0`)
	}
	t.Run("not mounted", func(t *testing.T) {
		b := newBox(t)
		r := b.console([]string{"-p"}, "tty; ls /dev", plan.Console{}, proc, dev, pts)
		b.equal(r.out, "/dev/pts/0\npts")
	})
}

func TestConsoleOfAHostileImage(t *testing.T) {
	console := plan.Console{Mount: true}
	t.Run("console is a link", func(t *testing.T) {
		b := newBox(t)
		b.write("rootfs/victim", "untouched", 0o644)
		b.symlink("/victim", "rootfs/dev/console")
		b.failed(b.console(nil, ":", console, pts), failure{Step: "set up console", Object: "/dev/console", Errno: unix.ELOOP, Detail: "link"})
	})
	t.Run("dev is a link", func(t *testing.T) {
		b := newBox(t)
		b.mkdir("out")
		b.symlink(b.path("out"), "rootfs/dev")
		b.mkdir("rootfs" + b.path("out"))
		r := b.console(nil, "tty", console, pts)
		if r.failure != nil || strings.TrimSpace(r.out) != "/dev/pts/0" {
			t.Errorf("%+v %s", r.failure, r.out)
		}
		if e, err := os.ReadDir(b.path("out")); err != nil || len(e) != 0 {
			t.Error("made outside of the root", e, err)
		}
	})
	t.Run("no devpts", func(t *testing.T) {
		b := newBox(t)
		b.failed(b.console(nil, ":", console, dev), failure{Step: "set up console", Object: "/dev/pts", Errno: unix.ENOENT, Detail: "needs a devpts"})
		b.mkdir("rootfs/dev/pts")
		b.symlink("/proc/kmsg", "rootfs/dev/pts/ptmx")
		b.failed(b.console(nil, ":", console), failure{Step: "set up console", Object: "/dev/pts", Errno: unix.ENODEV, Detail: "needs a devpts"})
	})
	t.Run("ptmx is covered", func(t *testing.T) {
		b := newBox(t)
		b.write("fake", "", 0o666)
		b.failed(b.console(nil, ":", console, dev, pts, plan.Bind{Target: "/dev/pts/ptmx", Source: b.path("fake")}),
			failure{Step: "set up console", Object: "/dev/pts/ptmx", Errno: unix.EXDEV})
	})
	t.Run("console exists", func(t *testing.T) {
		b := newBox(t)
		b.write("rootfs/dev/console", "image's", 0o644)
		r := b.console(nil, "stat -c %F /dev/console", console, pts)
		b.equal(r.out, "character special file")
		if s, err := os.ReadFile(b.path("rootfs/dev/console")); err != nil || string(s) != "image's" {
			t.Errorf("%q %v", s, err)
		}
	})
}
