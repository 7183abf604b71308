package container

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"runack/nsexec"
)

// RunOptions say what to create, start and wait for.
type RunOptions struct {
	CreateOptions
	Keep        bool // do not delete
	NoSubreaper bool
}

// Run creates and starts a container. In the foreground (not IO.Detach) it waits for the end,
// deletes the container unless Keep is set, and returns the program's exit code.
func (s *Store) Run(o RunOptions) (int, error) {
	if o.IO.Detach {
		return 0, s.runDetached(o.CreateOptions)
	}
	nsexec.Prepare()
	fg := newForeground()
	cr, err := s.compile(o.CreateOptions)
	if err != nil {
		return 0, err
	}
	if err := fg.adopt(&cr.opts.IO, cr.bundle.Spec.Process.Terminal, !o.NoSubreaper); err != nil {
		return 0, err
	}
	defer fg.close()
	var c *Container
	err = fg.starting(func(ctx context.Context) error {
		cr.opts.Context = ctx
		cr.aim = fg.aim
		c, err = cr.createAndStart()
		return err
	})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	code, err := fg.wait(c.init)
	if err == nil {
		c.logOOM(code)
	}
	if o.Keep {
		return code, err
	}
	gone := fg.ending(func(ctx context.Context) error {
		return s.Delete(o.ID, DeleteOptions{Force: true, Context: ctx, Transcript: o.Transcript})
	})
	return code, joinTeardown(err, ignoreNotExist(gone))
}

func (s *Store) runDetached(o CreateOptions) error {
	nsexec.Prepare()
	cr, err := s.compile(o)
	if err != nil {
		return err
	}
	c, err := cr.createAndStart()
	if err != nil {
		return err
	}
	c.Close()
	return nil
}

// createAndStart leaves nothing behind if either fails.
func (cr *creation) createAndStart() (*Container, error) {
	cr.starting = true
	c, err := cr.create()
	if err != nil {
		return nil, err
	}
	o := StartOptions{
		Context: cr.opts.Context, Timeout: cr.opts.Timeout, Transcript: cr.opts.Transcript,
		NotifySocket: cr.opts.NotifySocket,
	}
	if cr.aim != nil {
		// In the foreground this process is the service's main one.
		o.Context, o.NotifyPid = nil, os.Getpid()
		// Signals are init's from here on. The stage dies of them as the program would, so that a
		// hanging startContainer hook can be interrupted still.
		cr.aim(c.init)
	}
	if err = c.startClaimed(c.init.PidFD, o); err == nil {
		return c, nil
	}
	_ = c.init.Signal(unix.SIGKILL)
	ended, werr := nsexec.WaitPidFD(c.init.PidFD, killTimeout)
	if ended {
		_, werr = c.init.Wait()
	}
	c.Close()
	gone := cr.store.Delete(cr.opts.ID, DeleteOptions{Force: true, Transcript: cr.opts.Transcript})
	return nil, joinTeardown(err, werr, ignoreNotExist(gone))
}

func ignoreNotExist(err error) error {
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}
