package container

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// tryRootfs is the overlay's name in the bundle.
const tryRootfs = "rootfs"

// overlayHost mounts, at dir/rootfs, an overlay of the host's root: the host's files below,
// read-only, a tmpfs on top. An overlay shows one file system and nothing of what is mounted in it,
// so the mounts that hold files get an overlay each.
//
// Preconditions: dir is an empty tmpfs in a mount namespace of our own.
func overlayHost(dir string) error {
	root := filepath.Join(dir, tryRootfs)
	if err := unix.Mkdir(root, 0o755); err != nil {
		return failed("make directory", root, err)
	}
	if err := overlayOne(dir, "root", "/", root); err != nil {
		return err
	}
	places, err := hostPlaces(dir)
	if err != nil {
		return err
	}
	for i, p := range places {
		if err := showPlace(dir, strconv.Itoa(i), p, filepath.Join(root, p.path)); err != nil {
			// One file system that cannot be shown does not take all the others away.
			logrus.Warnf("try: %s is not in the container: %v", p.path, err)
		}
	}
	return nil
}

// A place is a mount of the host's below its root.
type place struct {
	path     string
	readOnly bool
}

// showPlace makes the mount visible at target: what could be written to as an overlay, the rest (and
// what overlayfs refuses as a layer, such as FAT) as it is, read-only.
func showPlace(dir, name string, p place, target string) error {
	var here, there unix.Stat_t
	if unix.Stat(p.path, &here) != nil || unix.Lstat(target, &there) != nil {
		return nil // covered by a later mount, or below one that is left out
	}
	if kind := here.Mode & unix.S_IFMT; kind == unix.S_IFDIR && !p.readOnly {
		if overlayOne(dir, name, p.path, target) == nil {
			return nil
		}
	}
	return bindReadOnly(p.path, target)
}

func bindReadOnly(source, target string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return failed("open tree", source, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return failed("make read-only", source, err)
	}
	return attach(tree, target)
}

func attach(tree int, target string) error {
	err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	return failed("attach", target, err)
}

// overlayOne mounts an overlay of lower at target, with its upper layer in dir.
func overlayOne(dir, name, lower, target string) error {
	layers := filepath.Join(dir, "layers-"+name)
	upper, work := filepath.Join(layers, "upper"), filepath.Join(layers, "work")
	if err := makeUpper(lower, layers, upper, work); err != nil {
		return err
	}
	// Overlayfs reads colons and commas in paths its own way, so what may have some goes by number.
	options := [][2]string{{"source", "overlay"}}
	for _, l := range [][2]string{{"lowerdir", lower}, {"upperdir", upper}, {"workdir", work}} {
		fd, err := unix.Open(l[1], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return failed("open layer", l[1], err)
		}
		defer unix.Close(fd)
		if l[1] != "/" {
			l[1] = "/proc/self/fd/" + strconv.Itoa(fd)
		}
		options = append(options, l)
	}
	tree, err := overlayMount(options)
	if err != nil {
		return failed("mount overlay of", lower, err)
	}
	defer unix.Close(tree)
	return attach(tree, target)
}

// makeUpper makes the upper layer. Its root is the overlay's, so it takes owner and mode of lower's.
func makeUpper(lower, layers, upper, work string) error {
	var st unix.Stat_t
	if err := unix.Stat(lower, &st); err != nil {
		return failed("stat", lower, err)
	}
	for _, d := range []string{layers, upper, work} {
		if err := unix.Mkdir(d, 0o755); err != nil {
			return failed("make directory", d, err)
		}
	}
	if err := unix.Chown(upper, int(st.Uid), int(st.Gid)); err != nil {
		return failed("change owner of", upper, err)
	}
	return failed("change mode of", upper, unix.Chmod(upper, st.Mode&^unix.S_IFMT))
}

func overlayMount(options [][2]string) (tree int, err error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, o := range options {
		if err := unix.FsconfigSetString(fs, o[0], o[1]); err != nil {
			return -1, fsError(fs, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fsError(fs, err)
	}
	tree, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fsError(fs, err)
	}
	return tree, nil
}

// fsError adds what the kernel logged in the file system context (fsopen(2)).
func fsError(fs int, err error) error {
	var buf [512]byte
	n, rerr := unix.Read(fs, buf[:])
	if rerr != nil || n <= 0 {
		return err
	}
	text := strings.TrimSpace(strings.TrimLeft(string(buf[:n]), "ewi "))
	return &stepError{Step: "overlayfs says", Object: strconv.Quote(text), Err: err}
}

// withoutFiles are the file systems that are an interface of the kernel or a running container's
// root, and not a place where a host keeps files.
var withoutFiles = []string{
	"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
	"efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "overlay", "proc", "pstore", "rpc_pipefs",
	"securityfs", "selinuxfs", "sysfs", "tracefs",
}

// hostPlaces lists what is mounted below the root and holds files, parents first.
func hostPlaces(dir string) ([]place, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.Mountpoint == "/" || tryOwns(m.Mountpoint) || within(m.Mountpoint, dir) ||
			slices.Contains(withoutFiles, m.FSType), false
	})
	if err != nil {
		return nil, failed("read", "mountinfo", err)
	}
	var places []place
	for _, m := range mounts {
		p := place{path: m.Mountpoint, readOnly: slices.Contains(strings.Split(m.Options, ","), "ro")}
		// Of mounts on top of each other the last one shows.
		places = slices.DeleteFunc(places, func(q place) bool { return q.path == p.path })
		places = append(places, p)
	}
	return places, nil
}

// tryOwns: the container has a file system of its own there.
func tryOwns(path string) bool {
	return slices.ContainsFunc([]string{"/dev", "/proc", "/run", "/sys"}, func(top string) bool { return within(path, top) })
}

func within(path, top string) bool { return path == top || strings.HasPrefix(path, top+"/") }

// isDir says whether the host's path is a directory in the container too.
func isDir(rootfs, path string) bool {
	st, err := os.Lstat(filepath.Join(rootfs, path))
	return err == nil && st.IsDir() && !tryOwns(path)
}

// resolver is the file that /etc/resolv.conf links to where that lies in /run and has to be shown;
// empty else: then it is one of the files below.
func resolver() string {
	path, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil || !within(path, "/run") {
		return ""
	}
	return path
}
