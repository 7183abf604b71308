package seccomp

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// A call is what a filter sees: struct seccomp_data without the instruction pointer.
type call struct {
	nr, arch uint32
	args     [6]uint64
}

// word is what BPF_LD|BPF_W|BPF_ABS loads on a little-endian machine.
func (c *call) word(off uint32) (uint32, error) {
	var data [64]byte
	binary.LittleEndian.PutUint32(data[0:], c.nr)
	binary.LittleEndian.PutUint32(data[4:], c.arch)
	for i, a := range c.args {
		binary.LittleEndian.PutUint64(data[16+8*i:], a)
	}
	if off%4 != 0 || off > 60 {
		return 0, fmt.Errorf("load from %d", off)
	}
	return binary.LittleEndian.Uint32(data[off:]), nil
}

// execute runs a program as the kernel would, and returns its action and how many instructions it
// took. It has a third opinion on what instructions mean: neither the evaluator's nor libseccomp's.
func execute(program []unix.SockFilter, c *call) (action uint32, steps int, err error) {
	var a uint32
	for pc := 0; pc < len(program); pc++ {
		steps++
		in := program[pc]
		jump := in.Jf
		switch in.Code {
		case 0x20: // ld [k]
			if a, err = c.word(in.K); err != nil {
				return 0, steps, err
			}
			continue
		case 0x54: // and #k
			a &= in.K
			continue
		case 0x05: // ja
			pc += int(in.K)
			continue
		case 0x06: // ret #k
			return in.K, steps, nil
		case 0x15: // jeq
			if a == in.K {
				jump = in.Jt
			}
		case 0x25: // jgt
			if a > in.K {
				jump = in.Jt
			}
		case 0x35: // jge
			if a >= in.K {
				jump = in.Jt
			}
		case 0x45: // jset
			if a&in.K != 0 {
				jump = in.Jt
			}
		default:
			return 0, steps, fmt.Errorf("instruction %d: code %#x", pc, in.Code)
		}
		pc += int(jump)
	}
	return 0, steps, fmt.Errorf("ran off the end")
}
