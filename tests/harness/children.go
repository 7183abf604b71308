package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// children reaps what this process adopts as a subreaper, such as the init of a container whose
// `create` is gone, and leaves alone what os/exec started and waits for itself. A supervisor does
// the same; without it every stopped container would stay a zombie here.
var children = adopter{own: map[int]bool{}}

type adopter struct {
	mu     sync.Mutex // also held across fork, so that no child is met before it is known
	own    map[int]bool
	ended  map[int]syscall.WaitStatus // adopted and reaped, since the last reset
	slow   int                        // calls of KeepingZombies under way
	signal chan os.Signal
	wake   *sync.Cond
	done   chan struct{}
}

func (a *adopter) start() {
	a.wake = sync.NewCond(&a.mu)
	a.ended = map[int]syscall.WaitStatus{}
	a.signal = make(chan os.Signal, 1)
	a.done = make(chan struct{})
	signal.Notify(a.signal, syscall.SIGCHLD)
	go func() {
		defer close(a.done)
		for range a.signal {
			a.reap()
		}
	}()
}

func (a *adopter) stop() {
	signal.Stop(a.signal)
	close(a.signal)
	<-a.done
}

// fork starts a command as a child of our own.
func (a *adopter) fork(cmd *exec.Cmd) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	a.own[cmd.Process.Pid] = true
	return nil
}

// wait waits for a command that fork started.
func (a *adopter) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.own, cmd.Process.Pid)
	return err
}

// reap takes every adopted child that has ended. One signal may stand for many exits.
func (a *adopter) reap() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slow > 0 {
		return
	}
	for _, pid := range childrenOf(os.Getpid()) {
		if a.own[pid] {
			continue
		}
		var status syscall.WaitStatus
		if got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); err == nil && got == pid {
			a.ended[pid] = status
		}
	}
	a.wake.Broadcast()
}

// KeepingZombies runs f while nothing that was adopted is reaped, as a slow supervisor would have it:
// the runtime can see how a process ended that it is not the parent of.
func KeepingZombies(f func()) {
	children.mu.Lock()
	children.slow++
	children.mu.Unlock()
	defer func() {
		children.mu.Lock()
		children.slow--
		children.mu.Unlock()
		children.reapIfStarted()
	}()
	f()
}

func (a *adopter) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.ended)
}

// waitAdopted waits until the adopted process has been reaped here. A process that somebody else
// reaps never comes; the deadline then says so.
func (a *adopter) waitAdopted(pid int, limit time.Duration) (syscall.WaitStatus, error) {
	late := false
	timer := time.AfterFunc(limit, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		late = true
		a.wake.Broadcast()
	})
	defer timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		if status, ok := a.ended[pid]; ok {
			return status, nil
		}
		if late {
			return 0, fmt.Errorf("process %d has not ended within %v, or was not ours to reap: %s", pid, limit, describe(pid))
		}
		a.wake.Wait()
	}
}

// childrenOf lists the direct children of a process, zombies included. The file is per thread:
// whose thread forked or was given an orphan does not matter here.
func childrenOf(pid int) []int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var pids []int
	for _, l := range lists {
		text, err := os.ReadFile(l)
		if err != nil {
			continue // the thread is gone
		}
		for _, f := range strings.Fields(string(text)) {
			if p, err := strconv.Atoi(f); err == nil {
				pids = append(pids, p)
			}
		}
	}
	return pids
}

// descendants lists everything below a process.
func descendants(pid int) []int {
	var all []int
	for _, c := range childrenOf(pid) {
		all = append(all, c)
		all = append(all, descendants(c)...)
	}
	return all
}

// describe says what a process is, for people: pid, name, state, command line, where it sleeps.
func describe(pid int) string {
	dir := fmt.Sprintf("/proc/%d/", pid)
	read := func(name string) string {
		b, err := os.ReadFile(dir + name)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " "))
	}
	stat := read("stat")
	if stat == "" {
		return fmt.Sprintf("pid %d (gone)", pid)
	}
	comm, rest := stat, ""
	if i, j := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')'); i >= 0 && j > i {
		comm, rest = stat[i+1:j], stat[j+1:]
	}
	state := "?"
	if f := strings.Fields(rest); len(f) > 1 {
		state = f[0] + ", child of " + f[1]
	}
	text := fmt.Sprintf("pid %d %s (%s)", pid, comm, state)
	if c := read("cmdline"); c != "" {
		text += fmt.Sprintf(" `%s`", c)
	}
	if w := read("wchan"); w != "" && w != "0" {
		text += " in " + w
	}
	if c := read("syscall"); c != "" && c != "running" {
		text += ", system call " + strings.Fields(c)[0]
	}
	return text
}

// ended waits until a process, child or not, is dead; a zombie is.
func ended(pid int, limit time.Duration) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	return pollIn(fd, limit)
}

// pollIn waits until a descriptor is readable.
func pollIn(fd int, limit time.Duration) bool {
	end := time.Now().Add(limit)
	for {
		left := time.Until(end)
		if left < 0 {
			left = 0
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds()))
		if err == nil && n > 0 {
			return true
		}
		if (err == nil || err != unix.EINTR) && left <= 0 {
			return false
		}
	}
}

func (a *adopter) isOwn(pid int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.own[pid]
}

// reapIfStarted does nothing in the janitor, which reaps by itself.
func (a *adopter) reapIfStarted() {
	if a.wake != nil {
		a.reap()
	}
}
