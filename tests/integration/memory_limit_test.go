package integration

import (
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// memoryLimit limits memory, and swap to nothing.
func memoryLimit(bytes int64) harness.Edit {
	return resources(func(r *specs.LinuxResources) { r.Memory = &specs.LinuxMemory{Limit: &bytes, Swap: &bytes} })
}

const page = 4096

// The stage, which is all of runack that is ever in the container's cgroup, needs next to nothing:
// half a MiB is enough for it and for the program.
func TestTheSmallestMemoryLimit(t *testing.T) {
	e := harness.New(t)
	needController(e, "memory")
	b := e.Bundle(harness.Args("/bin/true"))
	works := func(pages int64, times int) bool {
		b.Edit(memoryLimit(pages * page))
		for range times {
			r := e.Do("run", "-b", b.Dir, e.ID("c"))
			wantExplained(t, r)
			if r.Code != 0 {
				return false
			}
		}
		return true
	}
	low, high, times := int64(0), int64(1024), 3 // low is too little, high is enough
	if harness.Slow() {
		times = 1
	}
	if !works(high, 1) {
		t.Fatalf("%d KiB are not enough", high*page/1024)
	}
	for high-low > 1 {
		if middle := (low + high) / 2; works(middle, times) {
			high = middle
		} else {
			low = middle
		}
	}
	t.Logf("the smallest memory limit at which `run true` works: %d KiB (%s)", high*page/1024, harness.CgroupVersion())
	const bound = 512 * 1024 / page
	if high >= bound && harness.CgroupVersion() != "v2" {
		t.Errorf("the smallest memory limit is %d KiB, want less than 512", high*page/1024)
	}
	if enough := max(high, bound-1); !works(enough, again(200, 10)) {
		t.Errorf("%d KiB are enough now and then only", enough*page/1024)
	}
}

// wantExplained: a run under too small a limit ends in one of two ways. The program starts and is
// killed, or the run fails and says that the limit may be to blame.
func wantExplained(t *testing.T, r harness.Result) {
	t.Helper()
	switch {
	case r.Signal != 0:
		t.Errorf("the runtime itself was killed: %s", r)
	case r.Code == 0:
	case r.Code == 128+int(syscall.SIGKILL) && strings.Contains(r.Stderr, "want of memory"):
	case r.Code == 1 && (strings.Contains(r.Stderr, "OOM kill(s)") || strings.Contains(r.Stderr, "ENOMEM")):
	default:
		t.Errorf("not explained: %s", r)
	}
}
