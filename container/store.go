package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"runack/bundle"
)

// A Store is a root directory with one state directory for each container.
type Store struct {
	Root string // absolute
}

// DefaultRoot is where state lives without --root: /run/runack, and for a runtime that is not the
// host's root $XDG_RUNTIME_DIR/runack where that variable is set. The second value says that the
// directory came from XDG_RUNTIME_DIR.
func DefaultRoot() (string, bool) {
	const system = "/run/runack"
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" || !honourXDG() {
		return system, false
	}
	return filepath.Join(dir, "runack"), true
}

// honourXDG: the host's root uses /run even where a login shell set XDG_RUNTIME_DIR; so does a
// user namespace's root that still calls itself root.
func honourXDG() bool {
	if os.Geteuid() != 0 {
		return true
	}
	if !inUserNamespace() {
		return false
	}
	user, set := os.LookupEnv("USER")
	return !set || user != "root"
}

// prepare makes the root directory. One below XDG_RUNTIME_DIR gets the sticky bit, which the XDG
// base directory specification demands of what must not be pruned.
func (s *Store) prepare() error {
	if err := os.MkdirAll(s.Root, 0o700); err != nil {
		return s.rootError("make state root", err)
	}
	if def, xdg := DefaultRoot(); xdg && def == s.Root {
		if err := os.Chmod(s.Root, 0o700|os.ModeSticky); err != nil {
			return failed("make sticky", s.Root, err)
		}
	}
	return nil
}

// rootError adds what an ordinary user can do who was sent to the host's directory.
func (s *Store) rootError(step string, err error) error {
	err = failed(step, s.Root, err)
	if _, xdg := DefaultRoot(); !xdg && os.Geteuid() != 0 && errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w; set XDG_RUNTIME_DIR, or choose a directory with --root", err)
	}
	return err
}

// checkID refuses what cannot be an ID before it becomes a path.
func checkID(id string) error {
	if id == "" {
		return ErrEmptyID
	}
	if err := bundle.ValidateID(id); err != nil {
		return fmt.Errorf("%w: %q", ErrInvalidID, id)
	}
	return nil
}

// claim makes the state directory of id, which no other container can then have, and returns it
// locked. Errors: ErrExist, and what mkdir and flock give.
func (s *Store) claim(id string) (*stateDir, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	for {
		path := filepath.Join(s.Root, id)
		err := unix.Mkdir(path, 0o700)
		if errors.Is(err, unix.EEXIST) {
			return nil, ErrExist
		}
		if err != nil {
			return nil, failed("make state directory", path, err)
		}
		dir, err := s.open(id)
		if err == nil {
			err = dir.lock()
		}
		// Between mkdir and lock a delete of the same ID may have taken the empty directory for
		// the remains of a crash and removed it: claim again.
		if errors.Is(err, ErrNotExist) {
			dir.close()
			continue
		}
		if err != nil {
			dir.close()
			return nil, errors.Join(err, failed("remove state directory", path, unix.Rmdir(path)))
		}
		return dir, nil
	}
}

// open opens the state directory of id, without a lock. Errors: ErrNotExist, ErrInvalidID.
func (s *Store) open(id string) (*stateDir, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	path := filepath.Join(s.Root, id)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrNotExist
	}
	if err != nil {
		return nil, failed("open state directory", path, err)
	}
	return &stateDir{path: path, file: os.NewFile(uintptr(fd), path)}, nil
}

// ids lists the state directories, in the order of their names. A default root that does not exist
// yet holds nothing.
func (s *Store) ids() ([]string, error) {
	entries, err := os.ReadDir(s.Root)
	if errors.Is(err, os.ErrNotExist) {
		if def, _ := DefaultRoot(); def == s.Root {
			return nil, nil
		}
	}
	if err != nil {
		return nil, s.rootError("read state root", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && checkID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// A stateDir is an open state directory. All access goes through the descriptor, so that a
// directory that was removed and made anew by others is never mistaken for this one.
type stateDir struct {
	path string
	file *os.File
}

func (d *stateDir) fd() int { return int(d.file.Fd()) }

// close releases the descriptor and with it the lock. A nil directory has nothing to close.
func (d *stateDir) close() {
	if d != nil {
		_ = d.file.Close()
	}
}

// isCurrent says whether the path still leads to this directory. Comparing the inode with the
// path's, since not every file system sets st_nlink of a removed directory to 0.
func (d *stateDir) isCurrent() (bool, error) {
	var ours, theirs unix.Stat_t
	if err := unix.Fstat(d.fd(), &ours); err != nil {
		return false, failed("stat state directory", d.path, err)
	}
	err := unix.Lstat(d.path, &theirs)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, failed("stat state directory", d.path, err)
	}
	return ours.Dev == theirs.Dev && ours.Ino == theirs.Ino, nil
}

// remove takes the directory away, the record first: from then on the container does not exist,
// while the ID stays claimed until the directory is gone.
//
// Preconditions: the caller holds the lock.
func (d *stateDir) remove() error {
	current, err := d.isCurrent()
	if err != nil || !current {
		return err
	}
	if err := unix.Unlinkat(d.fd(), recordName, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return failed("remove record", d.path+"/"+recordName, err)
	}
	if err := os.RemoveAll(d.path); err != nil {
		return failed("remove state directory", d.path, err)
	}
	return nil
}
