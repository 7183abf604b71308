package container

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The real-time signals that kill(1) and programs know by name. The kernel's first is 32, but the C
// library takes 32 and 33 for its threads and calls 34 SIGRTMIN (signal(7)).
const (
	sigrtmin unix.Signal = 34
	sigrtmax unix.Signal = 64
)

// signalAliases are the names that unix.SignalNum lacks.
var signalAliases = map[string]unix.Signal{
	"IOT": unix.SIGABRT, "CLD": unix.SIGCHLD, "POLL": unix.SIGIO, "UNUSED": unix.SIGSYS,
}

// ParseSignal reads a signal: a number from 0 (which only asks whether init is there) to 64, or a
// name in any case, with or without SIG, SIGRTMIN+n and SIGRTMAX-n among them.
func ParseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 || n > int(sigrtmax) || strings.HasPrefix(s, "+") {
			return 0, unknownSignal(s)
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	if sig, ok := signalAliases[name]; ok {
		return sig, nil
	}
	if sig, ok := parseRealTime(name); ok {
		return sig, nil
	}
	return 0, unknownSignal(s)
}

func unknownSignal(s string) error { return fmt.Errorf("unknown signal %q", s) }

// parseRealTime reads RTMIN, RTMIN+n, RTMAX and RTMAX-n.
func parseRealTime(name string) (unix.Signal, bool) {
	base, sign := sigrtmin, byte('+')
	rest, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = sigrtmax, '-'
		if rest, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if rest == "" {
		return base, true
	}
	n, err := strconv.ParseUint(rest[1:], 10, 8)
	if rest[0] != sign || err != nil || rest[1] == '+' {
		return 0, false
	}
	sig := int(base) + int(n)
	if sign == '-' {
		sig = int(base) - int(n)
	}
	return unix.Signal(sig), sig >= int(sigrtmin) && sig <= int(sigrtmax)
}
