package container

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A State is what state and list print: the specification's fields, and runc's.
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"` // in the PID namespace of the caller; 0 when stopped
	Status      Status            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"` // of the state directory; only list fills it
}

// State looks at the container now, without a lock.
func (c *Container) State() (*State, error) {
	m, err := c.look()
	if err != nil {
		return nil, err
	}
	defer m.close()
	s := &State{
		OCIVersion: c.rec.OCIVersion, ID: c.rec.ID, Status: m.status,
		Bundle: c.rec.Bundle, Rootfs: c.rec.Rootfs,
		Created: c.rec.Created, Annotations: c.withOOM(m.status),
	}
	if m.status != Stopped && c.rec.Init != nil {
		s.Pid = c.rec.Init.Pid
	}
	return s, nil
}

// hookState is the state that a hook gets on its stdin.
func (r *Record) hookState(status specs.ContainerState) *specs.State {
	s := &specs.State{
		Version: specs.Version, ID: r.ID, Status: status,
		Bundle: r.Bundle, Annotations: r.Annotations,
	}
	if r.Init != nil && status != specs.StateStopped {
		s.Pid = r.Init.Pid
	}
	return s
}

// A Listed is one row of list: a state, or why there is none.
type Listed struct {
	ID    string
	State *State
	Err   error
}

// List looks at every container of the store, in the order of their IDs. One that is being removed
// is left out; one that cannot be read is a row with an error.
func (s *Store) List() ([]Listed, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	var rows []Listed
	for _, id := range ids {
		state, err := s.listed(id)
		if errors.Is(err, ErrNotExist) {
			continue
		}
		rows = append(rows, Listed{ID: id, State: state, Err: err})
	}
	return rows, nil
}

func (s *Store) listed(id string) (*State, error) {
	c, err := s.Load(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	state, err := c.State()
	if err != nil {
		return nil, err
	}
	state.Owner, err = c.dir.owner()
	return state, err
}

// owner names the user the state directory belongs to, "#uid" where the host does not know one.
func (d *stateDir) owner() (string, error) {
	info, err := d.file.Stat()
	if err != nil {
		return "", failed("stat state directory", d.path, err)
	}
	uid := strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Uid), 10)
	u, err := user.LookupId(uid)
	if err != nil {
		return "#" + uid, nil //nolint:nilerr // a uid without a name is common
	}
	return u.Username, nil
}

// Processes returns the pids of the container, as the caller's PID namespace counts them.
func (c *Container) Processes() ([]int, error) {
	cg, err := c.cgroup()
	if err != nil {
		return nil, err
	}
	if cg == nil {
		return nil, errNoCgroup
	}
	pids, err := cg.Pids(true)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // gone with its last process
	}
	return pids, c.wrap(err)
}
