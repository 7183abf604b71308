package cgroupjoin

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// innerPath gives the path of a container's cgroup below its hierarchy's root (absolute) or below
// the runtime's own cgroup (relative), as runc reads linux.cgroupsPath without systemd: an empty
// one means the container's id, relative.
//
// A path that climbs above its starting point is refused. runc quietly cuts the climb off; nobody
// who writes one can mean that.
func innerPath(id, cgroupsPath string) (string, error) {
	if cgroupsPath == "" {
		return id, nil
	}
	depth := 0
	for part := range strings.SplitSeq(cgroupsPath, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return "", badPath(cgroupsPath, "leads outside of the cgroup hierarchy")
			}
		default:
			depth++
		}
	}
	if depth == 0 {
		return "", badPath(cgroupsPath, "names the root of the cgroup hierarchy")
	}
	if strings.ContainsAny(cgroupsPath, "\x00\n") {
		// The kernel refuses a line feed in a cgroup's name: /proc/PID/cgroup could not show it.
		return "", badPath(cgroupsPath, "has a character that no cgroup's name may have")
	}
	return filepath.Clean(cgroupsPath), nil
}

func badPath(path, why string) error {
	return &Error{Step: "find cgroup", File: fmt.Sprintf("cgroupsPath %q", path), Err: unix.EINVAL, Detail: why}
}

// findPaths gives the directories of a container's cgroup by controller.
func findPaths(h Host, inner string) (map[string]string, error) {
	var own []ownLine
	if !filepath.IsAbs(inner) {
		var err error
		if own, err = readOwn("/proc/self/cgroup"); err != nil {
			return nil, err
		}
	}
	if h.Layout == V2 {
		return v2Path(h, inner, own)
	}
	return v1Paths(h, inner, own)
}

// v2Path: a relative path starts at the parent of the runtime's own cgroup. That one has processes
// in it, so the kernel would let no controller be switched on below it.
func v2Path(h Host, inner string, own []ownLine) (map[string]string, error) {
	mount := h.Mounts[""]
	if filepath.IsAbs(inner) {
		return map[string]string{"": filepath.Join(mount, inner)}, nil
	}
	for _, l := range own {
		if len(l.controllers) == 0 {
			return map[string]string{"": filepath.Join(mount, filepath.Dir(l.path), inner)}, nil
		}
	}
	return nil, &Error{Step: "find cgroup", File: "/proc/self/cgroup", Detail: "no line of the v2 hierarchy"}
}

// v1Paths: a relative path starts at the runtime's own cgroup of each hierarchy, in the v2 hierarchy
// of a hybrid host at its root. Hierarchies that are not mounted are left out.
func v1Paths(h Host, inner string, own []ownLine) (map[string]string, error) {
	if h.Mounts["devices"] == "" {
		// Without it nothing would keep a container from the host's disks.
		return nil, &Error{Step: "find cgroup", File: cgroupRoot, Err: unix.ENOENT,
			Detail: "the devices controller is mounted nowhere"}
	}
	paths := make(map[string]string, len(v1Controllers))
	for _, c := range v1Controllers {
		mount, ok := h.Mounts[c]
		if !ok {
			continue
		}
		dir := mount
		if c != "" && !filepath.IsAbs(inner) {
			var err error
			if dir, err = ownDir(mount, c, own); err != nil {
				return nil, err
			}
		}
		paths[c] = filepath.Join(dir, inner)
	}
	return paths, nil
}

// ownDir gives the directory of the runtime's own cgroup in one hierarchy.
func ownDir(mount, controller string, own []ownLine) (string, error) {
	for _, l := range own {
		if !slices.Contains(l.controllers, controller) {
			continue
		}
		root, err := mountRoot(mount)
		if err != nil {
			return "", err
		}
		rel, err := filepath.Rel(root, l.path)
		if err != nil {
			return "", &Error{Step: "find cgroup", File: mount, Err: err}
		}
		return filepath.Join(mount, rel), nil
	}
	return "", &Error{Step: "find cgroup", File: "/proc/self/cgroup", Detail: "no line of controller " + controller}
}

// distinct lists the controllers of paths in the order of v1Controllers, one for each directory:
// controllers mounted together share theirs.
func distinct(paths map[string]string) []string {
	seen := make(map[string]bool, len(paths))
	var out []string
	for _, c := range v1Controllers {
		p, ok := paths[c]
		if !ok || seen[p] {
			continue
		}
		seen[p] = true
		out = append(out, c)
	}
	return out
}
