package shim

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"runack/container"
	"runack/internal/rawfd"
)

// drainLimit bounds how long a removal waits for a client that does not read.
const drainLimit = 2 * time.Second

// streams are what a client wants to have as a process's standard streams: paths of fifos, or URIs
// (file://, binary://); empty for none.
type streams struct {
	stdin, stdout, stderr string
	terminal              bool
}

// stdio connects a process with the client's streams. Between a process and a fifo there is a pipe,
// or a terminal, and a pump: only so can the client be given an end, although something that the
// process has left behind keeps its own end open. Files and log programs are given to the process
// directly.
type stdio struct {
	req      streams
	given    [3]*os.File // the process's descriptors; ours until it has been started
	finish   []func()    // at the end, in reverse
	pumps    []*pump     // of output
	log      *logger
	stdin    *fifo
	out      *os.File // sink of a terminal's output
	closeOut func()

	mu      sync.Mutex
	master  *os.File      // guarded by mu: the terminal; nil without one, or before it has been made
	size    *unix.Winsize // guarded by mu: the last one asked for
	stdinOK bool          // guarded by mu: the client may still write
}

// stdioOptions are the parts of the runtime's options that concern streams.
type stdioOptions struct {
	namespace, id string
	uid, gid      int // owner of the pipes
	logBinaries   []string
}

// openStdio opens what the client named. It waits for readers of fifos and for log programs: off the
// loop. close it.
func openStdio(ctx context.Context, req streams, o stdioOptions) (*stdio, error) {
	s := &stdio{req: req}
	err := s.open(ctx, o)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stdio) open(ctx context.Context, o stdioOptions) error {
	if err := s.openStdin(o); err != nil {
		return err
	}
	u, err := parseStream(s.req.stdout)
	if err != nil {
		return err
	}
	if u.Scheme == "binary" {
		return s.openLogger(ctx, u, o)
	}
	if s.req.terminal {
		s.out, s.closeOut, _, err = openSink(ctx, u)
		return err
	}
	for i, uri := range []string{s.req.stdout, s.req.stderr} {
		if err := s.openOutput(ctx, 1+i, uri, o); err != nil {
			return err
		}
	}
	return nil
}

// parseStream reads a path or URI; a bare path is a fifo's.
func parseStream(uri string) (*url.URL, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, refuse(errInvalid, "stream %q: %v", uri, err)
	}
	switch u.Scheme {
	case "":
		return &url.URL{Scheme: "fifo", Path: uri}, nil
	case "fifo", "file", "binary":
		return u, nil
	}
	return nil, refuse(errInvalid, "stream %q: scheme %s is none of fifo, file, binary", uri, u.Scheme)
}

// openSink opens a file or fifo to write to. The function closes it. piped: the process must not
// have it itself.
func openSink(ctx context.Context, u *url.URL) (f *os.File, closeSink func(), piped bool, err error) {
	if u.Path == "" {
		return nil, func() {}, false, nil
	}
	if u.Scheme == "file" {
		f, err := openLogFile(u.Path)
		return f, func() { closeAll([]*os.File{f}) }, false, err
	}
	fifo, err := openWriter(ctx, u.Path)
	if err != nil {
		return nil, func() {}, false, err
	}
	return fifo.file, fifo.close, true, nil
}

func openLogFile(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, refuse(errInvalid, "log file %q: not an absolute path", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("log file %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	return f, nil
}

func (s *stdio) openStdin(o stdioOptions) error {
	if s.req.stdin == "" {
		return nil
	}
	u, err := parseStream(s.req.stdin)
	if err != nil {
		return err
	}
	if u.Scheme != "fifo" {
		return refuse(errInvalid, "stdin %q: only a fifo can be read", s.req.stdin)
	}
	if s.stdin, err = openReader(u.Path); err != nil {
		return err
	}
	s.finish = append(s.finish, s.stdin.close)
	s.stdinOK = true
	if s.req.terminal {
		return nil
	}
	r, w, err := pipe(writeEnd, o)
	if err != nil {
		return err
	}
	s.given[0] = r
	s.finish = append(s.finish, func() { _ = w.Close() })
	// The end of the client's input is the end of the process's.
	startPump(s.stdin.file, w, func() { _ = w.Close() })
	return nil
}

func (s *stdio) openOutput(ctx context.Context, fd int, uri string, o stdioOptions) error {
	u, err := parseStream(uri)
	if err != nil {
		return err
	}
	sink, closeSink, piped, err := openSink(ctx, u)
	if err != nil {
		return err
	}
	if !piped {
		s.given[fd] = sink
		return nil
	}
	r, w, err := pipe(readEnd, o)
	if err != nil {
		closeSink()
		return err
	}
	s.given[fd] = w
	s.finish = append(s.finish, func() { _ = r.Close() })
	s.pumps = append(s.pumps, startPump(r, sink, closeSink))
	return nil
}

func (s *stdio) openLogger(ctx context.Context, u *url.URL, o stdioOptions) error {
	log, err := startLogger(ctx, u, o.namespace, o.id, o.logBinaries)
	if err != nil {
		return err
	}
	s.log = log
	s.finish = append(s.finish, log.finish)
	if s.req.terminal {
		s.out, s.closeOut = log.out, log.closeEnds
		return nil
	}
	s.given[1], s.given[2] = log.out, log.errOut
	log.out, log.errOut = nil, nil
	return nil
}

// The ends of a pipe.
const (
	readEnd  = 0
	writeEnd = 1
)

// pipe makes a pipe with the owner that the options want. Our end goes into Go's poller; the
// process's blocks, as programs expect.
func pipe(ours int, o stdioOptions) (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("make pipe: %w", err)
	}
	err = unix.SetNonblock(fds[ours], true)
	if err == nil && (o.uid != 0 || o.gid != 0) {
		err = unix.Fchown(fds[0], o.uid, o.gid)
	}
	r, w = os.NewFile(uintptr(fds[readEnd]), "pipe"), os.NewFile(uintptr(fds[writeEnd]), "pipe")
	if err != nil {
		closeAll([]*os.File{r, w})
		return nil, nil, fmt.Errorf("set pipe up: %w", err)
	}
	return r, w, nil
}

// forProcess is what a start gets. Call started when it has come back.
func (s *stdio) forProcess() container.IO {
	o := container.IO{Detach: true, Stdio: s.given}
	if s.req.terminal {
		o.Console = s.attach
	}
	return o
}

// started closes our copies of the process's descriptors: the process has them, or never will.
func (s *stdio) started() {
	closeAll(s.given[:])
	s.given = [3]*os.File{}
}

// attach takes a terminal's master over.
func (s *stdio) attach(master *os.File) error {
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if cerr := master.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return fmt.Errorf("take terminal over: %w", err)
	}
	m := os.NewFile(uintptr(fd), "terminal")
	s.mu.Lock()
	s.master = m
	size := s.size
	s.mu.Unlock()
	if size != nil {
		if err := setSize(m, size); err != nil {
			return err
		}
	}
	s.finish = append(s.finish, func() { _ = m.Close() })
	if s.stdin != nil {
		startPump(s.stdin.file, m, func() {})
	}
	if s.out == nil {
		return s.discard(m)
	}
	s.pumps = append(s.pumps, startPump(m, s.out, s.closeOut))
	s.closeOut = nil
	return nil
}

// discard reads a terminal that nobody wants to see, or its program would block.
func (s *stdio) discard(m *os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	s.pumps = append(s.pumps, startPump(m, null, func() { _ = null.Close() }))
	return nil
}

// resize sets the terminal's size, or keeps it until there is one.
func (s *stdio) resize(size *unix.Winsize) error {
	if !s.req.terminal {
		return refuse(errInvalid, "resize: the process has no terminal")
	}
	s.mu.Lock()
	m := s.master
	s.size = size
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	return setSize(m, size)
}

func setSize(m *os.File, size *unix.Winsize) error {
	err := rawfd.Use(m, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
	var errno unix.Errno
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &errno):
		return container.ErrNotRunning // closed
	}
	return fmt.Errorf("set terminal size: %w", err)
}

// closeStdin lets the end of the client's input through: until then we hold the fifo open, so that
// a client may go and come back.
func (s *stdio) closeStdin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdinOK {
		s.stdinOK = false
		_ = s.stdin.hold.Close()
	}
}

// end passes on what a process that has ended has written, and closes everything.
func (s *stdio) end() {
	for _, p := range s.pumps {
		p.drain(drainLimit)
	}
	s.close()
}

// close closes everything at once.
func (s *stdio) close() {
	s.started()
	for i := len(s.finish) - 1; i >= 0; i-- {
		s.finish[i]()
	}
	s.finish = nil
	if s.closeOut != nil {
		s.closeOut()
	}
	s.closeStdin()
}
