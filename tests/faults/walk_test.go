package faults

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runack/nsexec"
	"runack/tests/harness"
)

// The variables of a build with failpoints; see package act.
const (
	faultsVar = "RUNACK_FAILPOINTS"
	seenVar   = "RUNACK_FAILPOINTS_SEEN"
)

// lanes is how many faults are tried at the same time: most wait for deadlines.
const lanes = 8

// short is the deadline of a runtime whose stage is not going to answer. All other waits are to
// take far less, even with every lane busy.
const short = 700 * time.Millisecond

// A point is a place at which a fault can be, as the n-th pass of it within one container's life.
type point struct {
	name string // "stage-1: mount", "runtime: write frame plan"
	nth  int
}

func (p point) side() string { side, _, _ := strings.Cut(p.name, ": "); return side }
func (p point) step() string { _, step, _ := strings.Cut(p.name, ": "); return step }

// frame is the message of a point that is a frame's.
func (p point) frame() string {
	for _, s := range []string{"write frame ", "read frame "} {
		if m, ok := strings.CutPrefix(p.step(), s); ok {
			return m
		}
	}
	return ""
}

// A fault is what happens at a point.
type fault struct {
	point
	action string        // of package act's grammar
	limit  time.Duration // the runtime's deadline
}

func newFault(p point, action string) fault {
	f := fault{p, action, 20 * time.Second}
	if !f.ofRuntime() && (f.silent() || action == "close") {
		f.limit = short
	}
	return f
}

func (f fault) String() string { return fmt.Sprintf("%s#%d=%s", f.name, f.nth, f.action) }

func (f fault) ofRuntime() bool { return f.side() == "runtime" }

// silent: whoever is interrupted neither goes on nor ends.
func (f fault) silent() bool { return f.action == "hang" || f.action == "kill(SIGSTOP)" }

// actions are what can happen at a point.
func (p point) actions() []string {
	switch {
	case p.side() == "hook":
		// A hook without a timeout of its own may take as long as it likes.
		return []string{"fail(ENOSPC)", "kill(SIGKILL)", "exit"}
	case p.side() == "runtime" && p.frame() == "":
		return []string{"fail(ENOSPC)", "kill(SIGKILL)", "kill(SIGSEGV)", "kill(SIGSTOP)", "hang"}
	case p.side() == "runtime":
		return []string{"fail(ENOSPC)", "kill(SIGKILL)", "kill(SIGSEGV)", "kill(SIGSTOP)", "hang", "close", "garbage"}
	case p.step() == "execute" || p.frame() == "taken":
		// A closed socket, after executing, and no death: that is what execve looks like.
		return []string{"fail(ENOSPC)", "kill(SIGKILL)", "kill(SIGSEGV)", "kill(SIGSTOP)", "hang", "garbage", "exit"}
	}
	return []string{"fail(ENOSPC)", "kill(SIGKILL)", "kill(SIGSEGV)", "kill(SIGSTOP)", "hang", "close", "garbage", "exit"}
}

// A verb is one command of runack's that is interrupted.
type verb struct {
	name   string
	bundle *harness.Bundle
	// code is the exit code of a failure.
	code int
	// prepare makes what has to be there. Stages get their faults from it where they begin there.
	prepare func(w *walk, id string, vars []string) error
	args    func(w *walk, id string) []string
	// after checks what a failure, that the runtime lived to tell of, has left.
	after func(w *walk, id string) error

	shares  bool                            // runs in containers that are there
	keeper  bool                            // a process of the stage's stays as the program's parent
	brief   bool                            // other verbs have all faults of most points
	only    []string                        // the points that are tried, if not all
	env     []string                        // more variables
	through func(*harness.Cmd) *harness.Cmd // around the command
}

// A walk takes one verb through all its points.
type walk struct {
	*verb
	e       *harness.Env
	console *consoles
	shared  []string // containers to exec in, one a lane
	count   atomic.Int64
}

func (w *walk) command(vars []string, args ...string) *harness.Cmd {
	return w.e.Command(harness.FailpointsPath(), append([]string{"--root", w.e.Root}, args...)...).Env(vars...)
}

// verbOn is the verb itself, with the variables of a fault.
func (w *walk) verbOn(vars []string, id string) *harness.Cmd {
	c := w.command(slices.Concat(vars, w.env), w.args(w, id)...)
	if w.through != nil {
		c = w.through(c)
	}
	return c
}

// must runs a command that is not interrupted.
func (w *walk) must(vars []string, args ...string) error {
	r, err := w.command(vars, args...).Try()
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s", r)
	}
	return err
}

// discover runs the verb once and notes the points that it passes.
func (w *walk) discover() []point {
	t := w.e.T
	t.Helper()
	id, path := w.id(0), filepath.Join(w.e.Dir, "seen-"+w.name)
	vars := []string{seenVar + "=" + path}
	if w.prepare != nil {
		if err := w.prepare(w, id, vars); err != nil {
			t.Fatal(err)
		}
	}
	before := readLines(t, path)
	if r := w.verbOn(vars, id).Do(); r.Code != 0 {
		t.Fatal(r)
	}
	all := readLines(t, path)
	if w.shared == nil {
		if err := w.must(nil, "delete", "-f", id); err != nil {
			t.Fatal(err)
		}
	}
	return slices.DeleteFunc(pointsOf(before, all[len(before):]), func(p point) bool {
		return w.only != nil && !slices.Contains(w.only, p.name)
	})
}

func readLines(t testing.TB, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

// pointsOf gives the first pass of each point, and in the long form all of them. The runtime counts
// its passes by process, a stage counts those of its whole life.
func pointsOf(before, lines []string) []point {
	passed := map[string]int{}
	for _, l := range before {
		if !strings.HasPrefix(l, "runtime: ") && !strings.HasPrefix(l, "hook: ") {
			passed[l]++
		}
	}
	found := map[string]bool{}
	var points []point
	for _, l := range lines {
		passed[l]++
		if strings.HasPrefix(l, "hook: ") {
			passed[l] = 1 // a process of its own
		}
		if !found[l] || harness.Soak() && !strings.HasPrefix(l, "hook: ") {
			points = append(points, point{l, passed[l]})
		}
		found[l] = true
	}
	return points
}

// run tries all faults, some at a time, and looks for leftovers after each batch.
func (w *walk) run(t *testing.T, points []point) {
	var faults []fault
	for i, p := range points {
		actions := p.actions()
		if w.brief && !harness.Soak() {
			// Two of them at each point, others at the next.
			n := len(actions)
			actions = []string{actions[i%n], actions[(i+n/2)%n]}
		}
		for _, a := range actions {
			faults = append(faults, newFault(p, a))
		}
	}
	w.e.Rebase()
	// Those that wait for a deadline are spread over the batches.
	slices.SortStableFunc(faults, func(a, b fault) int { return strings.Compare(a.action, b.action) })
	began := time.Now()
	for batch := range slices.Chunk(stride(faults, 3*lanes), 3*lanes) {
		w.try(t, batch)
		if t.Failed() {
			return
		}
	}
	t.Logf("%s: %d points, %d faults, %v", w.name, len(points), len(faults), time.Since(began).Round(time.Millisecond))
}

// stride reorders so that every batch of n gets a share of everything.
func stride(faults []fault, n int) []fault {
	var out []fault
	batches := (len(faults) + n - 1) / n
	for i := range batches {
		for j := i; j < len(faults); j += batches {
			out = append(out, faults[j])
		}
	}
	return out
}

func (w *walk) try(t *testing.T, batch []fault) {
	t.Helper()
	work := make(chan fault)
	var mu sync.Mutex
	var tried []string // guarded by mu
	defer func() {
		if t.Failed() {
			t.Logf("the batch was:\n%s", strings.Join(tried, "\n"))
		}
	}()
	var group sync.WaitGroup
	for lane := range lanes {
		group.Go(func() {
			for f := range work {
				id := w.id(lane)
				err := w.one(f, id)
				if err != nil && f.limit == short {
					// A busy machine may have taken that long on the way there: once more, with time.
					f.limit *= 10
					id = w.id(lane)
					err = w.one(f, id)
				}
				if err != nil {
					t.Errorf("%s: %s: %s: %v", w.name, f, id, err)
				}
				mu.Lock()
				tried = append(tried, id+" "+f.String())
				mu.Unlock()
			}
		})
	}
	for _, f := range batch {
		work <- f
	}
	close(work)
	group.Wait()
	if !t.Failed() {
		w.console.drain(t)
		w.e.On(t).AssertClean()
	}
}

// id names the container of one fault; the containers that exec runs in are shared.
func (w *walk) id(lane int) string {
	if w.shared != nil {
		return w.shared[lane]
	}
	verb, _, _ := strings.Cut(w.name, " ")
	return w.e.ID(fmt.Sprintf("%s%d", verb, w.count.Add(1)))
}

func (f fault) vars() []string {
	return []string{faultsVar + "=" + f.String(), "RUNACK_TIMEOUT=" + harness.Deadline(f.limit).String()}
}

// one tries one fault.
func (w *walk) one(f fault, id string) error {
	if w.prepare != nil && w.shared == nil {
		vars := f.vars()
		if f.ofRuntime() || f.side() == "hook" {
			vars = nil // it is the verb's own
		}
		if err := w.prepare(w, id, vars); err != nil {
			return fmt.Errorf("before: %w", err)
		}
	}
	var err error
	switch {
	case f.ofRuntime() && f.silent():
		err = w.stuck(f, id)
	case f.ofRuntime() && strings.HasPrefix(f.action, "kill"):
		err = w.killed(f, id)
	default:
		err = w.fails(f, id)
	}
	if w.shared != nil {
		if serr := w.status(id, "running"); err == nil {
			err = serr
		}
		return err
	}
	if derr := w.must(nil, "delete", "-f", id); err == nil && derr != nil {
		err = fmt.Errorf("delete --force: %w", derr)
	}
	return err
}

// fails: the runtime lives and tells.
func (w *walk) fails(f fault, id string) error {
	var r harness.Result
	var err error
	// start is not the parent of the stage that it speaks to.
	harness.KeepingZombies(func() { r, err = w.verbOn(f.vars(), id).Try() })
	if err != nil {
		return err
	}
	if r.Code != w.code && w.harmless(f) {
		return nil
	}
	if r.Code != w.code {
		return fmt.Errorf("want exit code %d: %s", w.code, r)
	}
	if err := w.checkText(f, r.Stderr); err != nil {
		return err
	}
	if w.after != nil {
		return w.after(w, id)
	}
	return nil
}

func (w *walk) runs() bool { return strings.HasPrefix(w.name, "run") }

// harmless: what comes too late to be met, or is no reason to fail.
func (w *walk) harmless(f fault) bool {
	switch {
	case f.ofRuntime() && (f.action == "close" || f.action == "garbage"):
		// The stage reads nothing any more.
		return f.frame() == "created" || f.frame() == "executing" || f.frame() == "console"
	case f.name == "runtime: write record":
		return w.name == "start" && f.nth > 1 || w.runs() // that the program runs is known without it
	case f.side() == "hook":
		return w.name == "delete" || w.runs() // poststop: a warning
	case f.name == "runtime: run hooks":
		return w.name == "delete"
	}
	return false
}

// checkText holds the last line to side, step, and errno, signal or exit code.
func (w *walk) checkText(f fault, stderr string) error {
	line := strings.TrimSpace(stderr)
	if i := strings.LastIndexByte(line, '\n'); i >= 0 {
		if f.side() != "hook" { // of the failpoint in poststop's, a warning comes before
			return fmt.Errorf("more than one line: %q", line)
		}
		line = line[i+1:]
	}
	// The stage that is below the built-in init is another's child, who may have reaped it: then the step
	// of a death is lost with its name.
	reaped := strings.ReplaceAll(line, "stage-1: ", f.side()+": "+f.step()+": ")
	// Once its filter is loaded the stage does not change its name any more.
	line = strings.ReplaceAll(line, "stage-1: load seccomp filter: ", "stage-1: "+f.step()+": ")
	for _, word := range f.words() {
		if w.keeper && strings.Contains(line, "exit status "+fmt.Sprint(f.exitCode())) {
			continue // the built-in init passes a death by signal on
		}
		if !strings.Contains(line, word) && !(w.keeper && strings.Contains(reaped, word)) {
			return fmt.Errorf("%q does not say %q", line, word)
		}
	}
	return nil
}

// exitCode is 128 plus the signal that kills, else 0.
func (f fault) exitCode() int {
	_, what, _ := strings.Cut(strings.TrimSuffix(f.action, ")"), "(")
	if n := int(unix.SignalNum(what)); n > 0 {
		return 128 + n
	}
	return 0
}

func (f fault) words() []string {
	at := f.side() + ": " + f.step()
	if f.frame() != "" {
		at = f.side() + ": " // a death there is told with the step around the frame
	}
	name, what, _ := strings.Cut(strings.TrimSuffix(f.action, ")"), "(")
	switch {
	case f.side() == "hook":
		return []string{"hook"}
	case name == "fail" && f.side() == "stage-1" && (f.step() == "find program" || f.step() == "execute"):
		return []string{"failpoint", "no space left on device"} // the program's errors are runc's
	case name == "fail" && f.frame() != "":
		return []string{at, f.frame(), ": ENOSPC (28)"}
	case name == "fail":
		return []string{at + ": failpoint: ENOSPC (28)"}
	case f.ofRuntime(): // close, garbage: told by whoever meets it first
		return []string{"container "}
	case name == "kill" && what != "SIGSTOP":
		return []string{at, fmt.Sprintf(": killed by %s (%d) ", what, unix.SignalNum(what))}
	case f.silent(), f.action == "close" && f.side() == "stage-0" && f.frame() == "ready":
		// Of the two stages that hold the socket then only one closes it.
		return []string{at, ": no answer within "}
	case name == "close":
		return []string{at, ": closed its socket "}
	case name == "garbage":
		return []string{"runtime: read frame", "wrong magic"}
	}
	return []string{at, "exit status " + fmt.Sprint(codeOf(f.step()))}
}

// codeOf is the exit code of a step; a frame's is that of reading or writing one.
func codeOf(step string) int {
	for _, s := range nsexec.Steps() {
		if s.Step == step || strings.HasPrefix(step, s.Step+" ") && strings.HasSuffix(s.Step, " frame") {
			return s.Code
		}
	}
	return -1
}

// killed: the runtime dies, and whoever comes next finds what it left.
func (w *walk) killed(f fault, id string) error {
	r, err := w.verbOn(f.vars(), id).Try()
	if err != nil {
		return err
	}
	// Go turns a SIGSEGV that was sent into an exit of its own.
	if want := map[string]int{"kill(SIGKILL)": 128 + int(unix.SIGKILL), "kill(SIGSEGV)": 2}[f.action]; r.Code != want {
		return fmt.Errorf("exit code %d, want %d: %.300s", r.Code, want, r.Stderr)
	}
	if w.shared != nil {
		return nil
	}
	return w.status(id, "creating", "created", "running", "stopped", "")
}

// stuck: the runtime neither goes on nor ends. The container can be looked at and removed all the
// same, unless it is stuck with the lock.
func (w *walk) stuck(f fault, id string) error {
	fifo := filepath.Join(w.e.Dir, fmt.Sprintf("seen-%s-%d", w.name, w.count.Add(1)))
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		return err
	}
	// Open both ways, so that no end waits for the other.
	seen, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer seen.Close()
	done := make(chan error, 1)
	proc, err := w.verbOn(append(f.vars(), seenVar+"="+fifo), id).Begin()
	if err != nil {
		return err
	}
	go func() {
		_, err := proc.TryWait()
		done <- err
		_ = seen.SetReadDeadline(time.Now()) // nobody will write any more
	}()
	if err := awaitPass(seen, f.point); err != nil {
		_ = proc.Kill(unix.SIGKILL)
		<-done
		return err
	}
	err = w.besideStuck(f, id)
	if kerr := proc.Kill(unix.SIGKILL); err == nil {
		err = kerr
	}
	if werr := <-done; err == nil {
		err = werr
	}
	return err
}

// awaitPass reads the points that are passed until it is p's turn.
func awaitPass(seen *os.File, p point) error {
	if err := seen.SetReadDeadline(time.Now().Add(harness.Deadline(20 * time.Second))); err != nil {
		return err
	}
	n := 0
	for s := bufio.NewScanner(seen); s.Scan(); {
		if s.Text() == p.name {
			if n++; n == p.nth {
				return nil
			}
		}
	}
	return fmt.Errorf("never came to %s", p.name)
}

// withLock are the acts that are done under the container's lock.
var withLock = []string{"claim id", "save configuration", "write record", "kill init", "wait for init's death",
	"remove cgroup", "remove state directory"}

func (w *walk) besideStuck(f fault, id string) error {
	if w.shared != nil {
		return w.status(id, "running")
	}
	if err := w.status(id, "creating", "created", "running", "stopped", ""); err != nil {
		return err
	}
	if slices.Contains(withLock, f.step()) {
		return nil // removed once it is dead
	}
	if w.status(id, "creating") == nil {
		if err := w.refusals(id); err != nil {
			return err
		}
	}
	return w.must(nil, "delete", "-f", id)
}

// refusals: what cannot be done yet is refused, and changes nothing.
func (w *walk) refusals(id string) error {
	for _, c := range []struct {
		code int
		args []string
	}{{1, []string{"start", id}}, {255, []string{"exec", id, "/bin/true"}}, {1, []string{"pause", id}}, {1, []string{"delete", id}}} {
		r, err := w.command(nil, c.args...).Try()
		if err != nil {
			return err
		}
		if r.Code != c.code || strings.Count(r.Stderr, "\n") != 1 {
			return fmt.Errorf("of a container that is being created: %s", r)
		}
	}
	return w.status(id, "creating")
}

// status checks what state says: one of these, or "" for no such container.
func (w *walk) status(id string, want ...string) error {
	r, err := w.command(nil, "state", id).Within(20 * time.Second).Try() // waits for no lock
	if err != nil {
		return err
	}
	got := ""
	if r.Code == 0 {
		got = statusIn(r.Stdout)
	} else if !strings.Contains(r.Stderr, "container does not exist") {
		return fmt.Errorf("%s", r)
	}
	if !slices.Contains(want, got) {
		return fmt.Errorf("status %q, want one of %q", got, want)
	}
	return nil
}

func statusIn(state string) string {
	_, rest, _ := strings.Cut(state, `"status": "`)
	status, _, _ := strings.Cut(rest, `"`)
	return status
}
