package shim

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/api/types"
	"github.com/opencontainers/cgroups"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/cgroupjoin"
	"runack/container"
)

// An engine does what can block: making, starting, signalling and removing containers. The loop's
// tests have one that makes plain processes.
type engine interface {
	create(context.Context, *createRequest) (*madeInit, error)
	start(context.Context, containerState) error
	exec(context.Context, containerState, *execRequest) (*container.Process, error)
	kill(c containerState, sig unix.Signal, all bool) error
	remove(containerState) error
}

// A containerState says where a container's state is, its root file system, and the record of its
// end: what is needed to find it again.
type containerState struct {
	ID     string
	Root   string // of the store
	Bundle string
	Mounts bool // the shim has mounted the root file system
}

func (c containerState) store() *container.Store { return &container.Store{Root: c.Root} }
func (c containerState) rootfs() string          { return filepath.Join(c.Bundle, "rootfs") }

func (c containerState) load() (*container.Container, error) { return c.store().Load(c.ID) }

// A createRequest is what containerd asks to have made.
type createRequest struct {
	state  containerState
	rootfs []*types.Mount
	opts   Options
	io     container.IO
}

// An execRequest is what to run in a container.
type execRequest struct {
	spec     []byte        // the OCI process, as JSON
	terminal bool          // whether it has one, whatever spec says
	size     *unix.Winsize // of its terminal, where somebody has asked for one already
	io       container.IO
}

// A madeInit is an init that waits for its start.
type madeInit struct {
	pid        int
	pidfd      *os.File           // valid until close
	cgroup     *cgroupjoin.Cgroup // nil where it has none
	sharedPIDs bool               // its end does not end the container's other processes
	close      func()
}

// containers is the engine of real containers.
type containers struct{}

func (containers) create(ctx context.Context, r *createRequest) (*madeInit, error) {
	if err := mountRootfs(r.state.rootfs(), r.rootfs); err != nil {
		return nil, err
	}
	c, err := r.state.store().Create(container.CreateOptions{
		ID: r.state.ID, Bundle: r.state.Bundle, NoPivot: r.opts.NoPivotRoot,
		NoNewKeyring: r.opts.NoNewKeyring, Systemd: r.opts.SystemdCgroup, IO: r.io, Context: ctx,
	})
	if err != nil {
		if len(r.rootfs) > 0 {
			err = errors.Join(err, unmountRootfs(r.state.rootfs()))
		}
		return nil, err
	}
	cg, err := c.Cgroup()
	if err != nil {
		warn(r.state.ID, "its cgroup: %v", err)
	}
	init := c.Init()
	return &madeInit{
		pid: init.Pid, pidfd: init.PidFD, cgroup: cg,
		sharedPIDs: !c.Record().PrivatePID, close: c.Close,
	}, nil
}

func (containers) start(ctx context.Context, s containerState) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Start(container.StartOptions{Context: ctx})
}

func (containers) exec(ctx context.Context, s containerState, r *execRequest) (*container.Process, error) {
	var p specs.Process
	if err := json.Unmarshal(r.spec, &p); err != nil {
		return nil, refuse(errInvalid, "exec: process: %v", err)
	}
	p.Terminal = r.terminal
	if r.size != nil {
		// The stage sets it before the program runs; we get the terminal at about the same time.
		p.ConsoleSize = &specs.Box{Width: uint(r.size.Col), Height: uint(r.size.Row)}
	}
	c, err := s.load()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Exec(container.ExecOptions{Process: &p, IO: r.io, Context: ctx})
}

func (containers) kill(s containerState, sig unix.Signal, all bool) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Kill(sig, all)
}

// remove takes the container and its root file system away; what is gone already is no error.
func (containers) remove(s containerState) error {
	err := s.store().Delete(s.ID, container.DeleteOptions{Force: true})
	if err == nil && s.Mounts {
		err = unmountRootfs(s.rootfs())
	}
	return err
}

// measure gives the statistics of a container's cgroup.
func (s containerState) measure() (*cgroups.Stats, bool, error) {
	c, err := s.load()
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	cg, err := c.Cgroup()
	if err != nil {
		return nil, false, err
	}
	if cg == nil {
		return nil, false, refuse(errNotFound, "container %s has no cgroup", s.ID)
	}
	stats, err := cg.Stats()
	return stats, cg.Layout() == cgroupjoin.V2, err
}
