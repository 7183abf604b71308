package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// write makes results.json, and from it README.md and latency.svg.
func write(dir string, r Results) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"results.json": append(data, '\n'), "README.md": report(r), "latency.svg": plot(r),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type page struct{ bytes.Buffer }

func (p *page) line(f string, args ...any) { fmt.Fprintf(&p.Buffer, f+"\n", args...) }

// table writes a table whose first column is text and whose others are numbers.
func (p *page) table(head []string, rows [][]string) {
	p.line("\n| %s |", strings.Join(head, " | "))
	p.line("|---|%s", strings.Repeat("---:|", len(head)-1))
	for _, r := range rows {
		p.line("| %s |", strings.Join(r, " | "))
	}
}

func report(r Results) []byte {
	var p page
	p.line("# What calls cost\n\nWritten by `make bench` (tests/bench); the numbers behind it are in [results.json](results.json).\n" +
		"Where the time of a call goes: trace-VIEW-VERB.json, of a call that took as long as most, for a viewer of Chrome's trace event format.")
	p.line("How it is measured stands in [tests/bench/doc.go](../../tests/bench/doc.go).\n")
	h := r.Host
	p.line("Commit %s; Linux %s, %d CPUs, cgroup mounts %s; rcu_expedited %s, rcu_normal %s, favordynmods on %d of them.",
		h.Commit, h.Kernel, h.CPUs, h.CgroupMounts, h.RCUExpedited, h.RCUNormal, h.FavorDynMods)
	p.line("Load average before %s, after %s.\n", h.LoadBefore, h.LoadAfter)
	p.line("![25th percentiles of run, create, start, delete and exec](latency.svg)")
	for _, v := range r.Views {
		p.view(v)
	}
	return p.Bytes()
}

func (p *page) view(v View) {
	p.line("\n## cgroup %s\n", v.Name)
	for _, r := range v.Runtimes {
		p.line("- %s: %s", r.Name, r.Version)
	}
	for _, n := range v.Notes {
		p.line("- not measured: %s", n)
	}
	for _, profile := range []string{"default", "seccomp"} {
		for _, idle := range []bool{false, true} {
			p.latency(v, profile, idle)
		}
	}
	p.memory(v)
	p.cost(v)
	p.growth(v)
}

func times(v View, profile string, idle bool, verb, runtime string) []float64 {
	for _, s := range v.Latency {
		if s.Profile == profile && s.Idle == idle && s.Verb == verb && s.Runtime == runtime {
			return s.MS
		}
	}
	return nil
}

func (p *page) latency(v View, profile string, idle bool) {
	n := len(times(v, profile, idle, "run", "runack"))
	if n == 0 {
		return
	}
	title := map[string]string{"default": "The default configuration", "seccomp": "With Docker's default seccomp profile"}[profile]
	if idle {
		title += ", 100 ms of idle before each call"
	} else {
		title += ", back to back"
	}
	p.line("\n### %s\n\n25th percentile / median of %d calls, in ms. The ratios are of 25th percentiles: below 1, runack is quicker.", title, n)
	head := []string{""}
	for _, r := range v.Runtimes {
		head = append(head, r.Name)
		if r.Name != "runack" {
			head = append(head, "runack / "+r.Name)
		}
	}
	var rows [][]string
	for _, verb := range verbs {
		row := []string{verb}
		base := quantile(times(v, profile, idle, verb, "runack"), 0.25)
		for _, r := range v.Runtimes {
			t := times(v, profile, idle, verb, r.Name)
			row = append(row, fmt.Sprintf("%.2f / %.2f", quantile(t, 0.25), quantile(t, 0.5)))
			if r.Name != "runack" {
				row = append(row, fmt.Sprintf("%.2f", base/quantile(t, 0.25)))
			}
		}
		rows = append(rows, row)
	}
	p.table(head, rows)
	if f := times(v, profile, idle, "floor", "floor"); len(f) > 0 {
		e := times(v, profile, idle, "empty", "empty")
		p.line("\nThe floor for `run`, in C: %.2f / %.2f. An empty Go program: %.2f / %.2f.",
			quantile(f, 0.25), quantile(f, 0.5), quantile(e, 0.25), quantile(e, 0.5))
	}
}

func (p *page) memory(v View) {
	if len(v.Memory) == 0 {
		return
	}
	p.line("\n### Memory\n\nLargest resident set of the runtime's processes, and the smallest limit under which a static `true` starts, in KiB.")
	var rows [][]string
	for _, m := range v.Memory {
		row := []string{m.Runtime}
		for _, verb := range verbs[:4] {
			row = append(row, fmt.Sprint(m.Peak[verb]))
		}
		limit := "-"
		if m.Limit > 0 {
			limit = fmt.Sprint(m.Limit)
		}
		rows = append(rows, append(row, limit))
	}
	p.table([]string{"", "run", "create", "start", "delete", "smallest limit"}, rows)
}

func (p *page) cost(v View) {
	if len(v.Cost) == 0 {
		return
	}
	p.line("\n### What one `run` asks of the host")
	var rows [][]string
	for _, c := range v.Cost {
		row := []string{c.Runtime, fmt.Sprint(c.Syscalls), fmt.Sprint(c.Forks), fmt.Sprintf("%.0f", c.Switches),
			fmt.Sprintf("%.0f", c.Faults), fmt.Sprintf("%.1f", c.CPU), "-"}
		for _, t := range v.Throughput {
			if t.Runtime == c.Runtime {
				row[6] = fmt.Sprintf("%.0f", t.PerSecond)
			}
		}
		rows = append(rows, row)
	}
	p.table([]string{"", "system calls", "processes and threads", "context switches", "page faults", "CPU ms (p25)", "runs a second, 8 loops"}, rows)
}

func (p *page) growth(v View) {
	if len(v.Growth) == 0 {
		return
	}
	p.line("\n### Beside many containers\n\nMedians in ms, with that many created containers in the state directory and the cgroup tree.")
	var rows [][]string
	for _, g := range v.Growth {
		row := []string{g.Runtime, fmt.Sprint(g.Live)}
		for _, verb := range []string{"create", "start", "delete", "list"} {
			row = append(row, fmt.Sprintf("%.2f", g.MS[verb]))
		}
		rows = append(rows, row)
	}
	p.table([]string{"", "live", "create", "start", "delete", "list"}, rows)
}

// plot draws the 25th percentiles of each view with the default configuration as bars.
func plot(r Results) []byte {
	const width, rowHeight, left, scaleWidth = 760, 13, 120, 560
	colours := map[string]string{"runack": "#1b7f5c", "runc": "#b0b7c3", "crun": "#d98e33"}
	var p page
	y := 34
	most := 0.0
	for _, v := range r.Views {
		for _, s := range v.Latency {
			most = max(most, quantile(s.MS, 0.25))
		}
	}
	for _, v := range r.Views {
		for _, idle := range []bool{false, true} {
			y = plotGroup(&p, v, idle, y, colours, scaleWidth/max(most, 1), left, rowHeight)
		}
	}
	var out page
	out.line(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`, width, y)
	out.line(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	x := left
	for _, name := range []string{"runack", "crun", "runc"} {
		out.line(`<rect x="%d" y="10" width="10" height="10" fill="%s"/><text x="%d" y="19" fill="#222">%s</text>`, x, colours[name], x+14, name)
		x += 80
	}
	out.line(`<text x="%d" y="19" fill="#222">25th percentile, ms</text>`, x)
	out.Write(p.Bytes())
	out.line(`</svg>`)
	return out.Bytes()
}

// plotGroup draws one view at y and returns where the next begins.
func plotGroup(p *page, v View, idle bool, y int, colours map[string]string, scale float64, left, height int) int {
	title := "back to back"
	if idle {
		title = "100 ms idle before"
	}
	p.line(`<text x="8" y="%d" fill="#222" font-weight="bold">cgroup %s, %s</text>`, y+10, v.Name, title)
	y += 18
	for _, verb := range verbs {
		p.line(`<text x="%d" y="%d" fill="#222" text-anchor="end">%s</text>`, left-6, y+10, verb)
		for _, name := range []string{"runack", "crun", "runc"} {
			if !slices.ContainsFunc(v.Runtimes, func(r Runtime) bool { return r.Name == name }) {
				continue
			}
			ms := quantile(times(v, "default", idle, verb, name), 0.25)
			p.line(`<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d" fill="#222">%.1f</text>`,
				left, y, ms*scale, height-2, colours[name], float64(left)+ms*scale+4, y+height-3, ms)
			y += height
		}
		y += 5
	}
	return y + 8
}
