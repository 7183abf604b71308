package main

import (
	"context"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"runack/container"
)

// interruptible gives a context that ends with the first signal that would end this process, so
// that a create or a start that is under way can clear up. The signals are taken beside what else there
// is to do: settled waits until they are, for whoever begins to do what would have to be cleared up. Call
// stop when it is over. The signals stay taken, since giving them back takes time and the process is about
// to end.
func interruptible() (ctx context.Context, settled, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	done := make(chan struct{})
	var taking sync.WaitGroup
	taking.Add(1)
	go func() {
		signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
		taking.Done()
		select {
		case s := <-signals:
			cancel(&container.Interruption{Signal: s.(unix.Signal)})
		case <-done:
		}
	}()
	return ctx, taking.Wait, func() {
		close(done)
		cancel(nil)
	}
}
