package stagetest

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

func index(i int) *int { return &i }

// mountpoint mounts a tmpfs of the host for the time of the test.
func (b *box) mountpoint(name string, flags uintptr) {
	b.t.Helper()
	b.mkdir(name)
	path := b.path(name)
	if err := unix.Mount("tmpfs", path, "tmpfs", flags, "size=64k"); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			b.t.Error(err)
		}
	})
}

func TestBind(t *testing.T) {
	b := newBox(t)
	b.write("dir/f", "in a directory\n", 0o644)
	b.write("file", "a file\n", 0o644)
	b.symlink("file", "link")
	b.symlink("/elsewhere", "rootfs/to")
	b.symlink("../run/resolv.conf", "rootfs/etc/resolv.conf")
	b.mkdir("rootfs/old")
	out := b.enter(nil, "cat /to/new/f /x/y/file /x/link /etc/resolv.conf /old/f /again/f; stat -c '%n %F' /elsewhere/new /run/resolv.conf /x/y",
		plan.Bind{Target: "/to/new", Source: b.path("dir")},
		plan.Bind{Target: "/x/y/file", Source: b.path("file")},
		plan.Bind{Target: "x/link", Source: b.path("link")},
		plan.Bind{Target: "/etc/resolv.conf", Source: b.path("file")},
		plan.Bind{Target: "/old", Source: b.path("dir")},
		plan.Bind{Target: "/again", Source: "/to/new", Inside: true},
	)
	b.equal(out, `
in a directory
a file
a file
a file
in a directory
in a directory
/elsewhere/new directory
/run/resolv.conf regular file
/x/y directory`)
	for _, tt := range []struct {
		name string
		want failure
		bind plan.Bind
	}{
		{"missing source", failure{Object: b.path("none"), Errno: unix.ENOENT, Detail: "the source of the mount on /x"}, plan.Bind{Target: "/x", Source: b.path("none")}},
		{"missing inside", failure{Object: "/none", Errno: unix.ENOENT}, plan.Bind{Target: "/x", Source: "/none", Inside: true}},
		{"file on directory", failure{Object: "/old", Errno: unix.EISDIR, Detail: "is a file, the target a directory"}, plan.Bind{Target: "/old", Source: b.path("file")}},
		{"directory on file", failure{Object: "/bin/busybox", Errno: unix.ENOTDIR, Detail: "a file is in the way"}, plan.Bind{Target: "/bin/busybox", Source: b.path("dir")}},
		{"root", failure{Object: "/", Errno: unix.EINVAL, Detail: "the container's root"}, plan.Bind{Target: "/", Source: b.path("dir")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Step = "bind mount"
			b.refuses(nil, tt.want, tt.bind)
		})
	}
	t.Run("missing on a read-only file system", func(t *testing.T) {
		ro := plan.Mount{Target: "/ro", Type: "tmpfs", Set: rdonly}
		b.refuses(nil, failure{Step: "bind mount", Object: "/ro/x", Errno: unix.EROFS, Detail: "the target is missing"}, ro, plan.Bind{Target: "/ro/x", Source: b.path("dir")})
	})
}

func TestFlagsOfBinds(t *testing.T) {
	b := newBox(t)
	b.mountpoint("src", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME)
	b.mountpoint("src/sub", unix.MS_NOEXEC)
	for _, tt := range []struct {
		name     string
		bind     plan.Bind
		top, sub string // "" for no mount there
	}{
		{"kept", plan.Bind{}, "rw,nosuid,nodev,noatime", ""},
		{"recursive", plan.Bind{Recursive: true}, "rw,nosuid,nodev,noatime", "rw,noexec,relatime"},
		{"read-only above", plan.Bind{Recursive: true, Set: rdonly}, "ro,nosuid,nodev,noatime", "rw,noexec,relatime"},
		{"read-only all", plan.Bind{Recursive: true, RecSet: rdonly}, "ro,nosuid,nodev,noatime", "ro,noexec,relatime"},
		{"cleared", plan.Bind{Recursive: true, Set: noexec, Clear: nosuid | nodev, Must: nodev}, "rw,noexec,noatime", "rw,noexec,relatime"},
		{"cleared all", plan.Bind{Recursive: true, RecClear: noexec | nodev}, "rw,nosuid,noatime", "rw,relatime"},
		{"relatime", plan.Bind{Clear: unix.MOUNT_ATTR__ATIME}, "rw,nosuid,nodev,relatime", ""},
		{"strictatime", plan.Bind{Set: unix.MOUNT_ATTR_STRICTATIME}, "rw,nosuid,nodev", ""},
		{"rec noatime", plan.Bind{Recursive: true, RecSet: unix.MOUNT_ATTR_NOATIME}, "rw,nosuid,nodev,noatime", "rw,noexec,noatime"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.bind.Target, tt.bind.Source = "/b", b.path("src")
			out := b.enter(nil, mountinfo, proc, tt.bind)
			b.flags(out, "/b", tt.top)
			if tt.sub != "" {
				b.flags(out, "/b/sub", tt.sub)
			} else if strings.Contains(out, "/b/sub") {
				t.Error("the mount below came along")
			}
		})
	}
}

// In a user namespace of its own the container's mounts come from a more privileged one.
func TestLockedFlags(t *testing.T) {
	b := newBox(t)
	b.mountpoint("src", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME|unix.MS_RDONLY)
	user := []string{"-u", "-p"}
	bind := func(m plan.Bind) plan.Bind {
		m.Target, m.Source, m.Recursive = "/b", b.path("src"), true
		return m
	}
	for _, tt := range []struct {
		name string
		bind plan.Bind
		want string
	}{
		{"added", plan.Bind{Set: noexec}, "ro,nosuid,nodev,noexec,noatime"},
		{"locked ones stay", plan.Bind{Set: noexec, Clear: rdonly | nosuid | nodev}, "ro,nosuid,nodev,noexec,noatime"},
		{"what is not there may be asked away", plan.Bind{Clear: nosuid | nodev | noexec, Must: noexec}, "ro,nosuid,nodev,noatime"},
		{"same atime", plan.Bind{Set: unix.MOUNT_ATTR_NOATIME, Clear: nosuid}, "ro,nosuid,nodev,noatime"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.flags(b.enter(user, mountinfo, proc, bind(tt.bind)), "/b", tt.want)
		})
	}
	want := failure{Step: "bind mount", Object: "/b", Errno: unix.EPERM, Detail: "cannot clear locked flags ro,nodev"}
	b.refuses(user, want, proc, bind(plan.Bind{Clear: rdonly | nosuid | nodev, Must: rdonly | nodev}))
	want.Detail = "locked atime mode"
	b.refuses(user, want, proc, bind(plan.Bind{Clear: unix.MOUNT_ATTR__ATIME}))
	want.Detail = "locked by a more privileged namespace"
	b.refuses(user, want, proc, bind(plan.Bind{RecClear: rdonly}))
	// A tree with mounts below, without them: they would uncover what lies under them.
	b.mkdir("top/sub")
	b.mountpoint("top/sub", 0)
	want = failure{Step: "bind mount", Object: b.path("top"), Errno: unix.EINVAL, Detail: "rbind"}
	b.refuses(user, want, proc, plan.Bind{Target: "/b", Source: b.path("top")})
}

func TestBindOfADescriptor(t *testing.T) {
	b := newBox(t)
	b.write("dir/f", "by descriptor\n", 0o644)
	b.write("file", "a file\n", 0o644)
	flags := []string{"-f", "tree:" + b.path("dir"), "-f", "tree:" + b.path("file")}
	out := b.enter(flags, "cat /d/f /f", plan.Bind{Target: "/d", Source: "dir", FD: index(0), Set: rdonly}, plan.Bind{Target: "/f", Source: "file", FD: index(1)})
	b.equal(out, "by descriptor\na file")
	b.refuses(nil, failure{Step: "check plan", Object: "step 2 bind", Errno: unix.EBADMSG, Detail: "fd: no descriptor 3"}, plan.Bind{Target: "/d", Source: "dir", FD: index(3)})
}

func TestPropagationOfBinds(t *testing.T) {
	b := newBox(t)
	b.mountpoint("src", 0)
	if err := unix.Mount("", b.path("src"), "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		flags []uint64
		want  string
	}{
		{"slave by the namespace's", nil, "master:"},
		{"private", []uint64{unix.MS_PRIVATE}, "-"},
		{"shared slave", []uint64{unix.MS_SHARED}, "shared:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := b.enter(nil, mountinfo, proc, plan.Bind{Target: "/b", Source: b.path("src"), Propagation: tt.flags})
			for line := range strings.Lines(out) {
				if f := strings.Fields(line); f[4] == "/b" && !strings.HasPrefix(f[6], tt.want) {
					t.Error(line)
				}
			}
		})
	}
}
