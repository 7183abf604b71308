package cgroupjoin

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
)

// Layout says how the host lays its controllers out.
type Layout string

// The four layouts. Hybrid is v1 with the v2 hierarchy mounted beside it.
const (
	V1     Layout = "v1"
	Hybrid Layout = "hybrid"
	V2     Layout = "v2"
	None   Layout = "none"
)

const (
	cgroupRoot  = "/sys/fs/cgroup"
	unifiedRoot = cgroupRoot + "/unified" // where a hybrid host has the v2 hierarchy
)

// v1Controllers are the hierarchies that a container joins, in the library's order, but for the
// freezer: it is last, so that a stage which is frozen by its join is in all the others already.
// "" stands for the v2 hierarchy of a hybrid host.
var v1Controllers = []string{
	"cpuset", "devices", "memory", "cpu", "cpuacct", "pids", "blkio", "hugetlb", "net_cls",
	"net_prio", "perf_event", "rdma", "name=systemd", "misc", "", "freezer",
}

// optional are the hierarchies without limits of their own. The library does not mind if they
// cannot be made, and neither does this package.
func optional(controller string) bool {
	return controller == "name=systemd" || controller == "misc" || controller == ""
}

// Host is what the machine offers.
type Host struct {
	Layout Layout
	// Mounts gives the mount point of each controller's hierarchy: on v1 by controller
	// ("memory", "name=systemd"), on v2 and for the v2 hierarchy of a hybrid host under "".
	Mounts map[string]string
}

var detect = sync.OnceValues(detectHost)

// Detect finds the mounted hierarchies. It looks once in the life of the process.
func Detect() (Host, error) { return detect() }

func detectHost() (Host, error) {
	if isFS(cgroupRoot, unix.CGROUP2_SUPER_MAGIC) {
		return Host{Layout: V2, Mounts: map[string]string{"": cgroupRoot}}, nil
	}
	own, err := readOwn("/proc/self/cgroup")
	if err != nil {
		return Host{}, err
	}
	h := Host{Layout: None, Mounts: map[string]string{}}
	for _, line := range own {
		mount, err := line.mount()
		if err != nil {
			return Host{}, err
		}
		if mount == "" {
			continue
		}
		for _, c := range line.controllers {
			h.Mounts[c] = mount
		}
		h.Layout = V1
	}
	if isFS(unifiedRoot, unix.CGROUP2_SUPER_MAGIC) && h.Layout == V1 {
		h.Layout = Hybrid
		h.Mounts[""] = unifiedRoot
	}
	return h, nil
}

func isFS(path string, magic int64) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == magic
}

// ownLine is a line of /proc/PID/cgroup: a hierarchy and where the process is in it. The v2
// hierarchy has no controllers there.
type ownLine struct {
	controllers []string
	path        string
}

func readOwn(file string) ([]ownLine, error) {
	data, err := smallfile.Read(file)
	if err != nil {
		return nil, explain("read cgroups of the process", err)
	}
	var lines []ownLine
	for text := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSuffix(text, "\n"), ":", 3)
		if len(parts) != 3 {
			return nil, &Error{Step: "read cgroups of the process", File: file, Detail: "a line without two colons"}
		}
		line := ownLine{path: parts[2]}
		if parts[1] != "" {
			line.controllers = strings.Split(parts[1], ",")
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// mount gives the mount point of a v1 hierarchy, or "" where it is mounted nowhere. The usual place
// is tried before mountinfo is read, which is long on a host with many containers.
func (l ownLine) mount() (string, error) {
	if len(l.controllers) == 0 {
		return "", nil
	}
	for _, name := range append([]string{strings.Join(l.controllers, ",")}, l.controllers...) {
		dir := filepath.Join(cgroupRoot, strings.TrimPrefix(name, "name="))
		if !isFS(dir, unix.CGROUP_SUPER_MAGIC) {
			continue
		}
		// "cpu" is a symbolic link to "cpu,cpuacct" on many hosts.
		if target, err := os.Readlink(dir); err == nil && !filepath.IsAbs(target) {
			dir = filepath.Join(cgroupRoot, target)
		}
		return dir, nil
	}
	dir, _, err := findMount(func(m mountLine) bool {
		return m.fstype == "cgroup" && slices.Contains(m.options, l.controllers[0])
	})
	return dir, err
}

// mountLine is what this package needs of a line of mountinfo (proc(5)).
type mountLine struct {
	root, point, fstype string
	options             []string // of the superblock
}

// findMount reads this thread's mounts: /proc/self is the first thread's, which may be in a
// container's mount namespace for a moment to open something there.
func findMount(match func(mountLine) bool) (point, root string, err error) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return "", "", explain("read mounts", err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if m, ok := parseMountLine(s.Text()); ok && match(m) {
			return m.point, m.root, nil
		}
	}
	return "", "", s.Err()
}

// parseMountLine reads "ID PARENT DEV ROOT POINT OPTIONS [TAGS...] - FSTYPE SOURCE SUPEROPTIONS".
func parseMountLine(text string) (mountLine, bool) {
	before, after, ok := strings.Cut(text, " - ")
	if !ok {
		return mountLine{}, false
	}
	b, a := strings.Fields(before), strings.Fields(after)
	if len(b) < 5 || len(a) < 3 {
		return mountLine{}, false
	}
	return mountLine{
		root: unescape(b[3]), point: unescape(b[4]), fstype: a[0], options: strings.Split(a[2], ","),
	}, true
}

var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// mountRoot tells which directory of its hierarchy a mount shows: "/", unless a cgroup was
// bind-mounted or the reader is in a cgroup namespace that the mount is not of. The root of a
// hierarchy has inode number 1 (the kernel warns if it has not), so mountinfo is seldom read.
func mountRoot(mount string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(mount, &st); err != nil {
		return "", &Error{Step: "find cgroup", File: mount, Err: err}
	}
	if st.Ino == 1 {
		return "/", nil
	}
	point, root, err := findMount(func(m mountLine) bool { return m.point == mount })
	if err != nil {
		return "", err
	}
	if point == "" {
		return "", &Error{Step: "find cgroup", File: mount, Err: errors.New("not in /proc/thread-self/mountinfo")}
	}
	return root, nil
}
