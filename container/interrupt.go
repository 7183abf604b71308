package container

import (
	"context"

	"golang.org/x/sys/unix"
)

// killWith kills the process when ctx ends: whoever waits for it then hears of its death. The
// function that it returns ends that, and gives the interruption if it came first.
func killWith(ctx context.Context, p *Process) func() error {
	stop := context.AfterFunc(ctx, func() { _ = p.Signal(unix.SIGKILL) })
	return func() error {
		if stop() {
			return nil
		}
		return context.Cause(ctx)
	}
}
