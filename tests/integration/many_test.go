package integration

import (
	"fmt"
	"sync"
	"testing"

	"runack/tests/harness"
)

// 1,000 in `make soak`.
func TestManyRunsInARow(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/true"))
	for i := range amount(1000, 100) {
		e.OK("run", "-b", b.Dir, e.ID(fmt.Sprint(i)))
	}
}

// 200, 8 at a time, in `make soak`.
func TestManyRunsAtOnce(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/echo", "ran"))
	parallel(t, 8, amount(200, 48), func(i int) error {
		r, err := e.Runtime("run", "-b", b.Dir, e.ID(fmt.Sprint(i))).Try()
		if err == nil && (r.Code != 0 || r.Stdout != "ran\n") {
			err = fmt.Errorf("run %d: %s", i, r)
		}
		return err
	})
}

// The same through create, start, kill and delete.
func TestManyLifecyclesAtOnce(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("wait"))
	parallel(t, 8, amount(200, 24), func(i int) error {
		id := e.ID(fmt.Sprint(i))
		for _, args := range [][]string{{"create", "-b", b.Dir, id}, {"start", id}, {"exec", id, "true"}, {"delete", "-f", id}} {
			r, err := e.Runtime(args...).Try()
			if err == nil && r.Code != 0 {
				err = fmt.Errorf("%s", r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func TestManyExecsAtOnce(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	parallel(t, 8, amount(2000, 100), func(i int) error {
		code := i % 256
		r, err := e.Runtime("exec", id, "/bin/probe", "exit", fmt.Sprint(code)).Try()
		if err == nil && r.Code != code {
			err = fmt.Errorf("want exit code %d: %s", code, r)
		}
		return err
	})
	remove(e, id)
}

// However many ask for one id, one gets it.
func TestOneIDHasOneWinner(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("wait"))
	for round := range amount(20, 3) {
		id := e.ID(fmt.Sprint("c", round))
		var mu sync.Mutex
		won := 0
		parallel(t, 10, 10, func(int) error {
			r, err := e.Runtime("create", "-b", b.Dir, id).Try()
			mu.Lock()
			defer mu.Unlock()
			if err == nil && r.Code == 0 {
				won++
			} else if err == nil && r.Code != 1 {
				err = fmt.Errorf("%s", r)
			}
			return err
		})
		if won != 1 {
			t.Errorf("%d of 10 creates of one id succeeded", won)
		}
		wantStatus(e, id, "created")
		remove(e, id)
	}
}
