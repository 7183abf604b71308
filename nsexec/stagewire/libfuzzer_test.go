package stagewire

import (
	"os/exec"
	"testing"
)

// A short run of libFuzzer over the stage's readers. Longer ones
// are the program's own: build/stagewire/fuzz-clang-* -max_total_time=3600 DIR.
func TestLibFuzzerShortRun(t *testing.T) {
	cmd := exec.Command(program(t, "clang", "fuzz"), "-seed=1", "-runs=50000", "-max_len=2048", "-artifact_prefix="+t.TempDir()+"/")
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
