package stagetest

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

const (
	rdonly = unix.MOUNT_ATTR_RDONLY
	nosuid = unix.MOUNT_ATTR_NOSUID
	nodev  = unix.MOUNT_ATTR_NODEV
	noexec = unix.MOUNT_ATTR_NOEXEC
)

func (b *box) flags(out, point, want string) {
	b.t.Helper()
	if got, _ := b.options(out, point); got != want {
		b.t.Errorf("%s is %s, want %s", point, got, want)
	}
}

func (b *box) super(out, point string, want ...string) {
	b.t.Helper()
	_, got := b.options(out, point)
	for _, w := range want {
		if !strings.Contains(","+got+",", ","+w+",") {
			b.t.Errorf("file system at %s is %s, want %s in it", point, got, w)
		}
	}
}

func TestFileSystemsOfAContainer(t *testing.T) {
	b := newBox(t)
	out := b.enter([]string{"-p", "-n", "-i", "-c"}, mountinfo, proc, dev, pts,
		plan.Mount{Target: "/dev/shm", Type: "tmpfs", Source: "shm", Set: nosuid | nodev | noexec, Options: []string{"mode=1777", "size=64k"}},
		plan.Mount{Target: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Set: nosuid | nodev | noexec},
		plan.Mount{Target: "/sys", Type: "sysfs", Source: "sysfs", Set: nosuid | nodev | noexec | rdonly, SBFlags: unix.MS_RDONLY},
		plan.Mount{Target: "/tmp/sync", Type: "tmpfs", SBFlags: unix.MS_SYNCHRONOUS | unix.MS_DIRSYNC | unix.MS_SILENT | unix.MS_LAZYTIME,
			Set: unix.MOUNT_ATTR_NOATIME | unix.MOUNT_ATTR_NODIRATIME | unix.MOUNT_ATTR_NOSYMFOLLOW},
	)
	b.flags(out, "/proc", "rw,nosuid,nodev,noexec,relatime")
	b.flags(out, "/dev", "rw,nosuid")
	b.super(out, "/dev", "mode=755", "size=65536k")
	b.super(out, "/dev/pts", "mode=620", "ptmxmode=666")
	b.super(out, "/dev/shm", "size=64k")
	b.flags(out, "/dev/mqueue", "rw,nosuid,nodev,noexec,relatime")
	b.flags(out, "/sys", "ro,nosuid,nodev,noexec,relatime")
	b.super(out, "/sys", "ro")
	b.flags(out, "/tmp/sync", "rw,noatime,nodiratime,nosymfollow")
	b.super(out, "/tmp/sync", "sync", "dirsync", "lazytime")
}

// What fsconfig(2) does not take goes through mount(2), and nothing of the detour stays.
func TestMountsThatNeedMount2(t *testing.T) {
	b := newBox(t)
	var lower []string
	for _, c := range "abc" {
		name := strings.Repeat(string(c), 120)
		b.write(name+"/"+string(c), "", 0o644)
		lower = append(lower, b.path(name))
	}
	b.mkdir("upper")
	b.mkdir("work")
	out := b.enter(nil, "ls /o; touch /o/new; "+mountinfo, proc,
		plan.Mount{Target: "/o", Type: "overlay", Source: "overlay", Set: nosuid | unix.MOUNT_ATTR_NOATIME,
			Options: []string{"lowerdir=" + strings.Join(lower, ":"), "upperdir=" + b.path("upper"), "workdir=" + b.path("work")}},
		plan.Mount{Target: "/t", Type: "tmpfs", Source: "tmpfs", Set: rdonly | noexec, SBFlags: unix.MS_I_VERSION, Options: []string{"size=128k,mode=700"}},
	)
	if !strings.HasPrefix(out, "a\nb\nc\n") {
		t.Error(out)
	}
	if _, err := os.Stat(b.path("upper/new")); err != nil {
		t.Error(err)
	}
	b.flags(out, "/o", "rw,nosuid,noatime")
	b.flags(out, "/t", "ro,noexec,relatime")
	b.super(out, "/t", "rw", "size=128k", "mode=700")
	if n := strings.Count(out, " - "); n != 4 {
		t.Errorf("%d mounts, want the root, proc, overlay and tmpfs:\n%s", n, out)
	}
	long := "size=" + strings.Repeat("x", 300)
	b.refuses(nil, failure{Step: "mount", Object: "/t", Errno: unix.EINVAL, Detail: "tmpfs: mount(2)"},
		plan.Mount{Target: "/t", Type: "tmpfs", Options: []string{long}})
	b.refuses(nil, failure{Step: "mount", Object: "/t", Errno: unix.E2BIG, Detail: "exceed a page"},
		plan.Mount{Target: "/t", Type: "tmpfs", Options: []string{strings.Repeat("x", 4096)}})
}

func TestFailedMountsSayWhy(t *testing.T) {
	b := newBox(t)
	b.write("rootfs/file", "", 0o644)
	for _, tt := range []struct {
		name  string
		want  failure
		mount plan.Mount
	}{
		{"value", failure{Object: "/x", Errno: unix.EINVAL, Detail: "option size=much: tmpfs: Bad value for 'size'"},
			plan.Mount{Target: "/x", Type: "tmpfs", Options: []string{"mode=700", "size=much"}}},
		{"key", failure{Object: "/x", Errno: unix.EINVAL, Detail: "option nope: tmpfs: Unknown parameter 'nope'"},
			plan.Mount{Target: "/x", Type: "tmpfs", Options: []string{"nope"}}},
		{"type", failure{Object: "/x", Errno: unix.ENODEV, Detail: "nofs: fsopen: the kernel does not know"},
			plan.Mount{Target: "/x", Type: "nofs"}},
		{"source", failure{Object: "/x", Errno: unix.ENOENT, Detail: "ext4"},
			plan.Mount{Target: "/x", Type: "ext4", Source: "/no/device"}},
		{"file", failure{Object: "/file", Errno: unix.ENOTDIR, Detail: "a file is in the way"},
			plan.Mount{Target: "/file", Type: "tmpfs"}},
		{"root", failure{Object: "/etc/..", Errno: unix.EINVAL, Detail: "the container's root"},
			plan.Mount{Target: "/etc/..", Type: "tmpfs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Step = "mount"
			b.refuses(nil, tt.want, tt.mount)
		})
	}
}

// CVE-2019-19921, CVE-2023-27561, CVE-2019-16884: what the container takes for its /proc is one.
func TestProcIsWhereItSeems(t *testing.T) {
	tmpfs := func(target string) plan.Mount { return plan.Mount{Target: target, Type: "tmpfs"} }
	t.Run("symbolic link", func(t *testing.T) {
		for _, typ := range []string{"proc", "sysfs"} {
			b := newBox(t)
			b.symlink("etc", "rootfs/p")
			want := failure{Step: "mount", Object: "/p", Errno: unix.ENOTDIR, Detail: "symbolic link"}
			b.refuses(nil, want, plan.Mount{Target: "/p", Type: typ})
			want.Object = "/p/proc"
			b.refuses(nil, want, plan.Mount{Target: "/p/proc", Type: typ})
			want = failure{Step: "mount", Object: "/etc/../x", Errno: unix.EINVAL}
			b.refuses(nil, want, plan.Mount{Target: "/etc/../x", Type: typ})
		}
	})
	t.Run("file", func(t *testing.T) {
		b := newBox(t)
		b.write("rootfs/sys", "", 0o644)
		b.refuses(nil, failure{Step: "mount", Object: "/sys", Errno: unix.ENOTDIR, Detail: "ordinary directory"}, plan.Mount{Target: "/sys", Type: "sysfs"})
	})
	t.Run("covered", func(t *testing.T) {
		b := newBox(t)
		b.symlink("/proc", "rootfs/l")
		b.mkdir("attr")
		b.refuses(nil, failure{Step: "mount", Object: "/l", Errno: unix.EINVAL, Detail: "only a procfs"}, proc, tmpfs("/l"))
		b.refuses(nil, failure{Step: "mount", Object: "/l/sys", Errno: unix.EINVAL, Detail: "inside /proc"}, proc, tmpfs("/l/sys"))
		b.refuses(nil, failure{Step: "bind mount", Object: "/l/1", Errno: unix.EINVAL, Detail: "inside /proc"}, proc,
			plan.Bind{Target: "/l/1", Source: b.path("attr")})
		b.refuses(nil, failure{Step: "bind mount", Object: "/proc", Errno: unix.EINVAL, Detail: "only a procfs"}, proc,
			plan.Bind{Target: "/proc", Source: b.path("attr")})
	})
	t.Run("allowed", func(t *testing.T) {
		b := newBox(t)
		b.write("uptime", "42\n", 0o644)
		b.mkdir("hostproc")
		out := b.enter(nil, "cat /proc/uptime; ls -d /proc/self /p/self /p/sys/*", proc,
			plan.Bind{Target: "/proc/uptime", Source: b.path("uptime")},
			plan.Bind{Target: "/proc", Source: "/proc", Recursive: true},
			plan.Bind{Target: "/proc/uptime", Source: b.path("uptime")},
			// A procfs elsewhere is not what anybody takes for the container's.
			plan.Mount{Target: "/p", Type: "proc"}, plan.Mount{Target: "/p/sys", Type: "tmpfs"},
			plan.Mkdir{Path: "/p/sys/x", Mode: 0o755})
		b.equal(out, "42\n/p/self\n/p/sys/x\n/proc/self")
	})
}

func TestTmpfsTakesTheModeOfItsDirectory(t *testing.T) {
	b := newBox(t)
	b.mkdir("rootfs/x")
	if err := os.Chmod(b.path("rootfs/x"), 0o750|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	script := "stat -c '%n %a' /x /new"
	out := b.enter(nil, script, plan.Mount{Target: "/x", Type: "tmpfs"}, plan.Mount{Target: "/new", Type: "tmpfs"})
	b.equal(out, "/x 1750\n/new 1777")
	out = b.enter(nil, script, plan.Mount{Target: "/x", Type: "tmpfs", Options: []string{"mode=711"}}, plan.Mount{Target: "/new", Type: "tmpfs"})
	b.equal(out, "/x 711\n/new 755") // made by the first
}

func TestCopyUp(t *testing.T) {
	b := newBox(t)
	b.write("rootfs/d/sub/file", "text", 0o4711)
	b.write("rootfs/d/empty", "", 0o600)
	b.write("rootfs/d/big", strings.Repeat("0123456789abcdef", 10000), 0o644)
	b.symlink("../sub/file", "rootfs/d/link")
	for _, err := range []error{
		os.Chown(b.path("rootfs/d/sub"), 11, 12),
		os.Lchown(b.path("rootfs/d/link"), 13, 14),
		os.Chmod(b.path("rootfs/d/sub"), 0o750|os.ModeSetgid),
		unix.Mkfifo(b.path("rootfs/d/fifo"), 0o622),
		unix.Mknod(b.path("rootfs/d/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		os.Chmod(b.path("rootfs/d/fifo"), 0o622),
		os.Chmod(b.path("rootfs/d/null"), 0o666),
		unix.Setxattr(b.path("rootfs/d/empty"), "trusted.test", []byte("v"), 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(b.path("rootfs/d/sub/file"), 21, 22); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.path("rootfs/d/sub/file"), 0o711|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	up := plan.Mount{Target: "/d", Type: "tmpfs", CopyUp: true, SBFlags: unix.MS_RDONLY, Set: rdonly | nosuid}
	out := b.enter(nil, `cd /d; stat -c '%n %F %a %u:%g %s' * sub/*; readlink link; cat sub/file; echo; touch /d/x; `+mountinfo, proc, up)
	lines := strings.Split(out, "\n")
	want := []string{
		"big regular file 644 0:0 160000",
		"empty regular empty file 600 0:0 0",
		"fifo fifo 622 0:0 0",
		"link symbolic link 777 13:14 11",
		"null character special file 666 0:0 0",
		"sub directory 2750 11:12 60",
		"sub/file regular file 4711 21:22 4",
		"../sub/file",
		"text",
		"touch: /d/x: Read-only file system",
	}
	b.equal(strings.Join(lines[:len(want)], "\n"), strings.Join(want, "\n"))
	b.equal(b.enter(nil, `[ "$(md5sum </d/big)" = "$(md5sum </big)" ] && stat -c %a:%u /d/sub`, up, plan.Bind{Target: "/big", Source: b.path("rootfs/d/big")}), "2750:11")
	b.flags(out, "/d", "ro,nosuid,relatime")
	if _, err := os.Stat(b.path("rootfs/d/x")); err == nil {
		t.Error("the directory below was written to")
	}
	small := plan.Mount{Target: "/d", Type: "tmpfs", CopyUp: true, Options: []string{"size=16k"}}
	b.refuses(nil, failure{Step: "mount", Object: "/d", Errno: unix.ENOSPC, Detail: "copy up big"}, small)
}

func TestRefusedFileSystemsAreBoundInstead(t *testing.T) {
	b := newBox(t)
	sys := plan.Mount{Target: "/sys", Type: "sysfs", Source: "sysfs", SBFlags: unix.MS_RDONLY, Set: nosuid | nodev | noexec | rdonly}
	user := []string{"-u", "-p"}
	b.refuses(user, failure{Step: "mount", Object: "/sys", Errno: unix.EPERM, Detail: "more privileged user namespace"}, proc, sys)
	sys.Refused, sys.Instead = "bind", "/sys"
	out := b.enter(user, mountinfo, proc, sys)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], "/sys") && !strings.HasPrefix(f[5], "ro,nosuid,nodev,noexec") {
			t.Error(line)
		}
	}
	b.flags(out, "/sys", "ro,nosuid,nodev,noexec,relatime")
	// With a network namespace of its own there is nothing to refuse.
	out = b.enter([]string{"-u", "-p", "-n"}, mountinfo, proc, sys)
	if strings.Contains(out, " /sys/") {
		t.Error(out)
	}
	cgroup := plan.Mount{Target: "/cg", Type: "cgroup2", Source: "cgroup", Set: nosuid, Refused: "bind", Instead: "/no/cgroup"}
	out = b.enter(user, mountinfo, proc, cgroup)
	b.flags(out, "/cg", "ro,relatime")
	sys.Instead = "/no/sys"
	b.refuses(user, failure{Step: "mount", Object: "/no/sys", Errno: unix.ENOENT, Detail: "instead of a new sysfs"}, proc, sys)
}

func TestRecursiveFlagsAndPropagationOfMounts(t *testing.T) {
	b := newBox(t)
	tail := func(m plan.Mount) string {
		out := b.enter(nil, mountinfo, proc, m)
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); f[4] == m.Target {
				return f[5] + " " + strings.Trim(strings.TrimRight(f[6], "0123456789"), "-")
			}
		}
		return out
	}
	for _, tt := range []struct {
		name  string
		mount plan.Mount
		want  string
	}{
		{"recursive", plan.Mount{RecSet: rdonly | unix.MOUNT_ATTR_NOATIME}, "ro,noatime "},
		{"recursive clear", plan.Mount{Set: nosuid | unix.MOUNT_ATTR_NOATIME, RecClear: nosuid | unix.MOUNT_ATTR__ATIME}, "rw,relatime "},
		{"private", plan.Mount{Propagation: []uint64{unix.MS_PRIVATE}}, "rw,relatime "},
		{"shared", plan.Mount{Propagation: []uint64{unix.MS_SHARED | unix.MS_REC}}, "rw,relatime shared:"},
		{"unbindable", plan.Mount{Propagation: []uint64{unix.MS_UNBINDABLE}}, "rw,relatime unbindable"},
		{"in order", plan.Mount{Propagation: []uint64{unix.MS_SHARED, unix.MS_PRIVATE}}, "rw,relatime "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.mount.Target, tt.mount.Type = "/t", "tmpfs"
			if got := tail(tt.mount); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	b.refuses(nil, failure{Step: "check plan", Object: "step 2 mount", Errno: unix.EBADMSG, Detail: "not one propagation type"},
		plan.Mount{Target: "/t", Type: "tmpfs", Propagation: []uint64{unix.MS_SHARED | unix.MS_SLAVE}})
}

func TestRemount(t *testing.T) {
	b := newBox(t)
	tmp := plan.Mount{Target: "/t", Type: "tmpfs", Options: []string{"size=64k", "mode=1777"}, SBFlags: unix.MS_SYNCHRONOUS, Set: nosuid}
	for _, tt := range []struct {
		name         string
		remount      plan.Remount
		flags, super string
	}{
		{"file system", plan.Remount{Options: []string{"size=128k"}, SBFlags: unix.MS_RDONLY}, "rw,nosuid,relatime", "ro,size=128k"},
		{"flags too", plan.Remount{Set: rdonly | noexec, Clear: nosuid}, "ro,noexec,relatime", "rw,size=64k"},
		{"by mount(2)", plan.Remount{Options: []string{"size=32k,nr_inodes=8"}, SBFlags: unix.MS_SYNCHRONOUS}, "rw,nosuid,relatime", "rw,sync,size=32k,nr_inodes=8"},
		{"bind", plan.Remount{Bind: true, Set: rdonly | unix.MOUNT_ATTR_NOATIME}, "ro,nosuid,noatime", "rw,sync,size=64k"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.remount.Target = "/t"
			out := b.enter(nil, mountinfo, proc, tmp, tt.remount)
			b.flags(out, "/t", tt.flags)
			if _, super := b.options(out, "/t"); super != tt.super {
				t.Errorf("file system %s, want %s", super, tt.super)
			}
		})
	}
	b.refuses(nil, failure{Step: "remount", Object: "/etc", Errno: unix.EINVAL, Detail: "no mount begins here"}, plan.Remount{Target: "/etc", SBFlags: unix.MS_RDONLY})
	b.refuses(nil, failure{Step: "remount", Object: "/etc", Errno: unix.EINVAL}, plan.Remount{Target: "/etc", Bind: true, Set: rdonly})
	b.refuses(nil, failure{Step: "remount", Object: "/none", Errno: unix.ENOENT}, plan.Remount{Target: "/none", Bind: true, Set: rdonly})
}

func TestCgroupsInANamespaceOfTheirOwn(t *testing.T) {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skip("no v1 hierarchies here")
	}
	cpu, err := os.Readlink("/sys/fs/cgroup/cpu")
	if err != nil {
		cpu = "cpu"
	}
	for _, flags := range [][]string{{"-p", "-c"}, {"-p", "-c", "-u"}} {
		b := newBox(t)
		out := b.enter(flags, "ls /c/tasks /u/cgroup.procs; "+mountinfo, proc,
			plan.Mount{Target: "/c", Type: "cgroup", Source: "cgroup", Options: strings.Split(cpu, ","), Set: nosuid},
			plan.Mount{Target: "/joined", Type: "cgroup", Source: "cgroup", Options: []string{cpu}, Set: nosuid | rdonly},
			plan.Mount{Target: "/u", Type: "cgroup2", Source: "cgroup", Set: nosuid | nodev},
		)
		if !strings.HasPrefix(out, "/c/tasks\n/u/cgroup.procs\n") {
			t.Error(out)
		}
		b.flags(out, "/c", "rw,nosuid,relatime")
		b.flags(out, "/joined", "ro,nosuid,relatime")
		b.super(out, "/c", strings.Split(cpu, ",")...)
	}
}
