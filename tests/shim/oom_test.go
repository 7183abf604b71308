package shim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/containerd/containerd/api/events"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

func memoryLimit(bytes int64) harness.Edit {
	return func(s *specs.Spec) {
		if s.Linux.Resources == nil {
			s.Linux.Resources = &specs.LinuxResources{}
		}
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &bytes, Swap: &bytes}
	}
}

func needMemory(t *testing.T) {
	t.Helper()
	if !harness.HasController("memory") {
		t.Skip("this view of the host has no memory controller")
	}
}

// A TaskOOM comes before the exit that it explains: init's own, an exec's, and that of a child.
func TestOOMComesBeforeTheExit(t *testing.T) {
	needMemory(t)
	t.Run("init", func(t *testing.T) {
		d := newDaemon(t)
		b := d.Bundle(harness.Args("/bin/tail", "-c", "200000000", "/dev/zero"), memoryLimit(16<<20))
		id := d.ID("c")
		s := d.start(b, id)
		s.run(b, id, stdio{})
		if code := s.end(id, ""); code != 137 {
			t.Errorf("ended with %d", code)
		}
		s.remove(id, "")
		log := d.awaitTopic("/tasks/delete", 1)
		if got := fmt.Sprint(topics(log)); got != "[create start oom exit delete]" {
			t.Errorf("events %v", got)
		}
		s.quit()
	})
	t.Run("exec", func(t *testing.T) {
		s, id := sleeper(t, memoryLimit(16<<20))
		s.add(id, "e", stdio{}, "/bin/tail", "-c", "200000000", "/dev/zero")
		s.begin(id, "e")
		if code := s.end(id, "e"); code != 137 {
			t.Errorf("ended with %d", code)
		}
		log := s.awaitTopic("/tasks/exit", 1)
		if got := fmt.Sprint(topics(log)); got != "[create start exec-added exec-started oom exit]" {
			t.Errorf("events %v", got)
		}
		s.finish(id)
	})
	t.Run("child", func(t *testing.T) {
		s, id := sleeper(t, memoryLimit(16<<20))
		s.add(id, "e", stdio{}, "/bin/sh", "-c", "tail -c 200000000 /dev/zero; sleep 100000")
		s.begin(id, "e")
		// Nobody whom the shim waits for has ended.
		log := s.awaitTopic("/tasks/oom", 1)
		if n := count(log, "/tasks/exit"); n != 0 {
			t.Errorf("events %v", topics(log))
		}
		s.finish(id)
	})
}

// With memory.oom.group=1 an OOM kills everything that shares memory with a process in the cgroup.
// Nothing of the shim's does.
func TestOOMGroupLeavesTheShimAlive(t *testing.T) {
	needMemory(t)
	if harness.CgroupVersion() != "v2" {
		t.Skip("memory.oom.group is of cgroup v2")
	}
	execs := 20
	if harness.Soak() {
		execs = 1000
	}
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/sleep", "100000"), memoryLimit(16<<20), func(s *specs.Spec) {
		s.Linux.Resources.Unified = map[string]string{"memory.oom.group": "1"}
	})
	id := d.ID("c")
	s := d.start(b, id)
	for n := range execs {
		// Init goes with the first OOM, so there is a container for each.
		s.run(b, id, stdio{})
		s.add(id, "e", stdio{}, "/bin/tail", "-c", "200000000", "/dev/zero")
		s.begin(id, "e")
		if code := s.end(id, "e"); code != 137 {
			t.Fatalf("exec %d ended with %d", n, code)
		}
		s.end(id, "")
		s.remove(id, "")
	}
	log := d.awaitTopic("/tasks/delete", execs)
	for i, e := range log {
		exit, ok := e.event.(*events.TaskExit)
		if ok && exit.ID == "e" && !slices.Contains(topics(log[max(0, i-3):i]), "oom") {
			t.Errorf("no TaskOOM before the exit at %d: %v", i, topics(log[max(0, i-5):i+1]))
		}
	}
	s.quit()
}
