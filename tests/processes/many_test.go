package processes

import (
	"fmt"
	"os"
	"testing"

	"runack/tests/harness"
)

// 100,000 in `make soak`; a tenth otherwise, which took 70 s on two cores that others used as well. Any exec that hangs, any that leaves a process, a zombie, or a descriptor,
// is found: by its deadline, and by what the container and this process have before and after.
func TestManyExecs(t *testing.T) {
	e := harness.New(t)
	id, init := detached(e)
	before := openFiles(t, init)
	parallel(t, 4, amount(100000, 10000), func(i int) error {
		r, err := e.Runtime("exec", id, "/bin/true").Try()
		if err == nil && (r.Code != 0 || r.Stderr != "") {
			err = fmt.Errorf("exec %d: %s", i, r)
		}
		return err
	})
	wantEqual(t, "processes", e.OK("exec", id, "ps", "-o", "comm"), "COMMAND\nprobe\nps\n")
	wantEqual(t, "descriptors of the container's init", fmt.Sprint(openFiles(t, init)), fmt.Sprint(before))
	remove(e, id)
}

func openFiles(t testing.TB, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
