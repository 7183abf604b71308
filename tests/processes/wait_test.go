package processes

import (
	"runtime"
	"testing"
	"time"

	"runack/tests/harness"
)

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
