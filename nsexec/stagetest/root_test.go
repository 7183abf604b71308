package stagetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

func TestPivotLeavesNothingOfTheHost(t *testing.T) {
	for _, user := range [][]string{{"-p"}, {"-p", "-u"}} {
		b := newBox(t)
		out := b.enter(user, "pwd; ls /; "+mountinfo, proc)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if got := strings.Join(lines[:4], " "); got != "/ bin etc proc" {
			t.Error(got)
		}
		if len(lines) != 6 || strings.Fields(lines[4])[4] != "/" || strings.Fields(lines[5])[4] != "/proc" {
			t.Error(out)
		}
	}
}

func TestRootPropagation(t *testing.T) {
	b := newBox(t)
	for _, tt := range []struct {
		name  string
		flags uint64
		want  string
	}{
		{"none", 0, "-"},
		{"shared", unix.MS_SHARED, "shared:"},
		{"unbindable", unix.MS_UNBINDABLE, "unbindable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := b.script(nil, mountinfo, proc, plan.Pivot{Method: "pivot", Propagation: tt.flags})
			line, _, _ := strings.Cut(out, "\n")
			if f := strings.Fields(line); f[4] != "/" || !strings.HasPrefix(f[6], tt.want) {
				t.Error(line)
			}
		})
	}
}

// rootfsPropagation: shared makes the namespace's mounts shared before the root is attached. The
// host must not see the container's.
func TestNothingShowsOnTheHost(t *testing.T) {
	b := newBox(t)
	b.mountpoint("rootfs/x", 0)
	if err := unix.Mount("", b.path("rootfs/x"), "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	p := plan.Plan{Steps: append([]plan.Step{
		plan.Propagation{Flags: unix.MS_SLAVE | unix.MS_REC},
		plan.Root{Path: b.root, Parent: unix.MS_PRIVATE},
		proc, plan.Mount{Target: "/x/sub", Type: "tmpfs"},
		plan.Pivot{Method: "pivot"},
	}, sh(mountinfo)...)}
	if out := b.bare(nil, p).out; !strings.Contains(out, " /x/sub ") {
		t.Error(out)
	}
	host, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(host), "/x/sub") {
		t.Error(err, "a mount of the container shows on the host")
	}
}

func TestRootThatIsAMountPoint(t *testing.T) {
	b := newBox(t)
	b.mountpoint("mnt", 0)
	busybox, err := os.ReadFile(b.path("rootfs/bin/busybox"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", b.path("mnt"), "", unix.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	b.write("mnt/bin/busybox", string(busybox), 0o755)
	b.mkdir("mnt/proc")
	b.root = b.path("mnt")
	if out := b.enter(nil, "ls /"); strings.Join(strings.Fields(out), " ") != "bin proc" {
		t.Error(out)
	}
}

func TestRootOfADescriptor(t *testing.T) {
	b := newBox(t)
	b.write("rootfs/etc/here", "", 0o644)
	closed := filepath.Join(b.dir, "closed")
	b.mkdir("closed/place")
	root := func(path string) plan.Plan {
		return plan.Plan{Steps: append([]plan.Step{
			plan.Propagation{Flags: unix.MS_SLAVE | unix.MS_REC},
			plan.Root{Path: path, FD: index(0), Parent: unix.MS_PRIVATE},
			plan.Pivot{Method: "pivot"},
		}, sh("ls /etc")...)}
	}
	flags := []string{"-p", "-f", "tree:" + b.root}
	b.equal(b.bare(flags, root(b.path("closed/place"))).out, "here")
	// A way that the mapped root has no right to: its owner has no name in the user namespace.
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(closed, 70000, 70000); err != nil {
		t.Fatal(err)
	}
	b.equal(b.bare(append([]string{"-u"}, flags...), root(b.path("closed/place"))).out, "here")
	b.failed(b.bare(nil, plan.Plan{Steps: append([]plan.Step{plan.Root{Path: b.path("none")}}, sh(":")...)}),
		failure{Step: "attach root", Object: b.path("none"), Errno: unix.ENOENT})
	b.failed(b.bare(nil, plan.Plan{Steps: append([]plan.Step{plan.Root{Path: b.path("rootfs/bin/busybox")}}, sh(":")...)}),
		failure{Step: "attach root", Object: b.path("rootfs/bin/busybox"), Errno: unix.ENOTDIR})
}

func TestChroot(t *testing.T) {
	b := newBox(t)
	p := plan.Plan{Steps: append([]plan.Step{plan.Root{Path: b.root, Plain: true}, plan.Pivot{Method: "chroot"}}, sh("pwd; ls /")...)}
	b.equal(b.bare(nil, p).out, "/\nbin\netc\nproc")
}

// --no-pivot must not leave a full procfs or sysfs of the host in the namespace.
func TestMove(t *testing.T) {
	b := newBox(t)
	b.mkdir("with blank")
	for _, err := range []error{
		unix.Mount("proc", b.path("with blank"), "proc", 0, ""),
		unix.Mount("tmpfs", b.path("with blank"), "tmpfs", 0, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for range 2 {
			if err := unix.Unmount(b.path("with blank"), 0); err != nil {
				t.Error(err)
			}
		}
	})
	for _, user := range [][]string{{"-p"}, {"-p", "-u"}} {
		out := b.script(user, "pwd; ls /; "+mountinfo, proc, plan.Mount{Target: "/sysfs", Type: "tmpfs"}, plan.Pivot{Method: "move"})
		if !strings.HasPrefix(out, "/\nbin\netc\nproc\n") {
			t.Error(out)
		}
		if n := strings.Count(out, " - proc "); n != 1 {
			t.Errorf("%v: %d procfs in sight:\n%s", user, n, out)
		}
	}
	host, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || !strings.Contains(string(host), " /sys ") {
		t.Error("the host lost a mount", err)
	}
}

func TestStandardDescriptorsBecomeTheContainersNull(t *testing.T) {
	b := newBox(t)
	stdin := func(steps ...plan.Step) result {
		return b.steps([]string{"-0"}, append(steps, sh("stat -L -c '%F %D' /proc/self/fd/0 /dev/null | uniq")...)...)
	}
	r := stdin(proc, dev, null, plan.Pivot{Method: "pivot", DevNull: true})
	if lines := strings.Split(strings.TrimSpace(r.out), "\n"); r.failure != nil || len(lines) != 1 {
		t.Errorf("%+v %s", r.failure, r.out)
	}
	want := failure{Step: "pivot root", Object: "/dev/null", Errno: unix.ENODEV, Detail: "not the null device"}
	zero := null
	zero.Minor = 5
	b.failed(stdin(proc, dev, zero, plan.Pivot{Method: "pivot", DevNull: true}), want)
	want.Errno, want.Detail = unix.ENOENT, "descriptor 0"
	b.failed(stdin(proc, dev, plan.Pivot{Method: "pivot", DevNull: true}), want)
}

func TestReadOnlyRootAndMounts(t *testing.T) {
	b := newBox(t)
	out := b.script(nil, "touch /x /dev/x /tmp/x; "+mountinfo, proc, dev, plan.Mount{Target: "/tmp", Type: "tmpfs"},
		plan.Pivot{Method: "pivot"}, plan.RootAttr{Set: rdonly}, plan.MountAttr{Target: "/dev", Set: rdonly | noexec})
	if !strings.HasPrefix(out, "touch: /x: Read-only file system\ntouch: /dev/x: Read-only file system\n") {
		t.Error(out)
	}
	b.flags(out, "/dev", "ro,nosuid,noexec")
	b.flags(out, "/tmp", "rw,relatime")
	b.refuses(nil, failure{Step: "set mount flags", Object: "/etc", Errno: unix.EINVAL, Detail: "no mount begins here"}, plan.MountAttr{Target: "/etc", Set: rdonly})
}

func TestStepsNeedARoot(t *testing.T) {
	b := newBox(t)
	for _, step := range []plan.Step{
		dev, plan.Bind{Target: "/x", Source: "/etc"}, plan.Remount{Target: "/proc"}, plan.Mkdir{Path: "/x"}, plan.Symlink{Path: "/x", Target: "y"},
		null, plan.Pivot{Method: "pivot"}, plan.RootAttr{Set: rdonly}, plan.MountAttr{Target: "/proc"}, plan.Readonly{Path: "/proc/sys"}, plan.Mask{Path: "/proc/version"},
	} {
		r := b.bare(nil, plan.Plan{Steps: append([]plan.Step{step}, sh(":")...)})
		if r.failure == nil || r.failure.Errno != unix.EPROTO || r.failure.Detail != "before step root" {
			t.Errorf("%s: %+v", step.Op(), r.failure)
		}
	}
}
