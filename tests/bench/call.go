package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Runtime is one that is measured.
type Runtime struct {
	Name    string `json:"name"`
	Path    string `json:"-"` // means something on this host alone
	Version string `json:"version"`

	state string // its state directory
}

// A bench is what the parts share.
type bench struct {
	view View
	work string // bundles
	null *os.File
	ids  int
}

func newBench(view string) (*bench, error) {
	b := &bench{view: View{Name: view}}
	var err error
	if b.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if b.work, err = os.MkdirTemp("", "runack-bench"); err != nil {
		return nil, err
	}
	state := filepath.Join(b.work, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		return nil, err
	}
	// As /run is on a host. The mount namespace takes it along.
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "mode=700"); err != nil {
		return nil, err
	}
	for _, name := range []string{"runack", "runc", "crun"} {
		b.add(name, findRuntime(name))
	}
	for _, path := range strings.Fields(os.Getenv("OTHERS")) {
		b.add(filepath.Base(path), path)
	}
	if len(b.view.Runtimes) == 0 || b.view.Runtimes[0].Name != "runack" {
		return nil, errors.New("there is no bin/runack: run `make build` first")
	}
	return b, b.tryAll()
}

// tryAll leaves out the runtimes that cannot run a container in this view.
func (b *bench) tryAll() error {
	bundle, err := b.bundle("try", []string{"/bin/true"})
	if err != nil {
		return err
	}
	b.view.Runtimes = slices.DeleteFunc(b.view.Runtimes, func(r Runtime) bool {
		id := b.id()
		defer removePlaceholders(id)
		_, err := b.call(r, "run", "--bundle", bundle, id)
		if err != nil {
			b.remove(r, id)
			b.note("%s cannot run here and is left out: %v", r.Name, err)
		}
		return err != nil
	})
	return nil
}

// add takes a runtime in, if there is one at path.
func (b *bench) add(name, path string) {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		b.note("%s is not installed: left out", name)
		return
	}
	first, _, _ := strings.Cut(string(out), "\n")
	b.view.Runtimes = append(b.view.Runtimes, Runtime{name, path, first, filepath.Join(b.work, "state", name)})
}

func findRuntime(name string) string {
	if name == "runack" {
		path, err := filepath.Abs("bin/runack")
		if _, serr := os.Stat(path); err != nil || serr != nil {
			return ""
		}
		return path
	}
	if path := os.Getenv(strings.ToUpper(name)); path != "" {
		name = path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return ""
	}
	return path
}

func (b *bench) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(b.view.Notes, text) {
		b.view.Notes = append(b.view.Notes, text)
	}
}

func (b *bench) close() error {
	return errors.Join(unix.Unmount(filepath.Join(b.work, "state"), 0), os.RemoveAll(b.work), b.null.Close())
}

// id gives an ID that no container has had.
func (b *bench) id() string {
	b.ids++
	return fmt.Sprintf("bench-%d-%d", os.Getpid(), b.ids)
}

// A call is a process that ended: its time from fork to exit, and what it and its children used.
type call struct {
	took   time.Duration
	usage  unix.Rusage
	status unix.WaitStatus
}

// run runs a program without any output and waits for it. The program's own errors go into the error.
func (b *bench) run(path string, args ...string) (call, error) {
	var c call
	errFile, err := os.CreateTemp(b.work, "stderr")
	if err != nil {
		return c, err
	}
	defer errFile.Close()
	defer os.Remove(errFile.Name())
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{b.null.Fd(), b.null.Fd(), errFile.Fd()}}
	start := time.Now()
	pid, err := syscall.ForkExec(path, append([]string{path}, args...), attr)
	if err != nil {
		return c, err
	}
	for {
		if _, err = unix.Wait4(pid, &c.status, 0, &c.usage); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.took = time.Since(start)
	if err == nil && c.status != 0 {
		text, _ := os.ReadFile(errFile.Name())
		err = fmt.Errorf("%s %s: status %#x: %s", path, strings.Join(args, " "), c.status, strings.TrimSpace(string(text)))
	}
	return c, err
}

func (b *bench) call(r Runtime, args ...string) (call, error) {
	return b.run(r.Path, append([]string{"--root", r.state}, args...)...)
}

// remove deletes a container, whatever state it is in; one that is not there is no error.
func (b *bench) remove(r Runtime, id string) {
	_, _ = b.call(r, "delete", "--force", id)
	removePlaceholders(id)
}

// awaitEnd waits until the process has ended whose pid a pid file has.
func awaitEnd(pidFile string) error {
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return err
	}
	var pid int
	if _, err := fmt.Sscan(string(data), &pid); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
