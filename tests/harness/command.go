package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// How long a command of the runtime may take. Nothing should come near it.
const commandLimit = 30 * time.Second

// A Result is how a command ended.
type Result struct {
	Command string
	Code    int            // 128 plus the signal for a death by signal
	Signal  syscall.Signal // what the command itself died of; 0: it left
	Stdout  string
	Stderr  string
	Took    time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("%s: exit code %d after %v\nstdout: %s\nstderr: %s", r.Command, r.Code, r.Took.Round(time.Millisecond),
		indent(r.Stdout), indent(r.Stderr))
}

func indent(s string) string {
	if !strings.Contains(strings.TrimSuffix(s, "\n"), "\n") {
		return strings.TrimSuffix(s, "\n")
	}
	return "\n    " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n    ")
}

// A Cmd is a command to be started. Its output goes to files and not to pipes: a container that
// lives on holds them, and nobody has to wait for it to let go.
type Cmd struct {
	e     *Env
	path  string
	args  []string
	env   []string
	dir   string
	stdin io.Reader
	files []*os.File
	pipe  bool
	tty   *os.File
	attr  syscall.SysProcAttr
	limit time.Duration
}

// Runtime makes a command of the runtime under test, with --root in front of the verb.
func (e *Env) Runtime(args ...string) *Cmd {
	return e.Command(shared.runtime, append([]string{"--root", e.Root}, args...)...)
}

// Bare makes a command of the runtime without any option added.
func (e *Env) Bare(args ...string) *Cmd { return e.Command(shared.runtime, args...) }

// Command makes a command of another program. Tests start programs with this and not with os/exec:
// then the reaper of orphans knows that they are not its own.
func (e *Env) Command(path string, args ...string) *Cmd {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "LANG=C", "TMPDIR=" + e.Temp}
	for _, v := range []string{"GOCOVERDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if s, ok := os.LookupEnv(v); ok {
			env = append(env, v+"="+s)
		}
	}
	return &Cmd{e: e, path: path, args: args, env: append(env, e.Vars...), dir: e.Dir, limit: commandLimit}
}

// Through runs the command through another program, which gets the command as its last arguments.
func (c *Cmd) Through(path string, args ...string) *Cmd {
	c.args = append(append(args, c.path), c.args...)
	c.path = path
	return c
}

// Env adds variables.
func (c *Cmd) Env(vars ...string) *Cmd { c.env = append(c.env, vars...); return c }

// In sets the working directory.
func (c *Cmd) In(dir string) *Cmd { c.dir = dir; return c }

// Stdin gives the command something to read; without it, it gets /dev/null.
func (c *Cmd) Stdin(r io.Reader) *Cmd { c.stdin = r; return c }

// Files hands descriptors over, as 3, 4, ... They stay the caller's.
func (c *Cmd) Files(f ...*os.File) *Cmd { c.files = append(c.files, f...); return c }

// Attr changes how the process is made.
func (c *Cmd) Attr(edit func(*syscall.SysProcAttr)) *Cmd { edit(&c.attr); return c }

// Within sets another deadline.
func (c *Cmd) Within(d time.Duration) *Cmd { c.limit = d; return c }

// Piped has standard output come through a pipe, for Proc.Line.
func (c *Cmd) Piped() *Cmd { c.pipe = true; return c }

// TTY makes f, a terminal's end, the command's standard input, output and controlling terminal.
func (c *Cmd) TTY(f *os.File) *Cmd { c.tty = f; return c }

func (c *Cmd) String() string {
	return strings.Join(append([]string{filepath.Base(c.path)}, c.args...), " ")
}

// A Proc is a started command.
type Proc struct {
	Pid int

	c              *Cmd
	cmd            *exec.Cmd
	stdout, stderr string // files
	pipe           *pipe
	started        time.Time
	exited         chan struct{}
}

// Start starts the command. The test has to Wait for it.
func (c *Cmd) Start() *Proc {
	c.e.T.Helper()
	p, err := c.start()
	if err != nil {
		c.e.T.Fatalf("%s: %v", c, err)
	}
	return p
}

func (c *Cmd) start() (*Proc, error) {
	c.e.mu.Lock()
	c.e.files++
	n := c.e.files
	c.e.mu.Unlock()
	p := &Proc{c: c, exited: make(chan struct{})}
	p.stdout = filepath.Join(c.e.Dir, fmt.Sprintf("out-%d", n))
	p.stderr = filepath.Join(c.e.Dir, fmt.Sprintf("err-%d", n))
	p.cmd = exec.Command(c.path, c.args...)
	p.cmd.Env, p.cmd.Dir, p.cmd.ExtraFiles, p.cmd.SysProcAttr = c.env, c.dir, c.files, &c.attr
	if err := p.open(); err != nil {
		return nil, err
	}
	p.started = time.Now()
	if err := children.fork(p.cmd); err != nil {
		return nil, err
	}
	p.Pid = p.cmd.Process.Pid
	for _, f := range []any{p.cmd.Stdout, p.cmd.Stderr, p.cmd.Stdin} {
		if f, ok := f.(*os.File); ok && f != c.tty && f != c.stdin {
			_ = f.Close() // the child has it
		}
	}
	go func() {
		_ = children.wait(p.cmd) // the status says it
		close(p.exited)
	}()
	return p, nil
}

// open prepares standard input, output and error.
func (p *Proc) open() error {
	c := p.c
	p.cmd.Stdin = c.stdin
	stderr, err := os.Create(p.stderr)
	if err != nil {
		return err
	}
	p.cmd.Stderr = stderr
	switch {
	case c.tty != nil:
		c.attr.Setsid, c.attr.Setctty = true, true
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = c.tty, c.tty, c.tty
		return stderr.Close()
	case c.pipe:
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		p.cmd.Stdout = w
		p.pipe = newPipe(r)
		c.e.mu.Lock()
		c.e.pipes = append(c.e.pipes, p.pipe)
		c.e.mu.Unlock()
	default:
		f, err := os.Create(p.stdout)
		if err != nil {
			return err
		}
		p.cmd.Stdout = f
	}
	return nil
}

// A pipe is what a piped command writes to, read line by line.
type pipe struct {
	r     *os.File
	lines chan string
	quit  chan struct{} // closed when nobody will ask for lines any more
	done  chan struct{} // closed when nothing is read any more
}

func newPipe(r *os.File) *pipe {
	p := &pipe{r: r, lines: make(chan string), quit: make(chan struct{}), done: make(chan struct{})}
	go p.read()
	return p
}

func (p *pipe) read() {
	defer close(p.done)
	defer close(p.lines)
	s := bufio.NewScanner(p.r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		select {
		case p.lines <- s.Text():
		case <-p.quit:
			return
		}
	}
}

// close closes the descriptor and is back when it is closed. Whatever still writes gets EPIPE.
func (p *pipe) close() {
	close(p.quit)
	_ = p.r.Close() // ends a read that waits
	<-p.done
}

// Line waits for the next line that a piped command writes.
func (p *Proc) Line() string {
	p.c.e.T.Helper()
	select {
	case l, ok := <-p.pipe.lines:
		if ok {
			return l
		}
		p.c.e.T.Fatalf("%s: no further line:\n%s", p.c, p.Wait())
	case <-time.After(Deadline(p.c.limit)):
		p.c.e.T.Fatalf("%s: no line within %v:\n%s", p.c, Deadline(p.c.limit), p.explain())
	}
	return ""
}

// Expect waits for a line and checks it.
func (p *Proc) Expect(want string) {
	p.c.e.T.Helper()
	if got := p.Line(); got != want {
		p.c.e.T.Fatalf("%s: wrote %q, want %q", p.c, got, want)
	}
}

// Signal sends a signal to the command's own process.
func (p *Proc) Signal(s syscall.Signal) {
	p.c.e.T.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.c.e.T.Fatalf("%s: signal %v: %v", p.c, s, err)
	}
}

// Exited tells whether the command has ended.
func (p *Proc) Exited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Wait waits for the command's end. One that does not end in time is explained, killed, and fails
// the test.
func (p *Proc) Wait() Result {
	p.c.e.T.Helper()
	r, err := p.wait()
	if err != nil {
		p.c.e.T.Fatal(err)
	}
	return r
}

func (p *Proc) wait() (Result, error) {
	limit := Deadline(p.c.limit)
	select {
	case <-p.exited:
	case <-time.After(limit):
		why := p.explain()
		p.stop()
		return Result{}, fmt.Errorf("%s: has not ended within %v; then:\n%s\nand its output:\n%s", p.c, limit, why, p.result())
	}
	return p.result(), nil
}

func (p *Proc) result() Result {
	r := Result{Command: p.c.String(), Took: time.Since(p.started)}
	if s := p.cmd.ProcessState; s != nil {
		w := s.Sys().(syscall.WaitStatus)
		if r.Code = w.ExitStatus(); w.Signaled() {
			r.Code, r.Signal = 128+int(w.Signal()), w.Signal()
		}
	}
	out, _ := os.ReadFile(p.stdout) // not there if piped
	errs, _ := os.ReadFile(p.stderr)
	r.Stdout, r.Stderr = string(out), string(errs)
	return r
}

// explain describes everything that runs below the test process, with kernel stacks.
func (p *Proc) explain() string {
	var b strings.Builder
	for _, pid := range descendants(os.Getpid()) {
		_, _ = fmt.Fprintln(&b, "   ", describe(pid))
		if stack, err := os.ReadFile(fmt.Sprintf("/proc/%d/stack", pid)); err == nil {
			_, _ = fmt.Fprintln(&b, "       ", strings.ReplaceAll(strings.TrimSpace(string(stack)), "\n", "\n        "))
		}
	}
	return b.String()
}

// stop ends a command that hangs: first so that a Go program prints its goroutines, then for good.
func (p *Proc) stop() {
	for _, s := range []unix.Signal{unix.SIGQUIT, unix.SIGKILL} {
		_ = p.cmd.Process.Signal(s)
		select {
		case <-p.exited:
			return
		case <-time.After(2 * time.Second):
		}
	}
	<-p.exited
}

// Do runs the command to its end.
func (c *Cmd) Do() Result {
	c.e.T.Helper()
	return c.Start().Wait()
}

// OK runs the command, which has to succeed, and returns what it wrote to standard output.
func (c *Cmd) OK() string {
	c.e.T.Helper()
	r := c.Do()
	if r.Code != 0 {
		c.e.T.Fatal(r)
	}
	return r.Stdout
}

// Fails runs the command, which has to leave with the given code, and returns standard error.
func (c *Cmd) Fails(code int) string {
	c.e.T.Helper()
	r := c.Do()
	if r.Code != code {
		c.e.T.Fatalf("want exit code %d: %s", code, r)
	}
	return r.Stderr
}

// Do runs the runtime to its end.
func (e *Env) Do(args ...string) Result { e.T.Helper(); return e.Runtime(args...).Do() }

// OK runs the runtime, which has to succeed, and returns what it wrote to standard output.
func (e *Env) OK(args ...string) string { e.T.Helper(); return e.Runtime(args...).OK() }

// Fails runs the runtime, which has to leave with the given code, and returns standard error.
func (e *Env) Fails(code int, args ...string) string {
	e.T.Helper()
	return e.Runtime(args...).Fails(code)
}

// Try is Do for use outside of the test's goroutine: it returns what would end the test.
func (c *Cmd) Try() (Result, error) {
	p, err := c.start()
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", c, err)
	}
	return p.wait()
}

// Begin is Start for use outside of the test's goroutine, with TryWait as its end.
func (c *Cmd) Begin() (*Proc, error) { return c.start() }

// TryWait is Wait for use outside of the test's goroutine.
func (p *Proc) TryWait() (Result, error) { return p.wait() }

// Kill sends a signal to the command's own process; one that has ended is no error.
func (p *Proc) Kill(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// A message of the text log, quoted where it holds a space.
var logMessage = regexp.MustCompile(`\bmsg=("(?:[^"\\]|\\.)*"|\S+)`)

// OneLine checks that an error is one clear line that says all of want, and returns its message.
func OneLine(t testing.TB, stderr string, want ...string) string {
	t.Helper()
	line := strings.TrimSuffix(stderr, "\n")
	// Other runtimes add warnings of their own; runack has one line and no more.
	if lines := strings.Split(line, "\n"); len(lines) != 1 && IsRunack() || line == "" {
		t.Errorf("want one line of error, got %q", stderr)
	}
	message := line
	if m := logMessage.FindAllStringSubmatch(line, -1); m != nil {
		message = m[len(m)-1][1]
		if plain, err := strconv.Unquote(message); err == nil {
			message = plain
		}
	}
	for _, w := range want {
		if !strings.Contains(message, w) {
			t.Errorf("the error %q does not say %q", message, w)
		}
	}
	return message
}
