package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// loggerReady bounds the wait for a log program to say that it is ready.
const loggerReady = 10 * time.Second

// loggerGrace is how long a log program may take to finish once its streams have ended.
const loggerGrace = 12 * time.Second

// A logger is a program that keeps a process's output: containerd's binary:// scheme. It gets
// standard output as 3, standard error as 4, and closes 5 when it is ready.
type logger struct {
	cmd    *exec.Cmd
	out    *os.File // the process's ends; owned until the process has them
	errOut *os.File
	exited chan struct{}
}

// startLogger starts the program and waits until it is ready.
func startLogger(ctx context.Context, u *url.URL, namespace, id string, allowed []string) (*logger, error) {
	if err := mayLog(u.Path, allowed); err != nil {
		return nil, err
	}
	l := &logger{cmd: loggerCommand(u, namespace, id), exited: make(chan struct{})}
	var ready *os.File
	var theirs []*os.File
	defer func() { closeAll(theirs) }()
	pipe := func() (r, w *os.File, err error) {
		r, w, err = os.Pipe()
		if err != nil {
			return nil, nil, fmt.Errorf("log program %s: %w", u.Path, err)
		}
		return r, w, nil
	}
	outR, outW, err := pipe()
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, outR)
	l.out = outW
	errR, errW, err := pipe()
	if err != nil {
		l.closeEnds()
		return nil, err
	}
	theirs = append(theirs, errR)
	l.errOut = errW
	ready, readyW, err := pipe()
	if err != nil {
		l.closeEnds()
		return nil, err
	}
	theirs = append(theirs, readyW)
	defer ready.Close()
	l.cmd.ExtraFiles = theirs
	if err := l.cmd.Start(); err != nil {
		l.closeEnds()
		return nil, fmt.Errorf("log program %s: %w", u.Path, err)
	}
	go func() {
		if err := l.cmd.Wait(); err != nil {
			warn(id, "log program %s: %v", u.Path, err)
		}
		close(l.exited)
	}()
	closeAll(theirs)
	theirs = nil
	if err := awaitReady(ctx, ready); err != nil {
		l.closeEnds()
		_ = l.cmd.Process.Kill()
		return nil, fmt.Errorf("log program %s: wait until it is ready: %w", u.Path, err)
	}
	return l, nil
}

// awaitReady waits for the end of the pipe, or one byte in it.
func awaitReady(ctx context.Context, ready *os.File) error {
	_ = ready.SetReadDeadline(time.Now().Add(loggerReady))
	stop := context.AfterFunc(ctx, func() { _ = ready.SetReadDeadline(time.Now()) })
	defer stop()
	if _, err := ready.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// loggerCommand has the form that containerd's own shim gives it: every pair of the query as two
// arguments, the container in the environment.
func loggerCommand(u *url.URL, namespace, id string) *exec.Cmd {
	var args []string
	query := u.Query()
	for _, k := range sortedKeys(query) {
		args = append(args, k)
		if v := query.Get(k); v != "" {
			args = append(args, v)
		}
	}
	cmd := exec.Command(u.Path, args...)
	cmd.Env = append(os.Environ(), "CONTAINER_ID="+id, "CONTAINER_NAMESPACE="+namespace)
	return cmd
}

func sortedKeys(m url.Values) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// mayLog says whether the shim, which is root, will run a program that a client named. Where the
// configuration has a list, the program has to be on it. In any case nobody but root may be able to
// change it: its file, and every folder on the way to it.
func mayLog(path string, allowed []string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return refuse(errInvalid, "log program %q: not an absolute, clean path", path)
	}
	if len(allowed) > 0 && !slices.Contains(allowed, path) {
		return refuse(errInvalid, "log program %s: not one of LogBinaries in the runtime's options", path)
	}
	for p := path; ; p = filepath.Dir(p) {
		var st unix.Stat_t
		if err := unix.Stat(p, &st); err != nil {
			return fmt.Errorf("log program %s: %w", path, err)
		}
		sticky := st.Mode&unix.S_ISVTX != 0 && p != path
		if st.Uid != 0 || st.Mode&0o022 != 0 && !sticky {
			return refuse(errInvalid, "log program %s: others than root can change %s", path, p)
		}
		if p == "/" {
			return nil
		}
	}
}

// closeEnds closes our copies of what the process writes to.
func (l *logger) closeEnds() {
	closeAll([]*os.File{l.out, l.errOut})
	l.out, l.errOut = nil, nil
}

// finish waits, away from everybody, for the program to write what it has read.
func (l *logger) finish() {
	l.closeEnds()
	go func() {
		select {
		case <-l.exited:
		case <-time.After(loggerGrace):
			_ = l.cmd.Process.Kill()
		}
	}()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
