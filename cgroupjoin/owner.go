package cgroupjoin

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const delegateFile = "/sys/kernel/cgroup/delegate"

// Owner gives the host's id of the user who shall own a container's v2 cgroup, or nil. As with runc
// it is the user whom the container's process runs as, where the container has a new cgroup namespace
// and a writable cgroup file system to make use of it.
func Owner(s *specs.Spec) *int {
	if s.Linux == nil || !hasNewCgroupNS(s.Linux.Namespaces) || !mountsCgroupWritable(s.Mounts) {
		return nil
	}
	inside := uint32(0)
	if s.Process != nil {
		inside = s.Process.User.UID
	}
	inUserNS := slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.UserNamespace
	})
	if !inUserNS {
		outside := int(inside)
		return &outside
	}
	for _, m := range s.Linux.UIDMappings {
		if inside >= m.ContainerID && inside-m.ContainerID < m.Size {
			outside := int(m.HostID + inside - m.ContainerID)
			return &outside
		}
	}
	return nil
}

func hasNewCgroupNS(namespaces []specs.LinuxNamespace) bool {
	return slices.ContainsFunc(namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.CgroupNamespace && n.Path == ""
	})
}

func mountsCgroupWritable(mounts []specs.Mount) bool {
	return slices.ContainsFunc(mounts, func(m specs.Mount) bool {
		return m.Source == "cgroup" && path.Clean(m.Destination) == cgroupRoot && isWritable(m.Options)
	})
}

// isWritable: of ro and rw the last one counts.
func isWritable(options []string) bool {
	writable := true
	for _, o := range options {
		switch o {
		case "ro":
			writable = false
		case "rw":
			writable = true
		}
	}
	return writable
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
