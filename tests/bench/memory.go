package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Memory is what one runtime needs, in KiB.
type Memory struct {
	Runtime string           `json:"runtime"`
	Peak    map[string]int64 `json:"peak_kib"` // by verb: the largest process, of the runtime and what it waited for
	Limit   int64            `json:"smallest_limit_kib,omitempty"`
}

// memory measures peaks, and the smallest memory limit under which a static `true` starts.
func (b *bench) memory(Options) error {
	bundle, err := b.bundle("memory", []string{"/bin/true"})
	if err != nil {
		return err
	}
	for _, r := range b.view.Runtimes {
		m := Memory{Runtime: r.Name, Peak: map[string]int64{}}
		for range 5 {
			if err := b.peaks(r, bundle, m.Peak); err != nil {
				return err
			}
		}
		if m.Limit, err = b.smallestLimit(r); err != nil {
			return err
		}
		b.view.Memory = append(b.view.Memory, m)
	}
	return nil
}

func (b *bench) peaks(r Runtime, bundle string, peak map[string]int64) error {
	id, pidFile := b.id(), filepath.Join(b.work, "pid")
	defer b.remove(r, id)
	for _, s := range []struct {
		verb string
		args []string
	}{
		{"run", []string{"run", "--bundle", bundle, id}},
		{"create", []string{"create", "--pid-file", pidFile, "--bundle", bundle, id}},
		{"start", []string{"start", id}},
		{"delete", []string{"delete", id}},
	} {
		if s.verb == "delete" {
			if err := awaitEnd(pidFile); err != nil {
				return err
			}
		}
		cmd := exec.Command("build/peak", slices.Concat([]string{r.Path, "--root", r.state}, s.args)...)
		cmd.Stdin, cmd.Stderr = b.null, b.null
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s %s: %w", r.Name, s.verb, err)
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		if err != nil {
			return err
		}
		peak[s.verb] = max(peak[s.verb], kib)
	}
	return nil
}

// smallestLimit bisects down to 64 KiB. A limit is good if three runs in a row succeed.
func (b *bench) smallestLimit(r Runtime) (int64, error) {
	if !hasMemoryController(b.view.Name) {
		b.note("this view has no memory controller: no smallest limit")
		return 0, nil
	}
	const step = 64
	low, high := int64(0), int64(65536/step) // fails, succeeds
	for high-low > 1 {
		middle := (low + high) / 2
		bundle, err := b.bundle("limit", []string{"/bin/true"}, withMemoryLimit(middle*step*1024))
		if err != nil {
			return 0, err
		}
		if b.runsThrice(r, bundle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high * step, nil
}

func (b *bench) runsThrice(r Runtime, bundle string) bool {
	for range 3 {
		id := b.id()
		if _, err := b.call(r, "run", "--bundle", bundle, id); err != nil {
			b.remove(r, id)
			return false
		}
		removePlaceholders(id)
	}
	return true
}

func hasMemoryController(view string) bool {
	if view == "v2" {
		return strings.Contains(setting(cgroupRoot+"/cgroup.controllers"), "memory")
	}
	for _, m := range cgroupMounts() {
		if strings.HasSuffix(m.place, "/memory") {
			return true
		}
	}
	return false
}
