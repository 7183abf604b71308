package cgroupjoin

import (
	"errors"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What can be said without the hardware, which no machine of the tests has: which names of groups
// are looked for at all.
func TestResctrlGroupNames(t *testing.T) {
	for _, r := range []struct {
		id   string
		want error
	}{
		{"", unix.ENOENT}, {"/", unix.ENOENT}, {"gold", unix.ENOENT},
		{".", unix.EINVAL}, {"..", unix.EINVAL}, {"a/b", unix.EINVAL}, {"/a", unix.EINVAL}, {"a\nb", unix.EINVAL},
	} {
		rdt, err := NewRDT("c1", &specs.LinuxIntelRdt{ClosID: r.id})
		if rdt != nil && errors.Is(r.want, unix.ENOENT) {
			continue // this machine has it
		}
		if !errors.Is(err, r.want) {
			t.Errorf("closID %q: got %v, want %v", r.id, err, r.want)
		}
	}
}
