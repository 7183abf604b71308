// Package flock takes an exclusive flock(2) lock without waiting for ever.
package flock

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Timeout bounds the wait for a lock of runack's. Whoever holds one does so for well under a second;
// longer means that the holder was stopped or hangs in the kernel.
const Timeout = 30 * time.Second

// Lock takes the lock of the open file fd, or gives up after timeout. A lock belongs to the open file
// description: two handles in one process exclude each other like two processes, and the kernel
// releases the lock of a process that dies.
func Lock(fd int, timeout time.Duration) error {
	err := flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	return wait(fd, timeout)
}

// wait: flock has no timeout of its own, so a thread waits on a duplicate of the descriptor. The
// duplicate shares the lock, and closing it does not unlock while ours is open. If we give up first,
// the thread takes the lock back as soon as it gets it.
func wait(fd int, timeout time.Duration) error {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	got := make(chan error)
	gaveUp := make(chan struct{})
	go func() {
		defer unix.Close(dup)
		err := flock(dup, unix.LOCK_EX)
		select {
		case got <- err:
		case <-gaveUp:
			_ = flock(dup, unix.LOCK_UN)
		}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-got:
		return err
	case <-timer.C:
		close(gaveUp)
		return fmt.Errorf("still held by another runack after %v", timeout)
	}
}

// flock repeats the system call where a signal interrupted it.
func flock(fd, how int) error {
	for {
		if err := unix.Flock(fd, how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
