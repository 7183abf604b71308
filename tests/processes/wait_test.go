package processes

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"runack/tests/harness"
)

// blockedIn tells whether a process sleeps in a system call.
func blockedIn(pid int, call uintptr) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	number, _, _ := strings.Cut(string(text), " ")
	return err == nil && number == fmt.Sprint(call)
}

// commandTime bounds what is to come at once; nothing should come near it.
const commandTime = 20 * time.Second

// within asks again and again for what no descriptor tells of, and what comes at once.
func within(t testing.TB, what string, happened func() bool) {
	t.Helper()
	end := time.Now().Add(harness.Deadline(commandTime))
	for !happened() {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", harness.Deadline(commandTime), what)
		}
		runtime.Gosched()
	}
}
