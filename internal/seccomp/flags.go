package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// flagTsync is in the text of the specification and not in its Go types.
const flagTsync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

// flagTable has the bits of seccomp(2).
var flagTable = map[specs.LinuxSeccompFlag]uint64{
	flagTsync:                              0, // the stage has one thread, and TSYNC changes what seccomp(2) returns
	specs.LinuxSeccompFlagLog:              unix.SECCOMP_FILTER_FLAG_LOG,
	specs.LinuxSeccompFlagSpecAllow:        unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
	specs.LinuxSeccompFlagWaitKillableRecv: unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
}

// flagBits gives the flags for seccomp(2). Without a list, which is not the same as an empty one,
// the default is SPEC_ALLOW, as with runc.
func flagBits(flags []specs.LinuxSeccompFlag) (uint64, error) {
	if flags == nil {
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, nil
	}
	bits := uint64(0)
	for i, f := range flags {
		bit, ok := flagTable[f]
		if !ok {
			return 0, refuse(item("flags", i), fmt.Sprintf("unknown flag %q", f))
		}
		if bit != 0 && askKernel(bit) == unix.EINVAL {
			return 0, refuse(item("flags", i), fmt.Sprintf("this kernel does not know %s", f))
		}
		bits |= bit
	}
	return bits, nil
}

// flagSupported tells whether the kernel knows a flag.
func flagSupported(flag specs.LinuxSeccompFlag) bool {
	bit, ok := flagTable[flag]
	return ok && askKernel(bit) == unix.EFAULT
}

// askKernel loads a filter that is no address: refused with EFAULT, and only after the flags have
// been looked at.
func askKernel(bits uint64) unix.Errno {
	if bits&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0 {
		bits |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER // goes with it only
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(bits), 0)
	return errno
}
