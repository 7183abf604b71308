package nsexec

import (
	"os"
	"strings"
	"testing"
)

// FuzzStat: the name in it is any program's choice.
func FuzzStat(f *testing.F) {
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	for _, name := range []string{"runack:[78]", "runack:[stage1]", "a) Z 1 (b", "(", ")", "runack:[999]", "stage1]", "runack:[]", "runack:[-1]"} {
		f.Add([]byte("7 (" + name + ") Z 1 1 1 0 -1 4 " + strings.Repeat("0 ", 42) + "9\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseStat(data)
		if err != nil {
			return
		}
		if !strings.Contains(string(data), "("+s.comm+")") {
			t.Errorf("%q: name %q", data, s.comm)
		}
		if step, ok := s.stage(); ok && !strings.HasPrefix(s.comm, "runack:[") {
			t.Errorf("%q is at %q", s.comm, step)
		}
	})
}
