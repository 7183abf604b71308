package stagetest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode()
}

func TestNamesStayInsideTheRoot(t *testing.T) {
	for _, tt := range []struct {
		name          string
		link, target  string // a symbolic link of the image
		path, arrives string // where a directory made at path is found
	}{
		{"plain", "", "", "/a/b/c", "rootfs/a/b/c"},
		{"relative", "", "", "a/b", "rootfs/a/b"},
		{"dots", "", "", "/../../a/./../b//c/", "rootfs/b/c"},
		{"absolute link", "l", "/etc", "/l/x", "rootfs/etc/x"},
		{"link out", "l", "../../../../..", "/l/tmp/x", "rootfs/tmp/x"},
		{"dangling link", "l", "/no/where", "/l/x", "rootfs/no/where/x"},
		{"dangling relative link", "etc/l", "../run/z", "/etc/l", "rootfs/run/z"},
		{"dangling link up", "l", "no/../../../q", "/l", "rootfs/q"},
		{"magic link", "l", "/proc/self/root", "/l/x", "rootfs/proc/self/root/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			if tt.link != "" {
				b.symlink(tt.target, "rootfs/"+tt.link)
			}
			b.enter(nil, ":", plan.Mkdir{Path: tt.path, Mode: 0o1770})
			if m := mode(t, b.path(tt.arrives)); m != os.ModeDir|os.ModeSticky|0o770 {
				t.Errorf("mode %v", m)
			}
		})
	}
}

func TestMagicLinksOfAProcfsAreNotFollowed(t *testing.T) {
	b := newBox(t)
	b.symlink("/proc/self/cwd", "rootfs/l")
	b.refuses(nil, failure{Step: "make directory", Object: "/l/x", Errno: unix.ELOOP}, proc, plan.Mkdir{Path: "/l/x", Mode: 0o755})
}

func TestMkdir(t *testing.T) {
	uid, gid := int64(7), int64(8)
	b := newBox(t)
	b.write("rootfs/file", "", 0o644)
	b.symlink("l2", "rootfs/l1")
	b.symlink("l1", "rootfs/l2")
	b.enter(nil, ":", plan.Mkdir{Path: "/new/dir", Mode: 0o700, UID: &uid, GID: &gid}, plan.Mkdir{Path: "/etc", Mode: 0o700, UID: &uid})
	var st unix.Stat_t
	if err := unix.Stat(b.path("rootfs/new/dir"), &st); err != nil || st.Uid != 7 || st.Gid != 8 || st.Mode&0o7777 != 0o700 {
		t.Errorf("%v %+v", err, st)
	}
	if err := unix.Stat(b.path("rootfs/new"), &st); err != nil || st.Uid != 0 || st.Mode&0o7777 != 0o755 {
		t.Errorf("parent: %v %+v", err, st)
	}
	if err := unix.Stat(b.path("rootfs/etc"), &st); err != nil || st.Uid != 0 || st.Mode&0o7777 != 0o755 {
		t.Errorf("existing: %v %+v", err, st)
	}
	b.refuses(nil, failure{Step: "make directory", Object: "/file/x", Errno: unix.ENOTDIR}, plan.Mkdir{Path: "/file/x", Mode: 0o755})
	b.refuses(nil, failure{Step: "make directory", Object: "/file", Errno: unix.ENOTDIR}, plan.Mkdir{Path: "/file", Mode: 0o755})
	b.refuses(nil, failure{Step: "make directory", Object: "/l1/x", Errno: unix.ELOOP}, plan.Mkdir{Path: "/l1/x", Mode: 0o755})
}

func TestSymlink(t *testing.T) {
	b := newBox(t)
	b.write("rootfs/dev/file", "", 0o644)
	b.symlink("right", "rootfs/dev/same")
	b.enter(nil, ":",
		plan.Symlink{Path: "/dev/a/b", Target: "../x"},
		plan.Symlink{Path: "/dev/same", Target: "right"},
		plan.Symlink{Path: "/dev/file", Target: "/kept", Keep: true},
	)
	if l, err := os.Readlink(b.path("rootfs/dev/a/b")); err != nil || l != "../x" {
		t.Error(l, err)
	}
	if mode(t, b.path("rootfs/dev/file")) != 0o644 {
		t.Error("the file was not kept")
	}
	b.refuses(nil, failure{Step: "make symlink", Object: "/dev/same", Errno: unix.EEXIST}, plan.Symlink{Path: "/dev/same", Target: "wrong"})
	b.refuses(nil, failure{Step: "make symlink", Object: "/dev/..", Errno: unix.EINVAL}, plan.Symlink{Path: "/dev/..", Target: "x"})
	b.enter(nil, ":", plan.Symlink{Path: "/dev/file", Target: "pts/ptmx", Replace: true})
	if l, err := os.Readlink(b.path("rootfs/dev/file")); err != nil || l != "pts/ptmx" {
		t.Error(l, err)
	}
}

func TestDevice(t *testing.T) {
	tty := plan.Device{Path: "/dev/sub/tty", Type: "c", Major: 5, Minor: 0, Mode: 0o666, UID: 3, GID: 4}
	b := newBox(t)
	out := b.enter(nil, "stat -c '%n %F %t:%T %a %u:%g' /dev/*/*",
		plan.Umask{Mask: 0o077}, tty,
		plan.Device{Path: "/dev/sub/fifo", Type: "p", Mode: 0o622, UID: 1},
		plan.Device{Path: "/dev/sub/loop", Type: "b", Major: 7, Minor: 259, Mode: 0o640},
	)
	b.equal(out, `
/dev/sub/fifo fifo 0:0 622 1:0
/dev/sub/loop block special file 7:103 640 0:0
/dev/sub/tty character special file 5:0 666 3:4`)

	// What is there already stays if it is the device.
	tty.UID = 9
	b.equal(b.enter(nil, "stat -c %u /dev/sub/tty", tty), "3")
	wrong := tty
	wrong.Minor = 1
	b.refuses(nil, failure{Step: "make device", Object: "/dev/sub/tty", Errno: unix.EEXIST, Detail: "c 5:1"}, wrong)
}

// CVE-2026-41579 and its like: /dev, or what is in it, leads somewhere else.
func TestDevicesOfAHostileImage(t *testing.T) {
	t.Run("dev is a link", func(t *testing.T) {
		b := newBox(t)
		b.mkdir("out")
		b.symlink(b.path("out"), "rootfs/dev")
		b.enter(nil, ":", null)
		if _, err := os.Lstat(b.path("out/null")); err == nil {
			t.Error("made outside of the root")
		}
		if m := mode(t, b.root+b.path("out/null")); m&os.ModeCharDevice == 0 {
			t.Error(m)
		}
	})
	t.Run("node is a link", func(t *testing.T) {
		b := newBox(t)
		b.write("secret", "", 0o600)
		b.symlink(b.path("secret"), "rootfs/dev/null")
		want := failure{Step: "make device", Object: "/dev/null", Errno: unix.EEXIST, Detail: "is not the device c 1:3"}
		b.refuses(nil, want, null)
		bound := null
		bound.Bind = true
		b.refuses(nil, want, bound)
	})
}

func TestDeviceIsBoundWhereMknodIsRefused(t *testing.T) {
	b := newBox(t)
	for _, bind := range []bool{true, false} { // asked for, or because of EPERM
		bound := null
		bound.Bind = bind
		out := b.enter([]string{"-u", "-p"}, "stat -c '%F %t:%T' /dev/null /dev/fifo; echo x >/dev/null",
			dev, bound, bound, plan.Device{Path: "/dev/fifo", Type: "p", Mode: 0o600, Bind: bind})
		b.equal(out, "character special file 1:3\nfifo 0:0")
	}
	zero := plan.Device{Path: "/dev/zero", Type: "c", Major: 1, Minor: 7, Mode: 0o666, Bind: true}
	b.refuses([]string{"-u", "-p"}, failure{Step: "make device", Object: "/dev/zero", Errno: unix.EEXIST, Detail: "the host's node"}, dev, zero)
	none := plan.Device{Path: "/dev/no-such-device", Type: "c", Major: 1, Minor: 7, Mode: 0o666, Bind: true}
	b.refuses([]string{"-u", "-p"}, failure{Step: "make device", Object: "/dev/no-such-device", Errno: unix.ENOENT}, dev, none)
}
