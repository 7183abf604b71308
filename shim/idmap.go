package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/containerd/api/types"
	"github.com/moby/sys/mount"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/container"
)

// Where a container has a user namespace, containerd 2's snapshotter leaves the layers as they are and
// asks for them to be mapped: by uidmap= and gidmap= among a mount's options, which are its own and none
// of the kernel's.

// idMaps are the maps of an ID-mapped mount.
type idMaps struct{ uids, gids []specs.LinuxIDMapping }

// takeIDMaps takes the maps out of a mount's options; nil for none.
func takeIDMaps(options []string) (*idMaps, []string, error) {
	var m idMaps
	var rest []string
	for _, o := range options {
		var err error
		name, value, _ := strings.Cut(o, "=")
		switch name {
		case "uidmap":
			m.uids, err = parseIDMap(value)
		case "gidmap":
			m.gids, err = parseIDMap(value)
		default:
			rest = append(rest, o)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("option %s: %w", o, err)
		}
	}
	switch {
	case m.uids == nil && m.gids == nil:
		return nil, options, nil
	case m.uids == nil || m.gids == nil:
		return nil, nil, errors.New("uidmap and gidmap belong together")
	}
	return &m, rest, nil
}

// parseIDMap reads container:host:size, any number of them with commas between.
func parseIDMap(text string) ([]specs.LinuxIDMapping, error) {
	var list []specs.LinuxIDMapping
	for entry := range strings.SplitSeq(text, ",") {
		var n [3]uint32
		fields := strings.Split(entry, ":")
		if len(fields) != len(n) {
			return nil, fmt.Errorf("%q is not container:host:size", entry)
		}
		for i, f := range fields {
			v, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, err
			}
			n[i] = uint32(v)
		}
		list = append(list, specs.LinuxIDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return list, nil
}

// mount mounts with the maps: an overlay over mapped layers, since only what is new is to belong to
// the container's users on the disk, and anything else mapped as a whole.
func (m *idMaps) mount(what *types.Mount, options []string, target string) error {
	userns, err := container.NewUserNS(m.uids, m.gids)
	if err != nil {
		return err
	}
	defer userns.Close()
	if what.Type == "overlay" {
		return mountMappedOverlay(what.Source, options, target, userns)
	}
	if err := mount.Mount(what.Source, target, what.Type, strings.Join(options, ",")); err != nil {
		return err
	}
	return mapMount(target, target, userns)
}

// mapMount mounts what is at one path, ID-mapped, at another (mount_setattr(2)).
func mapMount(from, to string, userns *os.File) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("clone mount %s: %w", from, err)
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fmt.Errorf("map IDs of %s: %w", from, err)
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, to, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s mapped: %w", from, err)
	}
	return nil
}

// mountMappedOverlay mounts an overlay over ID-mapped copies of its layers' mounts. They are needed by
// path, and only until the overlay is there, which keeps copies of its own.
func mountMappedOverlay(source string, options []string, target string, userns *os.File) (err error) {
	const lower = "lowerdir="
	dir, err := os.MkdirTemp("", "runack-layers-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	// One mount over all the copies, which go with it.
	if err := unix.Mount("runack-layers", dir, "tmpfs", unix.MS_NODEV, "mode=700"); err != nil {
		return fmt.Errorf("mount tmpfs at %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)) }()
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make %s private: %w", dir, err)
	}
	var mapped []string
	for i, o := range options {
		list, ok := strings.CutPrefix(o, lower)
		if !ok {
			continue
		}
		for n, layer := range strings.Split(list, ":") {
			name := strconv.Itoa(n)
			if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
				return err
			}
			if err := mapMount(layer, filepath.Join(dir, name), userns); err != nil {
				return err
			}
			mapped = append(mapped, name)
		}
		options[i] = lower + strings.Join(mapped, ":")
	}
	return inDirectory(dir, func() error {
		return mount.Mount(source, target, "overlay", strings.Join(options, ","))
	})
}
