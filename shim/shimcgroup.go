package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// joinShimCgroup moves the shim into the cgroup that the option ShimCgroup names: in every hierarchy
// of this host that has it. A path that none has is an error, as with runc's shim.
func joinShimCgroup(path string, pid int) error {
	if path == "" {
		return nil
	}
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	joined := false
	for _, root := range roots {
		file := filepath.Join(root, filepath.Join("/", path), "cgroup.procs")
		err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0)
		switch {
		case err == nil:
			joined = true
		case !errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("ShimCgroup: %w", err)
		}
	}
	if !joined {
		return fmt.Errorf("ShimCgroup: %s: no such cgroup", path)
	}
	return nil
}

// hierarchies are the mount points of cgroup file systems.
func hierarchies() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	var roots []string
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) > 2 && (f[2] == "cgroup" || f[2] == "cgroup2") {
			roots = append(roots, f[1])
		}
	}
	return roots, nil
}
