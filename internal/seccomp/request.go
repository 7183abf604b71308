package seccomp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/plan"
)

// maxRequest bounds a request, here and in the compiler.
const maxRequest = 1 << 20

// maxConditions bounds those of a rule, here and in the compiler.
const maxConditions = 256

// maxName is longer than the name of any system call.
const maxName = 64

// defaultData is what an action returns that gives no number, as with runc.
const defaultData = uint(unix.EPERM)

// A profile's words are SCMP_ACT_ERRNO, SCMP_ARCH_X86_64 and SCMP_CMP_EQ; a request's ERRNO, x86_64
// and EQ.
const (
	actionPrefix   = "SCMP_ACT_"
	archPrefix     = "SCMP_ARCH_"
	operatorPrefix = "SCMP_CMP_"
)

// request writes a profile as the compiler reads it:
//
//	seccomp 1
//	default ACTION DATA
//	arch NAME                                                  for each architecture
//	rule INDEX ACTION DATA all|any ARGS [ARG OP VALUE VALUE2]... NAME...   for each rule
//	end
//
// Words are separated by one space, numbers are decimal. DATA is the number that ERRNO and TRACE
// return, 0 for other actions. Of the ARGS conditions all must hold, or any. The listener and the flags are not in it: they are no part of the
// program.
func request(p *specs.LinuxSeccomp) ([]byte, error) {
	b := make([]byte, 0, 16*1024)
	b = append(b, "seccomp 1\ndefault "...)
	b, err := appendAction(b, "defaultAction", p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	for i, a := range p.Architectures {
		name := requestArch(string(a))
		if !isWord(name) {
			return nil, refuse(item("architectures", i), fmt.Sprintf("unknown architecture %q", a))
		}
		b = append(b, "arch "...)
		b = append(b, name...)
		b = append(b, '\n')
	}
	for i := range p.Syscalls {
		if b, err = appendRule(b, i, &p.Syscalls[i]); err != nil {
			return nil, err
		}
	}
	b = append(b, "end\n"...)
	if len(b) > maxRequest {
		return nil, refuse("", fmt.Sprintf("more than %d bytes", maxRequest))
	}
	return b, nil
}

func repeatsArgument(args []specs.LinuxSeccompArg) bool {
	for i, a := range args {
		if slices.ContainsFunc(args[:i], func(o specs.LinuxSeccompArg) bool { return o.Index == a.Index }) {
			return true
		}
	}
	return false
}

func appendRule(b []byte, index int, r *specs.LinuxSyscall) ([]byte, error) {
	at := item("syscalls", index)
	b = append(b, "rule "...)
	b = strconv.AppendInt(b, int64(index), 10)
	b = append(b, ' ')
	b, err := appendAction(b, at+".action", r.Action, r.ErrnoRet)
	if err != nil {
		return nil, err
	}
	if len(r.Args) > maxConditions {
		return nil, refuse(at+".args", fmt.Sprintf("more than %d", maxConditions))
	}
	// Conditions on one argument twice are alternatives, as with runc.
	mode := " all"
	if repeatsArgument(r.Args) {
		mode = " any"
	}
	b = appendNumber(append(b, mode...), uint64(len(r.Args)))
	for i, a := range r.Args {
		op, ok := strings.CutPrefix(string(a.Op), operatorPrefix)
		if !ok || !isWord(op) {
			return nil, refuse(item(at+".args", i)+".op", fmt.Sprintf("unknown operator %q", a.Op))
		}
		b = appendNumber(b, uint64(a.Index))
		b = append(b, ' ')
		b = append(b, op...)
		b = appendNumber(b, a.Value)
		b = appendNumber(b, a.ValueTwo)
	}
	for _, name := range r.Names {
		// No system call is called anything else, and names that nobody knows are ignored.
		if !isWord(name) {
			continue
		}
		b = append(b, ' ')
		b = append(b, name...)
	}
	return append(b, '\n'), nil
}

// requestArch is libseccomp's word for SCMP_ARCH_*.
func requestArch(name string) string {
	return strings.ToLower(strings.TrimPrefix(name, archPrefix))
}

func appendNumber(b []byte, n uint64) []byte {
	return strconv.AppendUint(append(b, ' '), n, 10)
}

// appendAction writes an action and its number.
func appendAction(b []byte, field string, action specs.LinuxSeccompAction, ret *uint) ([]byte, error) {
	data := uint(0)
	switch action {
	case specs.ActErrno, specs.ActTrace:
		data = defaultData
		if ret != nil {
			data = *ret
		}
	case specs.ActKill:
		action = specs.ActKillThread // its other name
	default:
		// returns no number
	}
	name, ok := strings.CutPrefix(string(action), actionPrefix)
	if !ok || !isWord(name) {
		return nil, refuse(field, fmt.Sprintf("unknown action %q", action))
	}
	return appendNumber(append(b, name...), uint64(data)), nil
}

// isWord: letters, digits and underscores, as in the name of a system call.
func isWord(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

func item(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// refuse names a field of linux.seccomp; an empty one stands for the whole.
func refuse(field, reason string) error {
	if field != "" {
		field = "." + field
	}
	return &plan.Error{Field: "linux.seccomp" + field, Reason: reason}
}
