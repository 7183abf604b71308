package doctor

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// A feature is a system call that tells, called with arguments that change nothing, whether the
// kernel has it.
type feature struct {
	name   string
	since  string // the kernel that brought it, for the advice alone
	lacks  State  // the verdict where it is not there
	advice string // beyond "a later kernel"; may be empty
	probe  func() error
}

// raw calls a system call for its errno, with arguments with which it makes nothing.
func raw(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// none is a descriptor, a pid or an address that is none.
const none = ^uintptr(0)

// features are what stage and runtime call; see docs/kernel-features.md.
func features() []feature {
	return []feature{
		{"clone3", "5.3", Missing, "", func() error { return raw(unix.SYS_CLONE3, 0, 0) }},
		{"openat2", "5.6", Missing, "", func() error {
			fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
			if err == nil {
				_ = unix.Close(fd)
			}
			return err
		}},
		{"pidfd_open", "5.3", Missing, "", func() error { return raw(unix.SYS_PIDFD_OPEN, none, 0) }},
		{"pidfd_send_signal", "5.1", Missing, "", func() error { return raw(unix.SYS_PIDFD_SEND_SIGNAL, none, 0, 0, 0) }},
		{"close_range", "5.11", Missing, "", func() error { return raw(unix.SYS_CLOSE_RANGE, 1<<32-1, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC) }},
		{"open_tree", "5.2", Missing, "", func() error { return raw(unix.SYS_OPEN_TREE, none, 0, 0) }},
		{"move_mount", "5.2", Missing, "", func() error { return raw(unix.SYS_MOVE_MOUNT, none, 0, none, 0, 0) }},
		{"fsopen", "5.2", Missing, "", func() error { return raw(unix.SYS_FSOPEN, 0, 0) }},
		{"mount_setattr", "5.12", Missing, "", func() error { return raw(unix.SYS_MOUNT_SETATTR, none, 0, 0, 0, 0) }},
		{"pidfd_getfd", "5.6", Limited, "seccomp agents need it", func() error { return raw(unix.SYS_PIDFD_GETFD, none, 0, 0) }},
		{"seccomp notification", "5.0", Limited, "seccomp agents need it (CONFIG_SECCOMP_FILTER)", func() error {
			action := uint32(seccompRetUserNotif)
			return raw(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
		}},
		{"executable memfd", "3.17", Limited, "vm.memfd_noexec=2 forbids it: the stage is copied to an unlinked file in TMPDIR instead", executableMemfd},
	}
}

// seccompRetUserNotif is SECCOMP_RET_USER_NOTIF of linux/seccomp.h.
const seccompRetUserNotif = 0x7fc00000

// executableMemfd is EACCES where vm.memfd_noexec forbids it.
func executableMemfd() error {
	fd, err := unix.MemfdCreate("runack-doctor", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("runack-doctor", unix.MFD_CLOEXEC)
	}
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// absent is what the kernel, or a seccomp filter in front of it, answers for a call that is not
// there. EPERM and EACCES are a filter's or the lack of a right; any other errno is the call's own
// complaint about the arguments of a probe.
func absent(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES)
}

func kernel() []Check {
	var checks []Check
	for _, f := range features() {
		c := Check{Name: f.name, State: OK}
		if err := f.probe(); absent(err) {
			var errno unix.Errno
			errors.As(err, &errno)
			c.State, c.Found = f.lacks, handshake.ErrnoName(errno)
			c.Advice = "Linux " + f.since + " or later, and no seccomp filter in the way"
			if f.advice != "" {
				c.Advice = f.advice
			}
		}
		checks = append(checks, c)
	}
	if os.Geteuid() != 0 {
		checks = append(checks, Check{Name: "root", State: Limited, Found: "not root",
			Advice: "as an ordinary user containers need a user namespace; see the group users"})
	}
	return checks
}

func namespaces() []Check {
	var checks []Check
	for _, n := range []struct {
		file, config string
		lacks        State
	}{
		{"mnt", "", Missing}, {"pid", "CONFIG_PID_NS", Missing}, {"net", "CONFIG_NET_NS", Missing}, {"ipc", "CONFIG_IPC_NS", Missing},
		{"uts", "CONFIG_UTS_NS", Missing}, {"user", "CONFIG_USER_NS", Limited}, {"cgroup", "CONFIG_CGROUPS", Limited}, {"time", "CONFIG_TIME_NS", Limited},
	} {
		c := Check{Name: n.file, State: OK}
		if _, err := os.Stat("/proc/self/ns/" + n.file); err != nil {
			c.State, c.Found, c.Advice = n.lacks, "no /proc/self/ns/"+n.file, "a kernel with "+n.config
		}
		checks = append(checks, c)
	}
	return checks
}
