package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A trace is a file in Chrome's trace event format, as --trace writes it.
type trace struct {
	Unit   string       `json:"displayTimeUnit"`
	Events []traceEvent `json:"traceEvents"`
}

type traceEvent struct {
	Phase    string         `json:"ph"`
	Pid      int            `json:"pid"`
	Tid      int            `json:"tid"`
	Name     string         `json:"name"`
	Start    float64        `json:"ts"` // microseconds
	Duration float64        `json:"dur,omitempty"`
	Args     map[string]any `json:"args,omitempty"`
}

func (t *trace) end() float64 {
	end := 0.0
	for _, e := range t.Events {
		end = max(end, e.Start+e.Duration)
	}
	return end
}

// tracesEach is of how many calls the middle one is kept.
const tracesEach = 21

// trace keeps, for each verb of runack's, the trace of a call that took as long as most:
// trace-VIEW-VERB.json beside the results. A trace viewer shows where its time went.
func (b *bench) trace(o Options) error {
	l, err := b.newLap("default")
	if err != nil {
		return err
	}
	defer l.finish()
	traces := map[string][]trace{}
	for range tracesEach {
		if err := l.traced(b.view.Runtimes[0], traces); err != nil {
			return err
		}
	}
	for verb, all := range traces {
		slices.SortFunc(all, func(x, y trace) int { return cmp.Compare(x.end(), y.end()) })
		data, err := json.Marshal(withoutHost(all[len(all)/2]))
		if err != nil {
			return err
		}
		// A line for each event.
		text := strings.ReplaceAll(string(data), `{"ph"`, "\n"+`{"ph"`) + "\n"
		name := fmt.Sprintf("trace-%s-%s.json", b.view.Name, verb)
		if err := os.WriteFile(filepath.Join(o.Out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// traced calls every verb once.
func (l *lap) traced(r Runtime, traces map[string][]trace) error {
	file := filepath.Join(l.b.work, "trace.json")
	return l.sequence(r, func(verb string, args ...string) error {
		if _, err := l.b.call(r, append([]string{"--trace", file}, args...)...); err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var t trace
		if err := json.Unmarshal(data, &t); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		traces[verb] = append(traces[verb], t)
		return os.Remove(file)
	})
}

// withoutHost takes out the names that are the host's: its cgroups, and where the bundle lay.
func withoutHost(t trace) trace {
	for i, e := range t.Events {
		if object, ok := e.Args["object"].(string); ok && strings.HasPrefix(object, "/sys/fs/cgroup") {
			delete(t.Events[i].Args, "object")
		}
		if e.Name == "process_name" {
			words := strings.Fields(fmt.Sprint(e.Args["name"]))
			t.Events[i].Args["name"] = strings.Join(words[:min(2, len(words))], " ")
		}
	}
	return t
}
