package seccomp

import (
	"math"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// SECCOMP_RET_ERRNO | ENOSYS (linux/seccomp.h).
const retENOSYS = 0x00050000 | uint32(unix.ENOSYS)

// x32Bit marks the numbers of x32, which share AUDIT_ARCH_X86_64 with the native ones.
const x32Bit = 1 << 30

// libseccomp's names for architectures (seccomp.h): AUDIT_ARCH_*, but for x32, which has none.
const (
	archX8664 = 0xc000003e
	archX32   = 0x4000003e
	archS390  = 0x00000016
	archS390X = 0x80000016
)

// needsENOSYS: the rule is for profiles that forbid by default, as with runc. A tracer is taken for
// one that can answer ENOSYS by itself.
func needsENOSYS(p *specs.LinuxSeccomp) bool {
	switch p.DefaultAction {
	case specs.ActAllow, specs.ActLog, specs.ActTrace:
		return false
	default:
		return true
	}
}

// addENOSYS answers ENOSYS to all numbers that are above the largest that the profile names for
// their architecture, whatever the filter says. last has that by libseccomp's name of the
// architecture; where it is 0 the profile names none, and nothing is changed.
func (t *table) addENOSYS(last map[uint32]uint32, nodes *evaluator) {
	enosys := nodes.intern(node{leaf: true, ret: retENOSYS})
	for i := range t.archs {
		a := &t.archs[i]
		if a.audit != archX8664 {
			a.override(0, math.MaxUint32, last[a.audit], enosys)
			if last[a.audit] > 0 && (a.audit == archS390 || a.audit == archS390X) {
				// setup(2): s390 has no other number for a call that the kernel does not know.
				a.set(0, 0, enosys)
			}
			continue
		}
		for low := uint64(0); low <= math.MaxUint32; low += x32Bit {
			arch := uint32(archX8664)
			if low&x32Bit != 0 {
				arch = archX32
			}
			a.override(uint32(low), uint32(low+x32Bit-1), last[arch], enosys)
		}
	}
}

// override sets what is above last, from low to high.
func (t *archTable) override(low, high, last uint32, do *node) {
	if last > 0 && last < high {
		t.set(max(low, last+1), high, do)
	}
}

// set changes what is done for a range of numbers.
func (t *archTable) set(low, high uint32, do *node) {
	old := t.spans
	t.spans = nil
	for _, s := range old {
		if s.low < low {
			t.add(span{s.low, min(s.high, low-1), s.do})
		}
		if s.low <= high && s.high >= low {
			t.add(span{max(s.low, low), min(s.high, high), do})
		}
		if s.high > high {
			t.add(span{max(s.low, high+1), s.high, s.do})
		}
	}
}
