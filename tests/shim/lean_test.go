package shim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// A footprint is what a shim takes, in KiB and in numbers.
type footprint struct {
	pss, anon, file int
	descriptors     int
	threads         int
}

func (f footprint) String() string {
	return fmt.Sprintf("PSS %d KiB (anonymous %d, files %d), %d descriptors, %d threads",
		f.pss, f.anon, f.file, f.descriptors, f.threads)
}

func (s *shim) footprint() footprint {
	s.T.Helper()
	dir := fmt.Sprintf("/proc/%d/", s.pid)
	field := func(text, name string) int {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, name+":"); ok {
				n, err := strconv.Atoi(strings.Fields(rest)[0])
				if err != nil {
					s.T.Fatal(err)
				}
				return n
			}
		}
		s.T.Fatalf("%s is missing", name)
		return 0
	}
	fds, err := os.ReadDir(dir + "fd")
	if err != nil {
		s.T.Fatal(err)
	}
	memory := s.text(dir + "smaps_rollup") // once: the figures belong together
	return footprint{
		pss: field(memory, "Pss"), anon: field(memory, "Pss_Anon"), file: field(memory, "Pss_File"),
		descriptors: len(fds), threads: field(s.text(dir+"status"), "Threads"),
	}
}

// idle waits until the shim has given back what it does not need.
func (s *shim) idle() footprint {
	s.T.Helper()
	const text = 4 << 10 // KiB: of some 9 MiB, of which an idle shim needs little
	var f footprint
	s.WaitFor("an idle shim", func() bool { f = s.footprint(); return f.file < text })
	return f
}

func TestAFurtherContainerCostsLittle(t *testing.T) {
	const further = 20
	group := func(name string) harness.Edit {
		return func(s *specs.Spec) {
			s.Annotations = map[string]string{"io.containerd.runc.v2.group": name}
		}
	}
	d := newDaemon(t)
	of := map[int]footprint{}
	for _, n := range []int{1, 1 + further} {
		var s *shim
		var ids []string
		for i := range n {
			id := d.ID(fmt.Sprintf("c%d-%d", n, i))
			b := d.Bundle(harness.Args("/bin/sleep", "100000"), group(fmt.Sprint("g", n)))
			s = d.start(b, id)
			c := d.fifos(id, false)
			defer c.in.Close()
			s.run(b, id, c.io)
			ids = append(ids, id)
		}
		of[n] = s.idle()
		t.Logf("%d containers: %v", n, of[n])
		for _, id := range ids[1:] {
			s.signal(id, "", 9)
			s.end(id, "")
			s.remove(id, "")
		}
		s.finish(ids[0])
	}
	each := (of[1+further].pss - of[1].pss) / further
	t.Logf("a further container costs %d KiB", each)
	if each >= 100 {
		t.Errorf("a further container costs %d KiB, want less than 100", each)
	}
}

// Many execs leave memory, descriptors and threads as they were.
func TestExecsLeaveNothingBehind(t *testing.T) {
	warm, execs := 100, 300
	if harness.Soak() {
		warm, execs = 1_000, 100_000
	}
	s, id := sleeper(t)
	run := func(from, n int) {
		for i := range n {
			exec := fmt.Sprint("e", from+i)
			s.add(id, exec, stdio{}, "/bin/true")
			s.begin(id, exec)
			if code := s.end(id, exec); code != 0 {
				t.Fatalf("%s ended with %d", exec, code)
			}
			s.remove(id, exec)
		}
		s.awaitTopic("/tasks/exit", from+n)
	}
	run(0, warm)
	before := s.footprint()
	run(warm, execs)
	after := s.footprint()
	t.Logf("before: %v; after %d execs: %v", before, execs, after)
	const room = 2 << 10 // KiB; the heap breathes
	const few = 4        // what is about to be closed or has only just been opened
	if after.anon > before.anon+room || after.descriptors > before.descriptors+few || after.threads > before.threads+few {
		t.Errorf("before: %v; after %d execs: %v", before, execs, after)
	}
	s.finish(id)
}
