package cgroupjoin

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// Stats measures the cgroup, in the library's form.
func (c *Cgroup) Stats() (*cgroups.Stats, error) {
	mgr, err := c.manager()
	if err != nil {
		return nil, err
	}
	s, err := mgr.GetStats()
	if err != nil {
		return nil, explain("read statistics", err)
	}
	return s, nil
}

// PidsLimit gives the number of tasks (threads count) that the cgroup may have and has. A limit of 0
// means none, or that there is no pids controller.
func (c *Cgroup) PidsLimit() (limit, current uint64, err error) {
	dir := c.dirOf("pids")
	if dir == "" {
		return 0, 0, nil
	}
	if limit, err = readCount(dir, "pids.max"); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return 0, 0, nil
		}
		return 0, 0, err
	}
	current, err = readCount(dir, "pids.current")
	return limit, current, err
}

// readCount reads a file with one number; "max" is 0.
func readCount(dir, file string) (uint64, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, explain("read cgroup", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "max" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &Error{Step: "read cgroup", File: filepath.Join(dir, file), Value: text, Err: unix.EINVAL}
	}
	return n, nil
}
