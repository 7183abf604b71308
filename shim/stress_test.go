package shim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stressRounds is how many containers live and die. Each has its own interleaving of exec, kill,
// end of init and delete. `make soak` runs them all, `make test` a tenth.
func stressRounds() int {
	if os.Getenv("RUNACK_SOAK") == "1" {
		return 10_000
	}
	return 1_000
}

// Many containers at once, each under calls from several sides; the oracle watches the stream, whose
// receiver fails now and then.
func TestRandomInterleavings(t *testing.T) {
	engine := newPlain(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	o := newOracle()
	flaky := rand.New(rand.NewPCG(seed, 1))
	o.refuse = func() error {
		if flaky.IntN(50) == 0 {
			return unix.ECONNREFUSED
		}
		return nil
	}
	s, err := newService("stress", newPublisher("stress", o.send), engine)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	before := runtime.NumGoroutine()
	rounds := stressRounds()
	next := make(chan int)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			dir := filepath.Join(t.TempDir(), fmt.Sprint(w))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Error(err)
			}
			for n := range next {
				r := &round{s: s, o: o, dir: dir, id: fmt.Sprint("c", n), rnd: rand.New(rand.NewPCG(seed, uint64(n)+2))}
				if err := r.run(); err != nil {
					t.Errorf("round %d: %v", n, err)
				}
			}
		})
	}
	for n := 0; n < rounds && !t.Failed(); n++ {
		next <- n
	}
	close(next)
	workers.Wait()
	if !s.idle() {
		t.Error("tasks are left")
	}
	// What has been told may have a goroutine or two that are about to end.
	for late := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(late) {
			t.Errorf("%d goroutines before, %d after", before, runtime.NumGoroutine())
			break
		}
	}
	if st := s.reaper.Stats(); st.Watched+st.Open+st.Held > 0 {
		t.Errorf("the reaper still has %+v", st)
	}
}

// A round is one container's life.
type round struct {
	s   *Service
	o   *oracle
	dir string
	id  string
	rnd *rand.Rand

	started bool
	execs   []*roundExec
}

type roundExec struct {
	id      string
	spec    string
	kill    bool
	started bool
	status  uint32
}

// dither lets others run for a while.
func dither(rnd *rand.Rand) {
	for range rnd.IntN(40) {
		runtime.Gosched()
	}
}

func (r *round) run() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opts := Options{NoPivotRoot: r.rnd.IntN(3) == 0, NoNewKeyring: r.rnd.IntN(3) == 0, SystemdCgroup: r.rnd.IntN(50) == 0}
	req := &createRequest{state: containerState{ID: r.id, Bundle: r.dir}, opts: opts}
	_, err := r.s.create(ctx, req, streams{})
	if opts.SystemdCgroup {
		if err == nil {
			return errors.New("a create that cannot succeed did")
		}
		return nil
	}
	if err != nil {
		return err
	}
	var calls sync.WaitGroup
	for n := range r.rnd.IntN(5) {
		x := &roundExec{id: fmt.Sprint("e", n), spec: []string{execShort, execLong, execShort, execLong, execBad}[r.rnd.IntN(5)], kill: r.rnd.IntN(2) == 0}
		r.execs = append(r.execs, x)
		rnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 0))
		calls.Go(func() { r.exec(ctx, x, rnd) })
	}
	startRnd, killRnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 0)), rand.New(rand.NewPCG(r.rnd.Uint64(), 0))
	if r.rnd.IntN(5) > 0 {
		calls.Go(func() {
			dither(startRnd)
			_, err := r.s.startInit(ctx, r.id)
			r.started = err == nil
		})
	}
	calls.Go(func() {
		dither(killRnd)
		_ = r.s.kill(r.id, "", unix.SIGKILL, killRnd.IntN(2) == 0) // may be over already
	})
	exit, err := r.s.wait(ctx, r.id, "")
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	deleteRnd := rand.New(rand.NewPCG(r.rnd.Uint64(), 0))
	if deleteRnd.IntN(2) == 0 {
		calls.Wait()
	}
	if err := r.remove(ctx); err != nil {
		return err
	}
	calls.Wait()
	return r.check(exit)
}

// remove deletes the container; where a call is under way the first attempt may be refused.
func (r *round) remove(ctx context.Context) error {
	_, _, err := r.s.remove(ctx, r.id, "")
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// exec adds, starts, and perhaps kills and deletes an exec.
func (r *round) exec(ctx context.Context, x *roundExec, rnd *rand.Rand) {
	dither(rnd)
	if r.s.addExec(r.id, x.id, []byte(x.spec), streams{}) != nil {
		return // init has ended
	}
	dither(rnd)
	if x.kill {
		go func() { _ = r.s.kill(r.id, x.id, unix.SIGKILL, false) }() // before, while or after it starts
	}
	if _, err := r.s.startExec(ctx, r.id, x.id); err != nil {
		return
	}
	x.started = true
	dither(rnd)
	if x.kill {
		_ = r.s.kill(r.id, x.id, unix.SIGKILL, false)
	} else if x.spec == execLong {
		return // init's end takes it along
	}
	exit, err := r.s.wait(ctx, r.id, x.id)
	if err != nil {
		return // the container is gone
	}
	x.status = exit.status
	_, _, _ = r.s.remove(ctx, r.id, x.id)
}

// check compares what calls have answered with what was told.
func (r *round) check(exit exitInfo) error {
	h, err := r.o.await(r.id)
	if err != nil {
		return err
	}
	if h.status != exit.status {
		return fmt.Errorf("wait said %d, the event %d", exit.status, h.status)
	}
	if h.started != r.started {
		return fmt.Errorf("start succeeded: %v, told: %v", r.started, h.started)
	}
	for _, x := range r.execs {
		told := h.execs[x.id]
		switch {
		case x.started && (told == nil || !told.started || !told.exited):
			return fmt.Errorf("exec %s (%s) started and was not told to its end: %v", x.id, x.spec, h.seen)
		case !x.started && told != nil && told.started:
			return fmt.Errorf("exec %s (%s) did not start and was told: %v", x.id, x.spec, h.seen)
		case x.status != 0 && x.status != told.status:
			return fmt.Errorf("exec %s: wait said %d, the event %d", x.id, x.status, told.status)
		}
	}
	return nil
}
