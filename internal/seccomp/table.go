package seccomp

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// Where struct seccomp_data has what (linux/seccomp.h).
const (
	offNr   = 0
	offArch = 4
)

// A node is what remains to be decided once architecture and number are known: an action, or a
// comparison of a part of the arguments. Nodes are interned, so that equal ones are identical.
type node struct {
	leaf    bool
	ret     uint32 // of a leaf
	off     uint32 // of a comparison: which word of seccomp_data
	mask    uint32 // what is looked at of it
	jump    uint16 // BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET
	k       uint32
	yes, no *node
}

// A span is a range of system call numbers, both ends included, for which the same is decided.
type span struct {
	low, high uint32
	do        *node
}

// A table says all that a filter does.
type table struct {
	archs []archTable
	other *node // for architectures that are not listed
}

// An archTable has spans that cover all numbers, in their order. No two neighbours do the same.
type archTable struct {
	audit uint32 // AUDIT_ARCH_*
	spans []span
}

// errShape: a filter that does more than compare words with constants. libseccomp makes none.
var errShape = errors.New("seccomp: a form of program that is not known here")

// An evaluator walks a program for one architecture and one range of numbers.
type evaluator struct {
	program []unix.SockFilter
	nodes   map[node]*node
	seen    map[point]*node // what comes of a comparison, for this architecture and range
	named   []uint32        // architectures that the program asks about, as far as it was walked
	arch    uint32
	other   bool // arch stands for all that the program does not name
	low     uint32
	high    uint32
}

// A point is where an evaluator stands. Many ways lead to the same: without remembering what comes of
// it, a profile with n conditions on a system call would take 2^n steps.
type point struct {
	pc int
	a  accumulator
}

// An accumulator is what is known of the machine's register.
type accumulator struct {
	loaded bool
	off    uint32
	mask   uint32
}

// evaluate makes the table of a program.
func evaluate(program []unix.SockFilter) (*table, *evaluator, error) {
	e := &evaluator{program: program, nodes: make(map[node]*node), seen: make(map[point]*node)}
	t := &table{}
	e.other, e.low, e.high = true, 0, math.MaxUint32
	other, split, err := e.decide()
	if err != nil || split != 0 {
		return nil, nil, errors.Join(errShape, err)
	}
	t.other, e.other = other, false
	for i := 0; i < len(e.named); i++ { // it may grow
		e.arch = e.named[i]
		at := archTable{audit: e.arch}
		if err := e.spans(&at, 0, math.MaxUint32); err != nil {
			return nil, nil, err
		}
		t.archs = append(t.archs, at)
	}
	return t, e, nil
}

// spans decides for the numbers from low to high. Where the program asks a question that the range
// has two answers to, it is cut in two.
func (e *evaluator) spans(t *archTable, low, high uint32) error {
	for {
		e.low, e.high = low, high
		do, split, err := e.decide()
		if err != nil {
			return err
		}
		if split == 0 {
			t.add(span{low, high, do})
			return nil
		}
		if err := e.spans(t, low, split-1); err != nil {
			return err
		}
		low = split
	}
}

// add appends a span, or lengthens the last one.
func (t *archTable) add(s span) {
	if n := len(t.spans); n > 0 && t.spans[n-1].do == s.do {
		t.spans[n-1].high = s.high
		return
	}
	t.spans = append(t.spans, s)
}

// decide walks the whole program.
func (e *evaluator) decide() (do *node, split uint32, err error) {
	clear(e.seen)
	return e.from(0, accumulator{})
}

// from walks from an instruction on. A split that is not 0 says that the range has to be cut before
// that number.
func (e *evaluator) from(pc int, a accumulator) (do *node, split uint32, err error) {
	for pc < len(e.program) {
		in := e.program[pc]
		pc++
		switch in.Code {
		case unix.BPF_RET | unix.BPF_K:
			return e.intern(node{leaf: true, ret: in.K}), 0, nil
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = accumulator{loaded: true, off: in.K, mask: math.MaxUint32}
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a.mask &= in.K
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
		default:
			if in.Code&^0xf0 != unix.BPF_JMP|unix.BPF_K || !a.loaded {
				return nil, 0, fmt.Errorf("%w: instruction %d: code %#x", errShape, pc-1, in.Code)
			}
			yes, split, err := e.answer(a, in)
			switch {
			case err != nil || split != 0:
				return nil, split, err
			case yes == unknown:
				return e.compare(pc, a, in)
			case yes == always:
				pc += int(in.Jt)
			default:
				pc += int(in.Jf)
			}
		}
	}
	return nil, 0, fmt.Errorf("%w: it does not end", errShape)
}

type certainty int

const (
	unknown certainty = iota
	always
	never
)

func certain(yes bool) certainty {
	if yes {
		return always
	}
	return never
}

// answer tells how a jump goes, as far as it depends on architecture and number alone.
func (e *evaluator) answer(a accumulator, in unix.SockFilter) (yes certainty, split uint32, err error) {
	jump := in.Code & 0xf0
	switch a.off {
	case offArch:
		if jump != unix.BPF_JEQ || a.mask != math.MaxUint32 {
			return unknown, 0, errShape
		}
		if !slices.Contains(e.named, in.K) {
			e.named = append(e.named, in.K)
		}
		return certain(!e.other && e.arch == in.K), 0, nil
	case offNr:
		if a.mask != math.MaxUint32 {
			return unknown, 0, errShape
		}
		yes, split = e.compareNr(jump, in.K)
		if jump == unix.BPF_JSET {
			err = errShape
		}
		return yes, split, err
	}
	return unknown, 0, nil
}

// compareNr compares the range of numbers with k.
func (e *evaluator) compareNr(jump uint16, k uint32) (yes certainty, split uint32) {
	if jump == unix.BPF_JEQ {
		switch {
		case k < e.low || k > e.high:
			return never, 0
		case e.low == e.high:
			return always, 0
		case k == e.low:
			return unknown, k + 1
		}
		return unknown, k
	}
	if jump == unix.BPF_JGT {
		if k == math.MaxUint32 {
			return never, 0
		}
		k++
	}
	if e.low >= k {
		return always, 0
	}
	if e.high < k {
		return never, 0
	}
	return unknown, k
}

// compare makes the node of a comparison that arguments decide.
func (e *evaluator) compare(pc int, a accumulator, in unix.SockFilter) (*node, uint32, error) {
	here := point{pc, a}
	if n := e.seen[here]; n != nil {
		return n, 0, nil
	}
	yes, split, err := e.from(pc+int(in.Jt), a)
	if err != nil || split != 0 {
		return nil, split, err
	}
	no, split, err := e.from(pc+int(in.Jf), a)
	if err != nil || split != 0 {
		return nil, split, err
	}
	n := yes
	if yes != no {
		n = e.intern(node{off: a.off, mask: a.mask, jump: in.Code & 0xf0, k: in.K, yes: yes, no: no})
	}
	e.seen[here] = n
	return n, 0, nil
}

func (e *evaluator) intern(n node) *node {
	if known := e.nodes[n]; known != nil {
		return known
	}
	e.nodes[n] = &n
	return &n
}
