package reaper

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	stressRounds = flag.Int("stress.rounds", 10000, "interleavings of TestStress")
	stressSeed   = flag.Uint64("stress.seed", 0, "seed of TestStress, 0 for a new one")
)

// TestStress runs random interleavings of exec start, failed start, exit, kill and the init's exit, many
// containers at a time on one Reaper, beside orphans and os/exec, and checks the whole stream
// against what was done: every process told once, with its own status, and every init last.
func TestStress(t *testing.T) {
	rounds, seed := *stressRounds, *stressSeed
	if testing.Short() {
		rounds = min(rounds, 500)
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d rounds, -stress.seed=%d", rounds, seed)
	r := newReaper(t, Options{Subreaper: true, TellOrphans: true})
	o := newOracle(r)
	slow := r.Subscribe() // reads nothing until all is over
	defer slow.Close()
	fast := r.Subscribe()
	defer fast.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var reading sync.WaitGroup
	reading.Go(func() { o.follow(ctx, fast) })

	var work sync.WaitGroup
	numbers := make(chan int)
	for range 8 {
		work.Go(func() {
			for n := range numbers {
				if err := round(r, o, n, rand.New(rand.NewPCG(seed, uint64(n)))); err != nil {
					t.Errorf("round %d: %v", n, err)
				}
			}
		})
	}
	for n := range rounds {
		numbers <- n
	}
	close(numbers)
	work.Wait()
	waitUntil(t, "everything was told", func() bool { return o.complete() || t.Failed() })
	waitUntil(t, "all is decided", func() bool { return r.Stats().Undecided == 0 })
	stop()
	reading.Wait()
	for _, problem := range o.verdict() {
		t.Error(problem)
	}
	o.compare(t, slow)
	if st := r.Stats(); st.Watched+st.Open+st.Held+st.Undecided != 0 || st.Trouble != nil {
		t.Errorf("left over: %+v", st)
	}
	noChildren(t)
}

// oracle knows what must be told of each container, and compares.
type oracle struct {
	r *Reaper

	mu      sync.Mutex
	want    map[*Group]map[string]int // name ("" is the init) to code; told ones are taken out
	told    map[*Group]bool           // inits
	orphans int                       // still to come
	last    uint64                    // Seq
	stream  []Exit
	wrong   []string
}

func newOracle(r *Reaper) *oracle {
	return &oracle{r: r, want: map[*Group]map[string]int{}, told: map[*Group]bool{}}
}

// expect is called before a process can possibly end.
func (o *oracle) expect(g *Group, name string, code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.want[g] == nil {
		o.want[g] = map[string]int{}
	}
	o.want[g][name] = code
}

func (o *oracle) expectOrphan() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.orphans++
}

func (o *oracle) follow(ctx context.Context, s *Subscription) {
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return
		}
		o.mu.Lock()
		o.stream = append(o.stream, e)
		if problem := o.check(e); problem != "" {
			o.wrong = append(o.wrong, e.String()+": "+problem)
		}
		o.mu.Unlock()
	}
}

func (o *oracle) check(e Exit) string {
	o.last++
	switch {
	case e.Seq != o.last:
		return fmt.Sprintf("number %d, want %d", e.Seq, o.last)
	case e.Err != nil, e.Late, e.Overtook != nil:
		return "lost, late or overtaking"
	case e.Kind == Orphan:
		o.orphans--
		return ""
	case o.told[e.Group]:
		return "after its init"
	}
	code, ok := o.want[e.Group][e.Name]
	delete(o.want[e.Group], e.Name)
	switch {
	case !ok:
		return "not expected, or told twice"
	case code != e.Code():
		return fmt.Sprintf("want code %d", code)
	case e.Kind == Init:
		o.told[e.Group] = true
		if left := len(o.want[e.Group]); left > 0 {
			return fmt.Sprintf("init told before %d execs", left)
		}
	}
	return ""
}

func (o *oracle) complete() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, names := range o.want {
		if len(names) > 0 {
			return false
		}
	}
	return o.orphans == 0
}

func (o *oracle) verdict() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := slices.Clone(o.wrong)
	if len(list) > 20 {
		list = append(list[:20], fmt.Sprintf("and %d more", len(o.wrong)-20))
	}
	return list
}

// compare: the slow subscriber sees the same stream, whole.
func (o *oracle) compare(t *testing.T, slow *Subscription) {
	for i, want := range o.stream {
		got, ok, err := slow.take()
		if !ok || err != nil || got.Seq != want.Seq || got.Pid != want.Pid || got.Kind != want.Kind {
			t.Fatalf("slow subscriber, exit %d: got %v (%v, %v), want %v", i+1, got, ok, err, want)
		}
	}
}

// round is the life of one container: an init and up to six execs, whose starts and ends come in any
// order, each from a goroutine of its own. The execs live in no PID namespace, so what the kernel would do is done here:
// all of them end, if late. The init's end falls anywhere between.
func round(r *Reaper, o *oracle, n int, rng *rand.Rand) error {
	g := r.Container(fmt.Sprintf("c%d", n), GroupOptions{})
	init, err := spawn(rng, func(code int) { o.expect(g, "", code) }, func() *Start { return g.StartingInit() })
	if err != nil {
		return err
	}
	acts := []func() error{init.end}
	for i := range rng.IntN(7) {
		name := fmt.Sprintf("e%d", i)
		acts = append(acts, execLife(g, o, name, rand.New(rand.NewPCG(rng.Uint64(), 0))))
	}
	if rng.IntN(4) == 0 {
		acts = append(acts, func() error { return stray(r, o) })
	}
	if rng.IntN(4) == 0 {
		acts = append(acts, func() error { return exec.Command(childPath, "r").Run() })
	}
	rng.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
	errs := make(chan error, len(acts))
	for _, act := range acts {
		if rng.IntN(3) == 0 {
			errs <- act()
			continue
		}
		go func() { errs <- act() }()
	}
	for range acts {
		err = errors.Join(err, <-errs)
	}
	return err
}

// child is a process of a round and the way it will end.
type child struct {
	p    proc
	code int // exit code, or 128+SIGKILL
}

// spawn starts one; expect is told its end before it can happen. nil without an error: refused.
func spawn(rng *rand.Rand, expect func(code int), begin func() *Start) (*child, error) {
	s := begin()
	if s == nil {
		return nil, nil
	}
	defer s.Failed()
	if rng.IntN(8) == 0 && s.kind == Exec {
		return nil, nil // the start fails
	}
	c := &child{code: rng.IntN(120)}
	script, piped := "r", true
	switch rng.IntN(4) {
	case 0:
		c.code = 128 + int(unix.SIGKILL)
	case 1: // ends by itself, perhaps before it is registered
		c.code++
		script, piped = "x"+string([]byte{byte(c.code)}), false
	}
	expect(c.code)
	var err error
	if c.p, err = tryFork(script, piped); err != nil {
		return nil, err
	}
	return c, s.Started(c.p.pidfd, c.p.pid)
}

// end makes the child end as foreseen.
func (c *child) end() error {
	defer c.p.close()
	switch {
	case c.code == 128+int(unix.SIGKILL):
		return c.p.kill(unix.SIGKILL)
	case c.p.stdin >= 0:
		return c.p.exitWith(byte(c.code))
	}
	return nil
}

func execLife(g *Group, o *oracle, name string, rng *rand.Rand) func() error {
	return func() error {
		c, err := spawn(rng, func(code int) { o.expect(g, name, code) }, func() *Start {
			s, err := g.Starting(name)
			if err != nil && !errors.Is(err, ErrInitExited) {
				panic(err)
			}
			return s
		})
		if c == nil || err != nil {
			return err
		}
		return c.end()
	}
}

// stray leaves an orphan.
func stray(r *Reaper, o *oracle) error {
	g := r.Container("stray", GroupOptions{})
	s, err := g.Starting("parent")
	if err != nil {
		return err
	}
	defer s.Failed()
	o.expect(g, "parent", 0)
	o.expectOrphan()
	p, err := tryFork("fr", false)
	if err != nil {
		return err
	}
	defer p.close()
	return s.Started(p.pidfd, p.pid)
}
