package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"runack/tests/harness"
)

func TestRunStartsTheProgramWaitsAndDeletes(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "output", run(e, harness.Shell("echo out; echo err >&2")), "out\n")
	e.Fails(1, "state", e.ID("c"))
}

func TestRunHandsStandardInputOver(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/cat"))
	wantEqual(t, "output", e.Runtime("run", "-b", b.Dir, e.ID("c")).Stdin(strings.NewReader("a\nb")).OK(), "a\nb")
}

func TestTheBundleIsTheWorkingDirectoryByDefault(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/true"))
	e.Runtime("run", e.ID("c")).In(b.Dir).OK()
}

func TestADetachedContainerGoesThroughItsStates(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("wait"), harness.Edit(annotate("a", "b")))
	id, pidFile := e.ID("c"), filepath.Join(e.Dir, "pid")

	e.OK("create", "-b", b.Dir, "--pid-file", pidFile, id)
	pid := e.ReadPid(pidFile)
	s := stateOf(e, id)
	wantEqual(t, "status", s.Status, "created")
	wantEqual(t, "id", s.ID, id)
	wantEqual(t, "bundle", s.Bundle, b.Dir)
	wantEqual(t, "rootfs", s.Rootfs, b.Rootfs)
	wantEqual(t, "annotation", s.Annotations["a"], "b")
	if s.Pid != pid {
		t.Errorf("state says pid %d, the pid file %d", s.Pid, pid)
	}
	if _, err := time.Parse(time.RFC3339, s.Created); err != nil {
		t.Errorf("created: %v", err)
	}
	if exe := procExe(t, pid); exe == "probe" {
		t.Error("the program runs before start")
	}

	e.OK("start", id)
	s = stateOf(e, id)
	wantEqual(t, "status", s.Status, "running")
	if s.Pid != pid {
		t.Errorf("pid %d after start, %d before", s.Pid, pid)
	}
	wantEqual(t, "program", procExe(t, pid), "probe")

	e.OK("kill", id, "KILL")
	if status := e.WaitExit(pid); !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Errorf("init ended with %v, want death by SIGKILL", status)
	}
	s = stateOf(e, id)
	wantEqual(t, "status", s.Status, "stopped")
	if s.Pid != 0 {
		t.Errorf("a stopped container has pid %d", s.Pid)
	}

	e.OK("delete", id)
	wantContains(t, "state", e.Fails(1, "state", id), "container does not exist")
}

func annotate(key, value string) harness.Edit {
	return func(s *spec) { s.Annotations = map[string]string{key: value} }
}

func TestRunDetachedReturnsWhileTheProgramRuns(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	wantStatus(e, id, "running")
	wantEqual(t, "program", procExe(t, pid), "probe")
	remove(e, id)
}

func TestKillSendsTheNamedSignal(t *testing.T) {
	e := harness.New(t)
	for name, number := range map[string]string{"USR1": "10", "SIGUSR2": "12", "1": "1"} {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			p := e.Runtime("run", "-b", e.Bundle(harness.Probe("wait")).Dir, e.ID("c"+number)).Piped().Start()
			p.Expect("ready")
			e.OK("kill", e.ID("c"+number), name)
			p.Expect("signal " + number)
			e.OK("kill", e.ID("c"+number)) // TERM
			p.Expect("signal 15")
			if r := p.Wait(); r.Code != 0 {
				t.Error(r)
			}
		})
	}
}

func TestKillRefusesAnUnknownSignal(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	harness.OneLine(t, e.Fails(1, "kill", id, "NONSENSE"), "NONSENSE")
	remove(e, id)
}

func TestDeleteRefusesARunningContainer(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	harness.OneLine(t, e.Fails(1, "delete", id), "cannot delete container "+id+" that is not stopped: running")
	wantStatus(e, id, "running")
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	e.OK("delete", id)
}

func TestDeleteForceEndsWhateverIsThere(t *testing.T) {
	e := harness.New(t)
	for _, step := range []string{"created", "running", "stopped"} {
		t.Run(step, func(t *testing.T) {
			e := e.On(t)
			id := e.ID(step)
			e.OK("create", "-b", e.Bundle(harness.Probe("wait")).Dir, id)
			pid := stateOf(e, id).Pid
			if step != "created" {
				e.OK("start", id)
			}
			if step == "stopped" {
				e.OK("kill", id, "KILL")
				e.WaitExit(pid)
			}
			e.OK("delete", "--force", id)
			e.AssertClean()
		})
	}
	t.Run("nothing", func(t *testing.T) { e.On(t).OK("delete", "--force", e.ID("nothing")) })
}

func TestWhatDoesNotExistIsSaidSo(t *testing.T) {
	e := harness.New(t)
	for _, args := range [][]string{
		{"state"}, {"start"}, {"kill"}, {"delete"}, {"exec", "true"}, {"pause"}, {"resume"}, {"ps"},
	} {
		t.Run(args[0], func(t *testing.T) {
			full := append([]string{args[0], e.ID("nobody")}, args[1:]...)
			code := 1
			if args[0] == "exec" {
				code = 255
			}
			harness.OneLine(t, e.On(t).Fails(code, full...), "container does not exist")
		})
	}
}

func TestStartRefusesAnyStateButCreated(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	harness.OneLine(t, e.Fails(1, "start", id), "cannot start an already running container")
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	harness.OneLine(t, e.Fails(1, "start", id), "cannot start a container that has stopped")
	harness.OneLine(t, e.Fails(1, "kill", id), "container not running")
	e.OK("delete", id)
}

func TestAnIDIsTakenOnce(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	b := e.Bundle(harness.Args("/bin/true"))
	for _, verb := range []string{"create", "run"} {
		harness.OneLine(t, e.Fails(1, verb, "-b", b.Dir, id), "container with given ID already exists")
	}
	wantStatus(e, id, "running")
	remove(e, id)
}

func TestListShowsEveryContainer(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	created := e.ID("created")
	e.OK("create", "-b", e.Bundle(harness.Args("/bin/true")).Dir, created)

	ids := strings.Fields(e.OK("list", "-q"))
	slices.Sort(ids)
	wantEqual(t, "list -q", strings.Join(ids, " "), created+" "+id)

	table := e.OK("list")
	wantContains(t, "list", table, "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER", id, created, "running", "created")

	var rows []struct {
		ID, Status, Bundle, Owner string
		Pid                       int
	}
	if err := json.Unmarshal([]byte(e.OK("list", "--format=json")), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 {
		t.Fatalf("list has %d rows, want 2", len(rows))
	}
	for _, r := range rows {
		wantEqual(t, "owner", r.Owner, "root")
		if r.ID == id && (r.Pid != pid || r.Status != "running") {
			t.Errorf("list says %+v of the running container, its pid is %d", r, pid)
		}
	}
	remove(e, id)
	remove(e, created)
	wantEqual(t, "list -q of nothing", e.OK("list", "-q"), "")
	if got := strings.TrimSpace(e.OK("list", "-f", "json")); got != "null" && got != "[]" {
		t.Errorf("list -f json of nothing: %s", got)
	}
}

func TestRunKeepLeavesAStoppedContainer(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("exit", "3"))
	e.Fails(3, "run", "--keep", "-b", b.Dir, e.ID("c"))
	wantStatus(e, e.ID("c"), "stopped")
	e.OK("delete", e.ID("c"))
}

func TestASecondContainerWithTheSameIDAfterDelete(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/echo", "again"))
	for range 3 {
		wantEqual(t, "output", e.OK("run", "-b", b.Dir, e.ID("c")), "again\n")
	}
}

func TestTheRootDirectoryIsMadeAndHoldsTheState(t *testing.T) {
	e := harness.New(t)
	e.Root = filepath.Join(e.Dir, "deep", "er", "root")
	id, _ := detached(e)
	if _, err := os.Stat(filepath.Join(e.Root, id, "state.json")); err != nil {
		t.Error(err)
	}
	remove(e, id)
	if entries, err := os.ReadDir(e.Root); err != nil || len(entries) != 0 {
		t.Errorf("left in the root: %v, %v", entries, err)
	}
}

// Another --root is another world.
func TestRootsDoNotSeeEachOther(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	other := filepath.Join(e.Dir, "other")
	if err := os.Mkdir(other, 0o711); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "list -q", e.Bare("--root", other, "list", "-q").OK(), "")
	wantContains(t, "state", e.Bare("--root", other, "state", id).Fails(1), "container does not exist")
	remove(e, id)
}
