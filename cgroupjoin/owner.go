package cgroupjoin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const delegateFile = "/sys/kernel/cgroup/delegate"

// GiveTo has the container's cgroup owned by a user, named by the host's id, once it is made; nil: by
// nobody else. It is for the time before Create.
func (c *Cgroup) GiveTo(uid *uint32) {
	if uid != nil {
		c.ownerUID = new(int)
		*c.ownerUID = int(*uid)
	}
}

// chownDelegated hands a v2 cgroup over: the directory, and the files that the kernel lists as safe
// for that. Those with limits stay root's.
func (c *Cgroup) chownDelegated() error {
	dir, ok := c.saved.Paths[""]
	if !ok || c.saved.Layout != V2 || (c.ownerUID == nil && c.ownerGID == nil) {
		return nil
	}
	uid, gid := idOr(c.ownerUID), idOr(c.ownerGID)
	if err := os.Chown(dir, uid, gid); err != nil {
		return explain("give cgroup to its owner", err)
	}
	files, err := delegatedFiles()
	if err != nil {
		return err
	}
	for _, f := range files {
		err := os.Chown(filepath.Join(dir, f), uid, gid)
		// Some belong to controllers that are not on.
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return explain("give cgroup to its owner", err)
		}
	}
	return nil
}

func idOr(id *int) int {
	if id == nil {
		return -1
	}
	return *id
}

func delegatedFiles() ([]string, error) {
	data, err := os.ReadFile(delegateFile)
	if errors.Is(err, unix.ENOENT) { // before Linux 4.15; the names are in cgroups(7)
		return []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}, nil
	}
	if err != nil {
		return nil, explain("give cgroup to its owner", err)
	}
	return strings.Fields(string(data)), nil
}
