package faults

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// callers is how many processes want the same of the same container at once.
const callers = 50

// atOnce runs one command per caller at the same time.
func atOnce(e *harness.Env, args func(i int) []string) []harness.Result {
	e.T.Helper()
	results := make([]harness.Result, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			r, err := e.Runtime(args(i)...).Try()
			if err != nil {
				e.T.Error(err)
			}
			results[i] = r
		})
	}
	group.Wait()
	return results
}

// wantOneWinner: one succeeds, all others are refused in these words.
func wantOneWinner(t *testing.T, results []harness.Result, refusals ...string) {
	t.Helper()
	won := 0
	for _, r := range results {
		if r.Code == 0 {
			won++
			continue
		}
		refused := false
		for _, words := range refusals {
			refused = refused || strings.Contains(r.Stderr, words)
		}
		if r.Code != 1 || !refused {
			t.Errorf("%s", r)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d have won", won, len(results))
	}
}

func TestOfManyCallersOneWins(t *testing.T) {
	e := harness.New(t)
	b, id := e.Bundle(harness.Probe("wait")), e.ID("c")
	same := func(args ...string) func(int) []string { return func(int) []string { return args } }

	wantOneWinner(t, atOnce(e, same("create", "-b", b.Dir, id)), "container with given ID already exists")
	wantOneWinner(t, atOnce(e, same("start", id)), "cannot start an already running container")
	for _, r := range atOnce(e, same("exec", id, "/bin/true")) {
		if r.Code != 0 {
			t.Errorf("%s", r)
		}
	}
	for _, r := range atOnce(e, same("state", id)) {
		var state struct{ Status string }
		if err := json.Unmarshal([]byte(r.Stdout), &state); err != nil || state.Status != "running" {
			t.Errorf("%s: %v", r, err)
		}
	}
	for _, r := range atOnce(e, same("kill", id, "KILL")) {
		if r.Code != 0 && !strings.Contains(r.Stderr, "container not running") {
			t.Errorf("%s", r)
		}
	}
	awaitStopped(t, e, id)
	wantOneWinner(t, atOnce(e, same("delete", id)), "container does not exist")
}

// awaitStopped waits for the end of a killed init.
func awaitStopped(t *testing.T, e *harness.Env, id string) {
	t.Helper()
	r := e.Do("state", id)
	var state struct{ Pid int }
	if err := json.Unmarshal([]byte(r.Stdout), &state); err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	if state.Pid > 0 {
		e.WaitExit(state.Pid)
	}
}

// Everything at once, for the same ID: no deadlock, no torn state, and nothing is left in the end.
func TestManyCallersOfEverything(t *testing.T) {
	e := harness.New(t)
	b, id := e.Bundle(harness.Probe("wait")), e.ID("c")
	commands := [][]string{
		{"create", "-b", b.Dir, id}, {"create", "-b", b.Dir, id}, {"start", id}, {"start", id}, {"exec", id, "/bin/true"},
		{"state", id}, {"list"}, {"kill", id, "KILL"}, {"delete", id}, {"delete", "-f", id}, {"pause", id}, {"resume", id},
	}
	rounds := 3
	if harness.Soak() {
		rounds = 300
	}
	for round := range rounds {
		random := rand.New(rand.NewPCG(uint64(round), 1)) //nolint:gosec // the same in every run
		order := make([]int, callers)
		for i := range order {
			order[i] = random.IntN(len(commands))
		}
		for _, r := range atOnce(e, func(i int) []string { return commands[order[i]] }) {
			if r.Code != 0 && r.Code != 1 && r.Code != 255 && r.Code != 128+int(unix.SIGKILL) { // an exec may be killed
				t.Errorf("%s", r)
			}
			if r.Code == 0 && strings.Contains(r.Command, " state ") && !json.Valid([]byte(r.Stdout)) {
				t.Errorf("torn: %s", r)
			}
		}
		e.OK("delete", "-f", id)
		e.AssertClean()
		if t.Failed() {
			return
		}
	}
}
