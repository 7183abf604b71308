package container

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"runack/internal/flock"
)

// lock takes the state directory's exclusive lock. Errors: ErrNotExist if the directory was removed
// meanwhile (the lock is not held then), and a timeout.
func (d *stateDir) lock() error {
	if err := d.flock(flock.Timeout); err != nil {
		return err
	}
	current, err := d.isCurrent()
	if err == nil && !current {
		err = ErrNotExist
	}
	if err != nil {
		d.unlock()
	}
	return err
}

// unlock releases the lock; the directory stays open.
func (d *stateDir) unlock() { _ = unix.Flock(d.fd(), unix.LOCK_UN) }

func (d *stateDir) flock(timeout time.Duration) error {
	return failed("lock", d.path, flock.Lock(d.fd(), timeout))
}

// retryIntr repeats a system call that a signal interrupted.
func retryIntr(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// locked runs a transition under the lock.
func (d *stateDir) locked(transition func() error) error {
	if err := d.lock(); err != nil {
		return err
	}
	defer d.unlock()
	return transition()
}
