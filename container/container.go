package container

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/bundle"
	"runack/cgroupjoin"
	"runack/handshake"
	"runack/internal/act"
	"runack/internal/smallfile"
)

// A Container is a handle on one container. It belongs to one goroutine; other handles, in this
// process or others, may be used at the same time.
type Container struct {
	// rec is what was read when the handle was made or refreshed. Under the lock it is the truth.
	rec *Record

	// What follows is not saved and dies with the handle.

	store *Store
	dir   *stateDir // owned
	cg    *cgroupjoin.Cgroup
	init  *Process              // set where this handle created the container
	times *handshake.Transcript // of the command that the handle serves; may be nil
}

func (c *Container) act(a act.Act, f func() error) error { return act.Do(c.times, a, f) }

// Load opens a container. Close it. Errors: ErrInvalidID, ErrNotExist, *RecordError.
func (s *Store) Load(id string) (*Container, error) {
	dir, err := s.open(id)
	if err != nil {
		return nil, err
	}
	rec, err := dir.readRecord()
	if err != nil {
		dir.close()
		return nil, err
	}
	return &Container{store: s, dir: dir, rec: rec}, nil
}

// Init is the container's first process as this runtime's child, nil unless this handle created the
// container. Close closes it.
func (c *Container) Init() *Process { return c.init }

// Close releases the handle; the container stays as it is.
func (c *Container) Close() {
	if c.init != nil {
		_ = c.init.Close()
	}
	c.dir.close()
	c.dir = nil
}

// ID returns the container's ID.
func (c *Container) ID() string { return c.rec.ID }

// Record returns what is saved, as of the last read.
func (c *Container) Record() Record { return *c.rec }

// refresh reads the record again.
func (c *Container) refresh() error {
	rec, err := c.dir.readRecord()
	if err != nil {
		return err
	}
	c.rec = rec
	return nil
}

// locked runs a transition under the lock, with a fresh record.
func (c *Container) locked(transition func() error) error {
	return c.dir.locked(func() error {
		if err := c.refresh(); err != nil {
			return err
		}
		return transition()
	})
}

// spec reads the configuration the container was created from.
func (c *Container) spec() (*specs.Spec, error) {
	path := c.dir.path + "/" + configName
	data, err := smallfile.ReadAt(c.dir.fd(), configName, unix.O_NOFOLLOW)
	if err != nil {
		return nil, failed("read", path, err)
	}
	spec, err := bundle.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return spec, nil
}

// wrap names the container in an error.
func (c *Container) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("container %s: %w", c.rec.ID, err)
}
