package cgroupjoin

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The owner gets the directory and the kernel's list of files, and no file with a limit in it.
func TestDelegation(t *testing.T) {
	needRoot(t)
	c := newCgroupAt(t, Config{Path: "/" + name(), OwnerUID: ptr(4321), OwnerGID: ptr(5432)})
	if c.Layout() != V2 {
		t.Skipf("only v2 delegates; this is %s", c.Layout())
	}
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	dir := c.Paths()[""]
	delegated, err := delegatedFiles()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{".": true}
	for _, f := range delegated {
		want[f] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range append([]string{"."}, entryNames(entries)...) {
		info, err := os.Stat(filepath.Join(dir, f))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		owned := st.Uid == 4321 && st.Gid == 5432
		if owned != want[f] {
			t.Errorf("%s belongs to %d:%d, delegated: %v", f, st.Uid, st.Gid, want[f])
		}
		if owned {
			seen++
		}
	}
	if seen < 4 {
		t.Errorf("only %d files were handed over", seen)
	}
}

func entryNames(entries []os.DirEntry) []string {
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
