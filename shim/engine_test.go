package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"runack/container"
)

// plain is an engine whose containers are plain processes, in a PID namespace of their own or not:
// real deaths in the real order, at the price of a fork.
type plain struct {
	cat, sleep string

	mu    sync.Mutex
	boxes map[string]*box
}

type box struct {
	stdin   *os.File   // closing it ends an init that is to end by itself
	ns      *os.File   // the PID namespace; nil if it is ours
	short   bool       // init ends as soon as it is started
	init    *os.File   // pidfd, as are members, of which it is the first
	members []*os.File // guarded by plain.mu
}

// What the "program" of an exec does.
const (
	execShort = "short" // ends at once
	execLong  = "long"  // until it is killed
	execBad   = "bad"   // cannot be started
)

func newPlain(t *testing.T) *plain {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making PID namespaces needs root")
	}
	p := &plain{boxes: map[string]*box{}}
	for name, path := range map[string]*string{"cat": &p.cat, "sleep": &p.sleep} {
		found, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		*path = found
	}
	return p
}

// fork starts a process and gives its pidfd.
func fork(path string, args []string, stdin *os.File, flags uintptr) (int, *os.File, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	if stdin == nil {
		stdin = null
	}
	pidfd := -1
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Files: []uintptr{stdin.Fd(), null.Fd(), null.Fd()},
		Sys:   &syscall.SysProcAttr{Cloneflags: flags, PidFD: &pidfd},
	})
	if err != nil {
		return 0, nil, err
	}
	return pid, os.NewFile(uintptr(pidfd), "pidfd"), nil
}

// create: the options tell how the container is to be, by the names of fields that serve.
func (p *plain) create(_ context.Context, r *createRequest) (*madeInit, error) {
	shared, short := r.opts.NoPivotRoot, r.opts.NoNewKeyring
	if r.opts.SystemdCgroup {
		return nil, errors.New("cannot be made")
	}
	stdin, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	var flags uintptr = syscall.CLONE_NEWPID
	if shared {
		flags = 0
	}
	pid, pidfd, err := fork(p.cat, []string{"cat"}, stdin, flags)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	b := &box{stdin: w, short: short, init: pidfd, members: []*os.File{pidfd}}
	if !shared {
		if b.ns, err = os.Open(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.boxes[r.state.ID] = b
	return &madeInit{pid: pid, pidfd: pidfd, sharedPIDs: shared, close: func() {}}, nil
}

func (p *plain) box(id string) *box {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.boxes[id]
}

func (p *plain) start(_ context.Context, c containerState) error {
	b := p.box(c.ID)
	if unix.PidfdSendSignal(int(b.init.Fd()), 0, nil, 0) != nil {
		return container.ErrNotRunning
	}
	if b.short {
		return b.stdin.Close()
	}
	return nil
}

func (p *plain) exec(ctx context.Context, c containerState, r *execRequest) (*container.Process, error) {
	b := p.box(c.ID)
	args := []string{"sleep", "0"}
	switch string(r.spec) {
	case execLong:
		args[1] = "1000"
	case execBad:
		return nil, errors.New("cannot be started")
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	// Which PID namespace a child is born in is the thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if b.ns != nil {
		own, err := os.Open("/proc/self/ns/pid")
		if err != nil {
			return nil, err
		}
		defer own.Close()
		if err := unix.Setns(int(b.ns.Fd()), unix.CLONE_NEWPID); err != nil {
			return nil, err
		}
		defer func() {
			if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWPID); err != nil {
				panic(err)
			}
		}()
	}
	pid, pidfd, err := fork(p.sleep, args, nil, 0)
	if err != nil {
		return nil, err
	}
	dup, err := unix.FcntlInt(pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	b.members = append(b.members, os.NewFile(uintptr(dup), "pidfd"))
	p.mu.Unlock()
	return &container.Process{Pid: pid, PidFD: pidfd}, nil
}

func (p *plain) kill(c containerState, sig unix.Signal, all bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boxes[c.ID]
	if b == nil {
		return container.ErrNotExist
	}
	victims := b.members[:1]
	if all {
		victims = b.members
	}
	var err error
	for _, m := range victims {
		err = unix.PidfdSendSignal(int(m.Fd()), sig, nil, 0)
	}
	if errors.Is(err, unix.ESRCH) {
		return container.ErrNotRunning
	}
	return err
}

func (p *plain) remove(c containerState) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boxes[c.ID]
	delete(p.boxes, c.ID)
	if b == nil {
		return nil
	}
	_ = b.stdin.Close()
	if b.ns != nil {
		_ = b.ns.Close()
	}
	for _, m := range b.members {
		_ = m.Close()
	}
	return nil
}
