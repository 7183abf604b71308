package cgroupjoin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the kernel writes is trusted, but container names and mount points of others stand in it.

func FuzzMountLine(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue")
	f.Add(`30 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct`)
	f.Add(`31 23 0:27 /a\040b /with\134back\011slash rw shared:1 master:2 - cgroup2 none rw`)
	f.Add("31 23 0:27 / - - cgroup2 none rw")
	f.Fuzz(func(t *testing.T, text string) {
		m, ok := parseMountLine(text)
		if ok && (m.point == "" || m.root == "" || m.fstype == "" || len(m.options) == 0) {
			t.Errorf("%q was read as %+v", text, m)
		}
	})
}

func FuzzOwnCgroups(f *testing.F) {
	f.Add("12:pids:/a\n1:name=systemd:/b\n0::/c:d\n")
	f.Add("4:cpu,cpuacct:/\n")
	f.Add("no colons\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "cgroup")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		lines, err := readOwn(path)
		if want := len(slices.Collect(strings.Lines(text))); err == nil && len(lines) != want {
			t.Errorf("%q has %d lines and was read as %+v", text, want, lines)
		}
	})
}

func FuzzCount(f *testing.F) {
	for _, text := range []string{"0\n", "max\n", "18446744073709551615\n", "18446744073709551616\n", "-1\n", "", "7 8\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pids.max"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := readCount(dir, "pids.max"); err != nil && (n != 0 || !strings.Contains(err.Error(), "pids.max")) {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	})
}
