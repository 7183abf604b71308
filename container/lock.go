package container

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// lockTimeout bounds the wait for the lock. A transition holds it for well under a second; longer
// means that its holder was stopped or hangs in the kernel.
const lockTimeout = 30 * time.Second

// lock takes the state directory's exclusive lock. Errors: ErrNotExist if the directory was removed
// meanwhile (the lock is not held then), and a timeout.
//
// flock(2) belongs to the open file description, so two handles in one process exclude each
// other like two processes, and the kernel releases the lock of a runtime that dies.
func (d *stateDir) lock() error {
	if err := d.flock(lockTimeout); err != nil {
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
	err := retryIntr(func() error { return unix.Flock(d.fd(), unix.LOCK_EX|unix.LOCK_NB) })
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return failed("lock", d.path, err)
	}
	return d.flockWaiting(timeout)
}

// flockWaiting waits for the lock. flock has no timeout of its own, so a thread waits on a
// duplicate of the descriptor: the duplicate shares the lock, and closing it does not unlock while
// ours is open. If we give up first, the thread takes the lock back as soon as it gets it.
func (d *stateDir) flockWaiting(timeout time.Duration) error {
	dup, err := unix.FcntlInt(uintptr(d.fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return failed("lock", d.path, err)
	}
	got := make(chan error)
	gaveUp := make(chan struct{})
	go func() {
		defer unix.Close(dup)
		err := retryIntr(func() error { return unix.Flock(dup, unix.LOCK_EX) })
		select {
		case got <- err:
		case <-gaveUp:
			_ = unix.Flock(dup, unix.LOCK_UN)
		}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-got:
		return failed("lock", d.path, err)
	case <-timer.C:
		close(gaveUp)
		return fmt.Errorf("lock %s: still held by another runack after %v", d.path, timeout)
	}
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
