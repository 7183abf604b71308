package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// TestKillsAtRandomMoments: eight loops of create, start, exec, kill and delete, in which runtimes,
// stages and both die of SIGKILL at any moment. Whatever is there then, state, list, kill and delete
// cope with it.
func TestKillsAtRandomMoments(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("kills runack's stages by their names")
	length, loops := 8*time.Second, 8
	if harness.Soak() {
		length = 20 * time.Minute
	}
	b := e.Bundle(harness.Probe("wait"))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	end := time.Now().Add(length)
	var group sync.WaitGroup
	for loop := range loops {
		group.Go(func() {
			l := &killing{e: e, bundle: b.Dir, random: rand.New(rand.NewPCG(seed, uint64(loop)))} //nolint:gosec // logged
			for n := 0; time.Now().Before(end) && !t.Failed(); n++ {
				if err := l.life(e.ID(fmt.Sprintf("k%d-%d", loop, n))); err != nil {
					t.Errorf("loop %d, life %d: %v", loop, n, err)
				}
			}
		})
	}
	group.Wait()
}

type killing struct {
	e      *harness.Env
	bundle string
	random *rand.Rand
}

// life is one container's, up to the first command that was killed, and then what can be done about
// it.
func (l *killing) life(id string) error {
	fatal := l.random.IntN(5)
	for i, args := range [][]string{
		{"create", "-b", l.bundle, id}, {"start", id}, {"exec", id, "/bin/true"}, {"kill", id, "KILL"}, {"delete", "-f", id},
	} {
		if i == fatal {
			if err := l.kill(args); err != nil {
				return err
			}
			break
		}
		if r, err := l.e.Runtime(args...).Try(); err != nil || r.Code != 0 {
			return fmt.Errorf("%s, %w", r, err)
		}
	}
	return l.aftermath(id)
}

// kill runs a command and kills it, its stages, or both, after a random while.
func (l *killing) kill(args []string) error {
	p, err := l.e.Runtime(args...).Begin()
	if err != nil {
		return err
	}
	victim := l.random.IntN(3)
	<-time.After(time.Duration(l.random.Int64N(int64(30 * time.Millisecond)))) // any moment will do
	if victim != 0 {
		for _, pid := range stagesOf(p.Pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	if victim != 1 {
		if err := p.Kill(unix.SIGKILL); err != nil {
			return err
		}
	}
	r, err := p.TryWait()
	if err == nil && r.Code != 0 && r.Code != 1 && r.Code != 255 && r.Code != 128+int(unix.SIGKILL) {
		err = fmt.Errorf("%s", r)
	}
	return err
}

// stagesOf lists the children of a runtime that call themselves stages.
func stagesOf(runtime int) []int {
	var stages []int
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", runtime))
	for _, task := range tasks {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", runtime, task.Name()))
		for _, f := range strings.Fields(string(children)) {
			name, err := os.ReadFile("/proc/" + f + "/comm")
			if pid, perr := strconv.Atoi(f); err == nil && perr == nil && strings.HasPrefix(string(name), "runack:[") {
				stages = append(stages, pid)
			}
		}
	}
	return stages
}

// aftermath: every command answers, and delete --force removes what is left. Half of the time the
// container is frozen before.
func (l *killing) aftermath(id string) error {
	run := func(codes []int, args ...string) error {
		r, err := l.e.Runtime(args...).Try()
		if err == nil && !slices.Contains(codes, r.Code) {
			err = fmt.Errorf("%s", r)
		}
		return err
	}
	either := []int{0, 1}
	if l.random.IntN(2) == 0 {
		if err := run(either, "pause", id); err != nil {
			return err
		}
	}
	r, err := l.e.Runtime("state", id).Try()
	if err != nil {
		return err
	}
	if r.Code != 0 && !strings.Contains(r.Stderr, "container does not exist") ||
		r.Code == 0 && !slices.Contains([]string{"creating", "created", "running", "paused", "stopped"}, statusIn(r.Stdout)) {
		return fmt.Errorf("%s", r)
	}
	for _, c := range []struct {
		codes []int
		args  []string
	}{{[]int{0}, []string{"list"}}, {either, []string{"kill", id, "KILL"}}, {[]int{0}, []string{"delete", "-f", id}}} {
		if err := run(c.codes, c.args...); err != nil {
			return err
		}
	}
	return nil
}
