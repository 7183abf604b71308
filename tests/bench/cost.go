package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// A Cost is what one `run` asks of the host.
type Cost struct {
	Runtime  string         `json:"runtime"`
	Syscalls int            `json:"syscalls"`
	Forks    int            `json:"forks"` // processes and threads
	Switches float64        `json:"context_switches"`
	CPU      float64        `json:"cpu_ms"` // user and system
	Faults   float64        `json:"page_faults"`
	By       map[string]int `json:"by_syscall"`
}

// cost counts system calls with strace, and takes the rest from the kernel's own account of the process
// and of what it waited for.
func (b *bench) cost(Options) error {
	bundle, err := b.bundle("cost", []string{"/bin/true"})
	if err != nil {
		return err
	}
	for _, r := range b.view.Runtimes {
		c := Cost{Runtime: r.Name}
		if err := b.account(r, bundle, &c); err != nil {
			return err
		}
		if _, err := exec.LookPath("strace"); err != nil {
			b.note("strace is not installed: system calls are not counted")
		} else if err := b.countSyscalls(r, bundle, &c); err != nil {
			return err
		}
		b.view.Cost = append(b.view.Cost, c)
	}
	return nil
}

func (b *bench) account(r Runtime, bundle string, c *Cost) error {
	const runs = 20
	var switches, faults int64
	var cpu []float64
	for range runs {
		id := b.id()
		call, err := b.call(r, "run", "--bundle", bundle, id)
		if err != nil {
			return err
		}
		removePlaceholders(id)
		u := &call.usage
		switches += u.Nvcsw + u.Nivcsw
		faults += u.Minflt
		cpu = append(cpu, float64(u.Utime.Nano()+u.Stime.Nano())/1e6)
	}
	c.Switches, c.Faults, c.CPU = float64(switches)/runs, float64(faults)/runs, quantile(cpu, 0.25)
	return nil
}

func (b *bench) countSyscalls(r Runtime, bundle string, c *Cost) error {
	out, id := filepath.Join(b.work, "strace"), b.id()
	defer removePlaceholders(id)
	args := []string{"-f", "-c", "-o", out, r.Path, "--root", r.state, "run", "--bundle", bundle, id}
	if err := exec.Command("strace", args...).Run(); err != nil {
		return err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	c.By = map[string]int{}
	for line := range strings.Lines(string(text)) {
		// % time, seconds, usecs/call, calls, errors (where there are any), syscall
		f := strings.Fields(line)
		if len(f) < 5 || f[len(f)-1] == "total" {
			continue
		}
		n, err := strconv.Atoi(f[3])
		if err != nil {
			continue // the head, or a rule
		}
		name := f[len(f)-1]
		c.By[name] = n
		c.Syscalls += n
		switch name {
		case "clone", "clone3", "fork", "vfork":
			c.Forks += n
		}
	}
	return nil
}
