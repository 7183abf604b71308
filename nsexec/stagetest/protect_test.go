package stagetest

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

func TestReadonly(t *testing.T) {
	b := newBox(t)
	b.write("rootfs/etc/file", "", 0o644)
	b.symlink("/proc/sys", "rootfs/l")
	out := b.script([]string{"-p"}, "touch /etc/x; echo 1 >/proc/sys/kernel/ns_last_pid; touch /proc/bus/x 2>/dev/null; "+mountinfo, proc,
		plan.Pivot{Method: "pivot"}, plan.Readonly{Path: "/etc"}, plan.Readonly{Path: "/l"}, plan.Readonly{Path: "/no/such"}, plan.Readonly{Path: "/etc/file/no"})
	if !strings.Contains(out, "/etc/x: Read-only file system") || !strings.Contains(out, "ns_last_pid: Read-only file system") {
		t.Error(out)
	}
	b.flags(out, "/proc/sys", "ro,nosuid,nodev,noexec,relatime")
	b.flags(out, "/proc", "rw,nosuid,nodev,noexec,relatime")
	if f, _ := b.options(out, "/etc"); !strings.HasPrefix(f, "ro,") {
		t.Error(f)
	}
	out = b.script(nil, "touch /x; :", plan.Pivot{Method: "pivot"}, plan.Readonly{Path: "/etc/.."}, plan.Umask{})
	b.equal(out, "touch: /x: Read-only file system")
}

func TestMask(t *testing.T) {
	for _, user := range [][]string{{"-p"}, {"-p", "-u"}} {
		b := newBox(t)
		b.write("rootfs/d1/secret", "s", 0o644)
		b.write("rootfs/d2/secret", "s", 0o644)
		b.write("rootfs/f1", "s", 0o644)
		b.write("rootfs/f2", "s", 0o644)
		b.symlink("d2", "rootfs/l")
		steps := []plan.Step{proc, dev, null, plan.Pivot{Method: "pivot"}}
		for _, p := range []string{"/d1", "/l", "/f1", "/f2", "/d1", "/none", "/f1/none", "/proc/version", "/proc/acpi"} {
			steps = append(steps, plan.Mask{Path: p})
		}
		out := b.script(user, "cat /f1 /f2 /proc/version; ls /d1 /d2; echo x >/f1; touch /d1/x; "+mountinfo, steps...)
		if !strings.HasPrefix(out, "/d1:\n\n/d2:\ntouch: /d1/x: Read-only file system\n") {
			t.Error(out)
		}
		// One tmpfs for all directories, and none of them twice.
		super := map[string]int{}
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); strings.Contains(line, "nr_inodes=1") {
				super[f[2]]++
				if !strings.HasPrefix(f[5], "ro") {
					t.Error(line)
				}
			}
		}
		for dev, n := range super {
			if len(super) != 1 || n != 3 {
				t.Errorf("device %s: %d masks of %d file systems\n%s", dev, n, len(super), out)
			}
		}
	}
}

// CVE-2025-31133: the masks are made of what the image calls /dev/null.
func TestMaskWithAFalseNull(t *testing.T) {
	fail := failure{Step: "mask path", Object: "/dev/null", Errno: unix.ENODEV, Detail: "not the null device"}
	run := func(b *box, steps ...plan.Step) result {
		steps = append(steps, plan.Pivot{Method: "pivot"}, plan.Mask{Path: "/f"})
		return b.steps([]string{"-p"}, append(append([]plan.Step{proc}, steps...), sh("cat /f")...)...)
	}
	for _, tt := range []struct {
		name string
		make func(b *box)
		want failure
	}{
		{"link", func(b *box) { b.symlink("/proc/version", "rootfs/dev/null") }, fail},
		{"file", func(b *box) { b.write("rootfs/dev/null", "fake", 0o666) }, fail},
		{"directory", func(b *box) { b.mkdir("rootfs/dev/null") }, fail},
		{"missing", func(b *box) {}, failure{Step: fail.Step, Object: fail.Object, Errno: unix.ENOENT, Detail: "needed for masks"}},
		{"zero", func(b *box) {
			b.mkdir("rootfs/dev")
			if err := unix.Mknod(b.path("rootfs/dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
				b.t.Fatal(err)
			}
		}, fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			b.write("rootfs/f", "secret", 0o644)
			tt.make(b)
			b.failed(run(b), tt.want)
		})
	}
	b := newBox(t)
	b.failed(b.steps(nil, append([]plan.Step{plan.Pivot{Method: "pivot"}, plan.Mask{Path: "/bin/.."}}, sh(":")...)...),
		failure{Step: "mask path", Object: "/bin/..", Errno: unix.EINVAL, Detail: "the root cannot"})
}
