package container

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Kill sends a signal to init; with all, to every process of the container's cgroup. SIGKILL goes
// to all where init's death would not take the others with it (a shared PID namespace). It takes
// no lock: a pidfd cannot hit a stranger. Errors: ErrNotRunning.
func (c *Container) Kill(sig unix.Signal, all bool) error {
	if all || (sig == unix.SIGKILL && !c.rec.PrivatePID) {
		return c.killAll(sig, all)
	}
	return c.killInit(sig)
}

func (c *Container) killInit(sig unix.Signal) error {
	m, err := c.look()
	if err != nil {
		return err
	}
	defer m.close()
	if m.init == nil {
		return ErrNotRunning
	}
	if err := sendSignal(m.init, sig); err != nil {
		return err
	}
	if sig == unix.SIGKILL && m.status == Paused {
		// On v1 a frozen process does not die before it is thawed.
		return c.thaw()
	}
	return nil
}

// sendSignal signals by pidfd. Errors: ErrNotRunning if the process is gone.
func sendSignal(pidfd *os.File, sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(pidfd.Fd()), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrNotRunning
	}
	return failed("signal", pidfd.Name(), err)
}

// killAll signals every process of the cgroup. Asked for by --all, a container that has no process
// any more is as the caller wants it.
func (c *Container) killAll(sig unix.Signal, asked bool) error {
	cg, err := c.cgroup()
	if err != nil {
		return err
	}
	if cg == nil {
		return c.killInit(sig)
	}
	pids, err := cg.Pids(true)
	if len(pids) > 0 {
		err = cg.Kill(sig)
		if err == nil && sig == unix.SIGKILL {
			err = c.thaw()
		}
	}
	// A cgroup may be gone, as a scope of systemd is when its last process has ended.
	switch gone := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV); {
	case err != nil && !gone:
		return c.wrap(err)
	case !gone && len(pids) > 0:
		return nil
	}
	err = c.killInit(sig) // alive where the cgroup is not ours to use (rootless)
	if asked && errors.Is(err, ErrNotRunning) {
		return nil
	}
	return err
}

func (c *Container) thaw() error {
	cg, err := c.cgroup()
	if err != nil || cg == nil {
		return err
	}
	frozen, err := cg.Frozen()
	if err == nil && frozen {
		err = cg.Thaw()
	}
	return c.wrap(err)
}
