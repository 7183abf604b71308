package container

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"runack/reaper"
)

// A foreground is this process standing in for one in a container: signals go there, its status
// comes back. One per process of the runtime: it takes all signals.
type foreground struct {
	signals     chan os.Signal
	takingFirst sync.WaitGroup          // until the signals are taken that end a start
	taking      sync.WaitGroup          // until all are
	target      atomic.Pointer[Process] // who gets signals while the process is being started
	held        []os.Signal             // came before there was a process, for it
	terminal    *terminal               // nil without one
}

// signalBuffer is how many signals can wait while a container starts.
const signalBuffer = 1024

// newForeground begins to take the signals, as the first thing that a command does. Until starting is
// called nothing is to be cleared up, and a signal may end this process.
//
// Taking a signal costs two changes of thread in Go's runtime, 15 us for each of 62, so it is done beside
// the work: what ends a start is taken when starting calls its act, and all others when aim returns.
func newForeground() *foreground {
	f := &foreground{signals: make(chan os.Signal, signalBuffer)}
	f.takingFirst.Add(1)
	f.taking.Go(func() {
		signal.Notify(f.signals, interrupting...)
		f.takingFirst.Done()
		signal.Notify(f.signals)
	})
	return f
}

// adopt takes the caller's terminal and the orphans of the container, where asked for. Call close.
func (f *foreground) adopt(o *IO, tty, subreaper bool) error {
	if tty {
		t, err := newTerminal(o.Stdio)
		if err != nil {
			return err
		}
		f.terminal, o.Console = t, t.attach
	}
	if subreaper {
		// Before the program runs, and for good: this process ends when the program has.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return failed("become subreaper", "", err)
		}
	}
	return nil
}

// close gives the terminal back. The signals stay taken: the process ends now, and giving them back
// would cost as much as taking them.
func (f *foreground) close() {
	if f.terminal != nil {
		f.terminal.restore()
	}
}

// An Interruption is a signal that ended a start instead of going to the program.
type Interruption struct{ Signal unix.Signal }

func (e *Interruption) Error() string { return "interrupted by " + unix.SignalName(e.Signal) }

// interrupting are the signals that end a start that is under way, as they would end any program that
// does not mind them. Others wait for the program.
var interrupting = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT}

// starting runs act, which is to start the process. Until act has called aim, a signal that would end
// this program ends act's context, so that act can clear up. act runs on the caller's thread, which
// may have a mount namespace of its own.
func (f *foreground) starting(act func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			case s := <-f.signals:
				f.early(s, cancel)
			}
		}
	})
	f.takingFirst.Wait()
	err := act(ctx)
	close(done)
	watch.Wait()
	return err
}

// ending runs act, which is to clear up after the process. There is nobody any more to pass a signal
// on to: one that would end this program ends act's context.
func (f *foreground) ending(act func(context.Context) error) error {
	f.target.Store(nil)
	return f.starting(act)
}

// aim says that the process may become the program at any moment: signals are for it from now on.
func (f *foreground) aim(p *Process) {
	f.taking.Wait()
	f.target.Store(p)
}

// early handles a signal that comes while the process is being started.
func (f *foreground) early(s os.Signal, cancel context.CancelCauseFunc) {
	p := f.target.Load()
	switch {
	case p != nil:
		f.handle(p, s)
	case slices.Contains(interrupting, s):
		cancel(&Interruption{s.(unix.Signal)})
		f.held = append(f.held, s) // one that comes too late to end the start is the program's too
	default:
		f.held = append(f.held, s)
	}
}

// wait passes signals on until the process ends, and returns its exit code. The reaper begins here
// and not before the launch, where telling the launch's own zombies from orphans would cost half a
// millisecond. Orphans that came earlier it finds.
func (f *foreground) wait(p *Process) (int, error) {
	for _, s := range f.held {
		f.handle(p, s)
	}
	r, err := reaper.New(reaper.Options{})
	if err != nil {
		return 0, err
	}
	defer r.Close()
	start := r.Starting("")
	if err := start.Started(int(p.PidFD.Fd()), p.Pid); err != nil {
		return 0, err
	}
	ended := make(chan reaper.Exit, 1)
	go func() {
		exit, err := start.Wait(context.Background())
		exit.Err = errors.Join(exit.Err, err)
		ended <- exit
	}()
	for {
		select {
		case exit := <-ended:
			return f.ended(exit)
		case s := <-f.signals:
			f.handle(p, s)
		}
	}
}

func (f *foreground) ended(exit reaper.Exit) (int, error) {
	if exit.Err != nil {
		return 0, exit.Err
	}
	f.finishTerminal()
	return exit.Code(), nil
}

// finishTerminal copies out what the process has written last. Its signals are nobody's any more:
// one that would end this program ends the wait for a reader that has stopped reading.
func (f *foreground) finishTerminal() {
	if f.terminal == nil {
		return
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		f.terminal.finish()
	}()
	for {
		select {
		case <-finished:
			return
		case s := <-f.signals:
			if slices.Contains(interrupting, s) {
				return
			}
		}
	}
}

func (f *foreground) handle(p *Process, s os.Signal) {
	switch s {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE:
		// Our own children's, Go's runtime to itself, and our own output's.
	case unix.SIGWINCH:
		if f.terminal != nil {
			f.terminal.resize()
			return
		}
		f.forward(p, unix.SIGWINCH)
	default:
		f.forward(p, s.(unix.Signal))
	}
}

func (f *foreground) forward(p *Process, sig unix.Signal) {
	if err := p.Signal(sig); err != nil {
		logrus.Warn(err)
	}
}
