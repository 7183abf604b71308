package container

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]unix.Signal{
		"0": 0, "1": 1, "9": 9, "15": 15, "32": 32, "64": 64, "09": 9,
		"KILL": 9, "SIGKILL": 9, "sigkill": 9, "kill": 9, "Kill": 9, "TERM": 15, "HUP": 1, "WINCH": 28,
		"IOT": 6, "CLD": 17, "POLL": 29, "SIGIO": 29, "SIGSYS": 31, "STKFLT": 16,
		"RTMIN": 34, "SIGRTMIN": 34, "RTMIN+0": 34, "RTMIN+3": 37, "sigrtmin+15": 49, "SIGRTMIN+30": 64,
		"RTMAX": 64, "SIGRTMAX": 64, "RTMAX-0": 64, "RTMAX-14": 50, "SIGRTMAX-30": 34,
	} {
		if got, err := ParseSignal(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "SIG", "65", "-1", "-9", "+9", "9x", "KILLL", "SIGSIGKILL", "RTMIN+31", "RTMIN-1", "RTMAX+1",
		"RTMAX-31", "RTMIN+", "RTMIN++1", "RTMIN+x", "RTMINX", "RTMIN+ 1", " KILL", "9999999999999999999",
	} {
		if got, err := ParseSignal(in); err == nil || err.Error() != fmt.Sprintf("unknown signal %q", in) {
			t.Errorf("%q: %d, %v", in, got, err)
		}
	}
}

// TestParseSignalKnowsEveryName takes each name that the kernel's header has.
func TestParseSignalKnowsEveryName(t *testing.T) {
	for n := unix.Signal(1); n < 32; n++ {
		name := unix.SignalName(n)
		if got, err := ParseSignal(name); err != nil || got != n {
			t.Errorf("%s: %d, %v; want %d", name, got, err, n)
		}
	}
}
