package container

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"runack/nsexec"
	"runack/plan"
)

// openSources opens the descriptors that go with a plan, in its order. dir is the state directory,
// where the start socket is bound; child is the stage, by its pidfd. The caller closes them.
func openSources(sources []plan.Source, dir, child *os.File) (files []*os.File, err error) {
	open := func() error {
		for i := range sources {
			f, err := openSource(&sources[i], dir)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	}
	isTree := func(s plan.Source) bool { return s.Kind == plan.SourceTree }
	if slices.ContainsFunc(sources, isTree) {
		err = inMountNamespace(child, open)
	} else {
		err = open()
	}
	for i := range files {
		if err == nil && sources[i].Kind == plan.SourceTree {
			err = changeTree(files[i], &sources[i])
		}
	}
	if err != nil {
		closeFiles(files)
		return nil, err
	}
	return files, nil
}

// inMountNamespace calls f in the mount namespace of the process behind pidfd. Mounts that a less
// privileged namespace copied have their flags locked there; a clone taken in the host's namespace
// has not, so that the container's root could make writable what the host mounted read-only.
func inMountNamespace(pidfd *os.File, f func() error) error {
	runtime.LockOSThread()
	home, err := leaveHome()
	if err != nil {
		runtime.UnlockOSThread()
		return failed("enter mount namespace", "of stage-1", err)
	}
	defer home.close()
	if err = unix.Setns(int(pidfd.Fd()), unix.CLONE_NEWNS); err != nil {
		err = failed("enter mount namespace", "of stage-1", err)
	} else {
		err = f()
	}
	if back := home.enter(); back != nil {
		// The thread stays locked: no other goroutine may run in the container's namespace.
		return errors.Join(err, failed("return to mount namespace", "of the runtime", back))
	}
	runtime.UnlockOSThread()
	return err
}

// A home is where a thread was. It has to come back and must not just end: to the kernel a thread
// that has forked is the parent, at whose death the stage dies too (PR_SET_PDEATHSIG).
type home struct{ namespace, root, cwd int }

// leaveHome gives the thread a root and a working directory of its own, which setns(2) asks for, and
// notes what they were. They stay its own afterwards: this process does not chdir(2).
//
// Whoever runs below `unshare -r` is in a mount namespace that a user namespace further up owns, and
// that he may not come back to. Then the thread gets a copy, and stays there: it shows the same.
func leaveHome() (h home, err error) {
	h = home{-1, -1, -1}
	open := func(fd *int, path string, flags int) {
		if err == nil {
			*fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0)
		}
	}
	const namespace = "/proc/thread-self/ns/mnt"
	open(&h.namespace, namespace, unix.O_RDONLY)
	own := unix.CLONE_FS
	if err == nil && !ownedFromHere(h.namespace) {
		own = unix.CLONE_NEWNS
		_ = unix.Close(h.namespace)
		h.namespace = -1
	}
	if err == nil {
		err = unix.Unshare(own)
	}
	if own == unix.CLONE_NEWNS {
		open(&h.namespace, namespace, unix.O_RDONLY)
	}
	open(&h.root, "/", unix.O_PATH)
	open(&h.cwd, ".", unix.O_PATH)
	if err != nil {
		h.close()
	}
	return h, err
}

// ownedFromHere tells whether a namespace belongs to the user namespace of this process or to one
// below it: the kernel shows no other owner (ioctl_ns(2)).
func ownedFromHere(namespace int) bool {
	owner, err := unix.IoctlRetInt(namespace, unix.NS_GET_USERNS)
	if err == nil {
		_ = unix.Close(owner)
	}
	return !errors.Is(err, unix.EPERM)
}

func (h home) enter() error {
	if err := unix.Setns(h.namespace, unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Fchdir(h.root); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Fchdir(h.cwd)
}

func (h home) close() {
	for _, fd := range []int{h.namespace, h.root, h.cwd} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func openSource(s *plan.Source, dir *os.File) (*os.File, error) {
	switch s.Kind {
	case plan.SourceListener:
		return nsexec.Listen(dir)
	case plan.SourceTree:
		return openTree(s)
	case plan.SourceDirectory:
		return openDirectory(s)
	case plan.SourceFifo:
		return openFifo(s)
	}
	return nil, fmt.Errorf("open source %s: unknown kind %q", s.Field, s.Kind)
}

func openDirectory(s *plan.Source) (*os.File, error) {
	fd, err := unix.Open(s.Path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, sourceError(s, "open", err)
	}
	return os.NewFile(uintptr(fd), s.Path), nil
}

// openFifo opens no end of the fifo: that is the stage's to do, as it waits for the other end.
func openFifo(s *plan.Source) (*os.File, error) {
	fd, err := unix.Open(s.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, sourceError(s, "open", err)
	}
	f := os.NewFile(uintptr(fd), s.Path)
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFIFO {
		err = errors.New("not a fifo")
	}
	if err != nil {
		return nil, errors.Join(sourceError(s, "open", err), f.Close())
	}
	return f, nil
}

// openTree clones the mounts at a path: the container's user may not be able to reach them, and an ID
// mapping takes the host's privilege.
func openTree(s *plan.Source) (*os.File, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, s.Path, flags)
	if err != nil {
		return nil, sourceError(s, "open", err)
	}
	return os.NewFile(uintptr(fd), s.Path), nil
}

// changeTree sets what a clone of its own is to have.
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
