package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"runack/container"
)

// interruptible gives a context that ends with the first signal that would end this process, so
// that a create or a start that is under way can clear up. Call stop when it is over. The signals stay
// taken, since giving them back takes time and the process is about to end.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			cancel(&container.Interruption{Signal: s.(unix.Signal)})
		case <-done:
		}
	}()
	return ctx, func() {
		close(done)
		cancel(nil)
	}
}
