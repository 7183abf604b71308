package hooks

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/nsexec"
)

// run starts one hook and waits for its end. It fills in how it failed, and returns true if it did
// not. Nothing of it is left afterwards: no goroutine, no descriptor, no child.
func run(ctx context.Context, h *specs.Hook, state []byte, dir string, res *Error) bool {
	var pipes stdio
	defer pipes.close()
	if err := pipes.open(); err != nil {
		res.Err = &stepError{"pipe", err}
		return false
	}
	p, err := nsexec.Clean(nsexec.CleanAttr{Path: h.Path, Args: argsOf(h), Env: h.Env, Dir: dir, Files: pipes.theirs[:]})
	pipes.closeTheirs()
	if err != nil {
		res.Err = launchError(err)
		return false
	}
	pipes.serve(state)
	end := supervise(ctx, p, h.Timeout, res)
	res.Stdout, res.Stderr = pipes.finish()
	return judge(end, res)
}

// argsOf: execv needs an argv[0].
func argsOf(h *specs.Hook) []string {
	if len(h.Args) == 0 {
		return []string{h.Path}
	}
	return h.Args
}

type ending struct {
	state *os.ProcessState
	err   error
}

// supervise waits for the hook, and kills it at its timeout or at the context's end. The kill is by
// pidfd and the wait goes on after it, so that no child is left.
func supervise(ctx context.Context, p *os.Process, timeout *int, res *Error) ending {
	ended := make(chan ending, 1)
	go func() {
		st, err := p.Wait()
		ended <- ending{st, err}
	}()
	var expired <-chan time.Time
	if timeout != nil {
		timer := time.NewTimer(time.Duration(*timeout) * time.Second)
		defer timer.Stop()
		expired = timer.C
	}
	var timedOut, canceled bool
	select {
	case e := <-ended:
		return e
	case <-expired:
		timedOut = true
	case <-ctx.Done():
		canceled = true
	}
	_ = p.Kill()
	e := <-ended
	if e.err != nil || !killed(e.state) {
		return e // it ended by itself just then
	}
	if timedOut {
		res.Timeout = time.Duration(*timeout) * time.Second
	} else if canceled {
		res.Err = fmt.Errorf("killed: %w", context.Cause(ctx))
	}
	return e
}

func killed(st *os.ProcessState) bool {
	status := unix.WaitStatus(st.Sys().(waitStatus))
	return status.Signaled() && status.Signal() == unix.SIGKILL
}

// judge looks for a signal before it looks at an exit code.
func judge(e ending, res *Error) bool {
	if res.Timeout > 0 || res.Err != nil {
		return false
	}
	if e.err != nil {
		res.Err = fmt.Errorf("wait: %w", e.err)
		return false
	}
	status := unix.WaitStatus(e.state.Sys().(waitStatus))
	switch {
	case status.Signaled():
		res.Signal = status.Signal()
	case status.ExitStatus() != 0:
		res.Code = status.ExitStatus()
		res.notExecuted()
	default:
		return true
	}
	return false
}

// stdio is a hook's descriptors 0, 1 and 2: our ends and theirs.
type stdio struct {
	in     *os.File // nil once closed
	out    [2]capture
	theirs [3]*os.File
	work   sync.WaitGroup
}

// open makes the pipes. Our ends are non-blocking, for Go's poller; theirs are not, since programs do
// not expect that of their stdio.
func (s *stdio) open() error {
	for i := range s.theirs {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return err
		}
		ours, theirs := ends[0], ends[1]
		if i == 0 {
			ours, theirs = theirs, ours
		}
		s.theirs[i] = os.NewFile(uintptr(theirs), "hook-end")
		nonblock := unix.SetNonblock(ours, true)
		f := os.NewFile(uintptr(ours), "hook-pipe")
		if i == 0 {
			s.in = f
		} else {
			s.out[i-1] = capture{f: f, fd: ours}
		}
		if nonblock != nil {
			return nonblock
		}
	}
	return nil
}

func (s *stdio) closeTheirs() {
	for i, f := range s.theirs {
		if f != nil {
			_ = f.Close()
			s.theirs[i] = nil
		}
	}
}

// serve feeds and drains the hook while it runs. A write error means that the hook does not
// read: EPIPE, of which Go makes no signal on a descriptor other than 1 and 2.
func (s *stdio) serve(state []byte) {
	in := s.in
	s.work.Go(func() {
		_, _ = in.Write(state)
		_ = in.Close()
	})
	for i := range s.out {
		s.work.Go(s.out[i].read)
	}
}

// finish is called when the hook has ended. Closing stdin ends a write that nobody reads.
func (s *stdio) finish() (stdout, stderr string) {
	_ = s.in.Close()
	for i := range s.out {
		s.out[i].stop()
	}
	s.work.Wait()
	for i := range s.out {
		s.out[i].rest()
	}
	return s.out[0].text(), s.out[1].text()
}

func (s *stdio) close() {
	s.closeTheirs()
	if s.in != nil {
		_ = s.in.Close()
	}
	for i := range s.out {
		s.out[i].close()
	}
}
