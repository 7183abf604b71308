package cgroupjoin

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The start path with what `runc spec` writes: device rules, and no other limit. Numbers are in
// docs/cgroups.md.
func specResources() *specs.LinuxResources {
	return &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
}

func benchCgroup(b *testing.B) *Cgroup {
	b.Helper()
	c, err := New(Config{ID: name(), Resources: specResources()})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

func BenchmarkNew(b *testing.B) {
	needRoot(b)
	for b.Loop() {
		benchCgroup(b)
	}
}

func BenchmarkCreate(b *testing.B) {
	needRoot(b)
	for b.Loop() {
		b.StopTimer()
		c := benchCgroup(b)
		b.StartTimer()
		must(b, c.Create())
		b.StopTimer()
		must(b, c.Destroy())
		b.StartTimer()
	}
}

func BenchmarkSet(b *testing.B) {
	needRoot(b)
	for b.Loop() {
		b.StopTimer()
		c := benchCgroup(b)
		must(b, c.Create())
		b.StartTimer()
		must(b, c.Set(nil))
		b.StopTimer()
		must(b, c.Destroy())
		b.StartTimer()
	}
}

func BenchmarkJoinFDs(b *testing.B) {
	needRoot(b)
	c := benchCgroup(b)
	must(b, c.Create())
	for b.Loop() {
		files, err := c.JoinFDs()
		must(b, err)
		closeAll(files)
	}
	must(b, c.Destroy())
}

func BenchmarkDestroy(b *testing.B) {
	needRoot(b)
	for b.Loop() {
		b.StopTimer()
		c := benchCgroup(b)
		must(b, c.Create())
		b.StartTimer()
		must(b, c.Destroy())
	}
}

// pause lets the host come to rest between two measurements, which is when a lock that waits for an
// RCU grace period shows what it costs. Back to back it hides.
const pause = 30 * time.Millisecond

func twice(b *testing.B, measure func(b *testing.B, rest func())) {
	b.Run("busy", func(b *testing.B) { measure(b, func() {}) })
	b.Run("idle", func(b *testing.B) {
		measure(b, func() {
			b.StopTimer()
			time.Sleep(pause)
			b.StartTimer()
		})
	})
}

func benchPair(b *testing.B) [2]*Cgroup {
	b.Helper()
	needRoot(b)
	pair := [2]*Cgroup{benchCgroup(b), benchCgroup(b)}
	for _, c := range pair {
		must(b, c.Create())
	}
	return pair
}

// BenchmarkAttach: the library's way, a pid into cgroup.procs of every hierarchy.
func BenchmarkAttach(b *testing.B) {
	twice(b, func(b *testing.B, rest func()) {
		pair := benchPair(b)
		cmd := child(b)
		for i := 0; b.Loop(); i++ {
			rest()
			must(b, pair[i%2].Attach(cmd.Process.Pid))
		}
		must(b, errors.Join(pair[0].Destroy(), pair[1].Destroy()))
	})
}

// BenchmarkJoin: the stage's way, "0" into the tasks file of every v1 hierarchy, here by one thread of
// this process, which ends with its goroutine.
func BenchmarkJoin(b *testing.B) {
	host, err := Detect()
	must(b, err)
	if host.Layout == V2 {
		b.Skip("on v2 a child is born where it belongs")
	}
	twice(b, func(b *testing.B, rest func()) {
		pair := benchPair(b)
		var files [2][]*os.File
		for i, c := range pair {
			files[i], err = c.Target().joinFDs(true)
			must(b, err)
		}
		done := make(chan error)
		start := make(chan []*os.File)
		home := homeFiles(b)
		go func() {
			runtime.LockOSThread() // and never unlocked
			for fs := range start {
				done <- writeZero(fs)
			}
			// Back to where the process is, or Destroy would find the process itself inside.
			done <- writeZero(home)
		}()
		for i := 0; b.Loop(); i++ {
			rest()
			start <- files[i%2]
			must(b, <-done)
		}
		close(start)
		must(b, <-done)
		closeAll(slices.Concat(files[0], files[1], home))
		must(b, errors.Join(pair[0].Destroy(), pair[1].Destroy()))
	})
}

// homeFiles opens the tasks files of the process's own v1 cgroups.
func homeFiles(b *testing.B) []*os.File {
	b.Helper()
	var files []*os.File
	for controller, dir := range cgroupsOf(b, os.Getpid()) {
		if controller == "" {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, "tasks"), os.O_WRONLY, 0)
		must(b, err)
		files = append(files, f)
	}
	return files
}

func writeZero(files []*os.File) error {
	for _, f := range files {
		if _, err := f.WriteString("0"); err != nil {
			return err
		}
	}
	return nil
}
