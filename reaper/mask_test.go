package reaper

import (
	"os"
	"os/exec"
	"testing"
)

// TestSignalBlockedAtStart: a runtime that was started with SIGCHLD blocked or ignored reaps all the same.
func TestSignalBlockedAtStart(t *testing.T) {
	if os.Getenv("REAPER_TEST_MASKED") != "" {
		r := newReaper(t, Options{Subreaper: true})
		waitUntil(t, "the first look is over", func() bool { return r.Stats().Scans > 0 })
		orphan(t, r, 1)
		waitUntil(t, "the orphan is reaped", func() bool { return r.Stats().Orphans == 1 })
		return
	}
	for _, how := range []string{"--block-signal=CHLD", "--ignore-signal=CHLD"} {
		t.Run(how, func(t *testing.T) {
			cmd := exec.Command("env", how, os.Args[0], "-test.run=^TestSignalBlockedAtStart$", "-test.count=1")
			cmd.Env = append(os.Environ(), "REAPER_TEST_MASKED=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}
