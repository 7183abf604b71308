package container

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"runack/nsexec"
	"runack/plan"
)

// openSources opens the descriptors that go with a plan, in its order. dir is the state directory,
// where the start socket is bound. The caller closes them.
func openSources(sources []plan.Source, dir *os.File) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeFiles(files)
			files = nil
		}
	}()
	for i := range sources {
		f, err := openSource(&sources[i], dir)
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	return files, nil
}

func openSource(s *plan.Source, dir *os.File) (*os.File, error) {
	switch s.Kind {
	case plan.SourceListener:
		return nsexec.Listen(dir)
	case plan.SourceTree:
		return openTree(s)
	}
	return nil, fmt.Errorf("open source %s: unknown kind %q", s.Field, s.Kind)
}

// openTree clones the mounts at a path of the host: the container's user may not be able to reach
// them, and an ID mapping takes the host's privilege.
func openTree(s *plan.Source) (*os.File, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, s.Path, flags)
	if err != nil {
		return nil, sourceError(s, "open", err)
	}
	tree := os.NewFile(uintptr(fd), s.Path)
	if err := changeTree(tree, s); err != nil {
		tree.Close()
		return nil, err
	}
	return tree, nil
}

func changeTree(tree *os.File, s *plan.Source) error {
	if s.Propagation != 0 {
		flags := uint(unix.AT_EMPTY_PATH)
		if s.Propagation&unix.MS_REC != 0 {
			flags |= unix.AT_RECURSIVE
		}
		attr := unix.MountAttr{Propagation: s.Propagation &^ unix.MS_REC}
		if err := unix.MountSetattr(int(tree.Fd()), "", flags, &attr); err != nil {
			return sourceError(s, "set propagation of", err)
		}
	}
	if s.IDMap == nil {
		return nil
	}
	return mapTree(tree, s)
}

// mapTree makes the clone an ID-mapped mount.
func mapTree(tree *os.File, s *plan.Source) error {
	userns, err := openUserNS(s.IDMap)
	if err != nil {
		return sourceError(s, "map ids of", err)
	}
	defer userns.Close()
	flags := uint(unix.AT_EMPTY_PATH)
	if s.IDMap.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	if err := unix.MountSetattr(int(tree.Fd()), "", flags, &attr); err != nil {
		err = sourceError(s, "map ids of", err)
		if errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("%w: the file system may not support ID-mapped mounts", err)
		}
		return err
	}
	return nil
}

func sourceError(s *plan.Source, step string, err error) error {
	object := s.Path
	if s.Field != "" {
		object += " (" + s.Field + ")"
	}
	return failed(step, object, err)
}
