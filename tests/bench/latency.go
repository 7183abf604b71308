package main

import (
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A Series are the times of one kind of call.
type Series struct {
	Profile string    `json:"profile"` // default, or seccomp: with Docker's profile
	Idle    bool      `json:"idle"`    // the host idled before each call
	Verb    string    `json:"verb"`
	Runtime string    `json:"runtime"`
	MS      []float64 `json:"ms"`
}

// verbs are what is measured, in the order of the tables. floor and empty are no verbs but stand beside
// run.
var verbs = []string{"run", "create", "start", "delete", "exec"}

const idleTime = 100 * time.Millisecond

// callsPerTurn is how often a runtime is called before the next one has its turn.
const callsPerTurn = 4

// latency measures every verb of every runtime.
func (b *bench) latency(o Options) error {
	for _, profile := range []string{"default", "seccomp"} {
		l, err := b.newLap(profile)
		if err != nil {
			return err
		}
		for range o.Rounds {
			for _, idle := range []bool{false, true} {
				l.idle = idle
				if err := l.turns(); err != nil {
					return err
				}
			}
		}
		l.finish()
	}
	return nil
}

// A lap is the measurement with one configuration.
type lap struct {
	b       *bench
	profile string
	bundle  string
	live    map[string]string // runtime: its container for exec
	idle    bool
}

func (b *bench) newLap(profile string) (*lap, error) {
	var edits []func(*specs.Spec)
	var serr error
	if profile == "seccomp" {
		edits = append(edits, func(s *specs.Spec) { serr = withDockerSeccomp(s) })
	}
	bundle, err := b.bundle(profile, []string{"/bin/true"}, edits...)
	if err != nil {
		return nil, err
	}
	sleeper, err := b.bundle(profile+"-live", []string{"/bin/sleep", "100000"}, edits...)
	if err != nil || serr != nil {
		return nil, errors.Join(err, serr)
	}
	l := &lap{b: b, profile: profile, bundle: bundle, live: map[string]string{}}
	for _, r := range b.view.Runtimes {
		l.live[r.Name] = b.id()
		if _, err := b.call(r, "run", "--detach", "--bundle", sleeper, l.live[r.Name]); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *lap) finish() {
	for _, r := range l.b.view.Runtimes {
		l.b.remove(r, l.live[r.Name])
	}
}

// turns gives every runtime, and the floor, a turn.
func (l *lap) turns() error {
	for _, r := range l.b.view.Runtimes {
		for range callsPerTurn {
			if err := l.turn(r); err != nil {
				return err
			}
		}
	}
	if l.profile != "default" {
		return nil
	}
	for range callsPerTurn {
		if err := l.measure("floor", "floor", func() (call, error) {
			return l.b.run("build/floor", filepath.Join(l.bundle, "rootfs"), "/bin/true")
		}); err != nil {
			return err
		}
		if err := l.measure("empty", "empty", func() (call, error) { return l.b.run("build/empty") }); err != nil {
			return err
		}
	}
	return nil
}

// turn measures every verb once.
func (l *lap) turn(r Runtime) error {
	return l.sequence(r, func(verb string, args ...string) error {
		return l.measure(r.Name, verb, func() (call, error) { return l.b.call(r, args...) })
	})
}

// sequence takes a container through every verb.
func (l *lap) sequence(r Runtime, act func(verb string, args ...string) error) error {
	id, pidFile := l.b.id(), filepath.Join(l.b.work, "pid")
	steps := []struct {
		verb string
		args []string
	}{
		{"run", []string{"run", "--bundle", l.bundle, id}},
		{"create", []string{"create", "--pid-file", pidFile, "--bundle", l.bundle, id}},
		{"start", []string{"start", id}},
		{"delete", []string{"delete", id}},
		{"exec", []string{"exec", l.live[r.Name], "/bin/true"}},
	}
	defer removePlaceholders(id)
	for _, s := range steps {
		if s.verb == "delete" {
			if err := awaitEnd(pidFile); err != nil {
				return err
			}
		}
		if err := act(s.verb, s.args...); err != nil {
			l.b.remove(r, id)
			return err
		}
	}
	return nil
}

func (l *lap) measure(runtime, verb string, f func() (call, error)) error {
	if l.idle {
		time.Sleep(idleTime)
	}
	c, err := f()
	if err != nil {
		return err
	}
	l.b.series(l.profile, l.idle, verb, runtime, float64(c.took)/float64(time.Millisecond))
	return nil
}

func (b *bench) series(profile string, idle bool, verb, runtime string, ms float64) {
	ms = float64(int(ms*1000)) / 1000
	for i := range b.view.Latency {
		s := &b.view.Latency[i]
		if s.Profile == profile && s.Idle == idle && s.Verb == verb && s.Runtime == runtime {
			s.MS = append(s.MS, ms)
			return
		}
	}
	b.view.Latency = append(b.view.Latency, Series{profile, idle, verb, runtime, []float64{ms}})
}

// quantile interpolates between the two nearest values; 0 where there are none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(at-float64(low))
}
