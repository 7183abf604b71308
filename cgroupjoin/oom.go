package cgroupjoin

import (
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
)

// OOMKills counts the processes of the cgroup that the kernel has killed for want of memory. It is 0
// where there is no memory controller.
func (c *Cgroup) OOMKills() (uint64, error) {
	dir, file := c.oomFile()
	if dir == "" {
		return 0, nil
	}
	data, err := smallfile.Read(filepath.Join(dir, file))
	if err != nil {
		if isGone(err) {
			return 0, nil
		}
		return 0, explain("read OOM kills", err)
	}
	text := eventValue(string(data), "oom_kill")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, &Error{Step: "read OOM kills", File: filepath.Join(dir, file), Value: text, Err: unix.EINVAL}
	}
	return n, nil
}

func (c *Cgroup) oomFile() (dir, file string) {
	if c.saved.Layout == V2 {
		return c.saved.Paths[""], "memory.events"
	}
	return c.saved.Paths["memory"], "memory.oom_control"
}
