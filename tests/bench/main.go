package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options are what the command line says.
type Options struct {
	Out    string
	Parts  []string
	Rounds int
	Live   []int
}

// The parts of a run, in their order: that of measures in runView.
var parts = []string{"latency", "memory", "cost", "throughput", "growth", "trace"}

// Results are everything, as written to results.json.
type Results struct {
	Host  Host   `json:"host"`
	Views []View `json:"views"`
}

// A View is what was measured in one view of the host's cgroups.
type View struct {
	Name       string       `json:"name"` // v1 or v2
	Runtimes   []Runtime    `json:"runtimes"`
	Latency    []Series     `json:"latency,omitempty"`
	Memory     []Memory     `json:"memory,omitempty"`
	Cost       []Cost       `json:"cost,omitempty"`
	Throughput []Throughput `json:"throughput,omitempty"`
	Growth     []Growth     `json:"growth,omitempty"`
	Notes      []string     `json:"notes,omitempty"` // what was not measured, and why
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (Options, error) {
	var o Options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.Out, "out", "docs/bench", "write results.json, README.md and latency.svg to this directory")
	part := f.String("part", strings.Join(parts, ","), "measure these `PARTS` alone; the others keep what results.json has")
	f.IntVar(&o.Rounds, "rounds", 10, "turns that each runtime gets")
	live := f.String("live", "10,1000", "numbers of live containers for the part growth")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.Parts = strings.Split(*part, ",")
	for _, p := range o.Parts {
		if !slices.Contains(parts, p) {
			return o, fmt.Errorf("no part %q: %s", p, strings.Join(parts, ", "))
		}
	}
	for _, n := range strings.Split(*live, ",") {
		count, err := strconv.Atoi(n)
		if err != nil {
			return o, fmt.Errorf("-live: %w", err)
		}
		o.Live = append(o.Live, count)
	}
	return o, nil
}

// run measures each view in a process of its own, which has a mount namespace of its own.
func run(o Options) error {
	if view := os.Getenv(viewVariable); view != "" {
		return runView(view, o)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	r := Results{Host: describeHost()}
	old := readResults(o.Out)
	for _, name := range views() {
		v, err := inView(name)
		if err != nil {
			return fmt.Errorf("view %s: %w", name, err)
		}
		r.Views = append(r.Views, merge(v, old, o.Parts))
	}
	r.Host.LoadAfter = load()
	return write(o.Out, r)
}

// inView calls this program again, in a mount namespace that the child changes.
func inView(name string) (View, error) {
	var v View
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), viewVariable+"="+name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.Output()
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(out, &v)
}

// runView measures, and writes a View to standard output.
func runView(name string, o Options) (err error) {
	if err := enter(name); err != nil {
		return err
	}
	b, err := newBench(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	measures := []func(*bench, Options) error{
		(*bench).latency, (*bench).memory, (*bench).cost, (*bench).throughput, (*bench).growth, (*bench).trace,
	}
	for i, part := range parts {
		if !slices.Contains(o.Parts, part) {
			continue
		}
		start := time.Now()
		if err := measures[i](b, o); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		fmt.Fprintf(os.Stderr, "bench: view %s: %s in %.0f s\n", name, part, time.Since(start).Seconds())
	}
	return json.NewEncoder(os.Stdout).Encode(b.view)
}

func readResults(dir string) Results {
	var r Results
	data, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err == nil {
		_ = json.Unmarshal(data, &r) // what cannot be read is measured anew
	}
	return r
}

// merge keeps from an earlier run what this one has not measured.
func merge(v View, old Results, measured []string) View {
	i := slices.IndexFunc(old.Views, func(o View) bool { return o.Name == v.Name })
	if i < 0 {
		return v
	}
	o := old.Views[i]
	for _, part := range parts {
		if slices.Contains(measured, part) {
			continue
		}
		switch part {
		case "latency":
			v.Latency = o.Latency
		case "memory":
			v.Memory = o.Memory
		case "cost":
			v.Cost = o.Cost
		case "throughput":
			v.Throughput = o.Throughput
		case "growth":
			v.Growth = o.Growth
		}
	}
	return v
}
