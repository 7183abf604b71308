package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// hookKit makes hooks that write down what they get: one line per call into a file that all of a
// test share, so that their order shows, and the state beside it.
type hookKit struct {
	e       *harness.Env
	journal string
}

func newHookKit(e *harness.Env) *hookKit {
	return &hookKit{e, filepath.Join(e.Dir, "journal")}
}

// hook runs on the host's side of the root file system.
func (k *hookKit) hook(point string, more ...string) specs.Hook {
	script := fmt.Sprintf("echo %s $(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/net) >>%s; cat >%s.%s; %s",
		point, k.journal, k.journal, point, strings.Join(append([]string{"true"}, more...), "; "))
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}}
}

// inside runs within the container's root, where the rest of the host is not.
func (k *hookKit) inside(more ...string) specs.Hook {
	script := "echo startContainer $(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/net) >>/journal; cat >/journal.startContainer; " +
		strings.Join(more, "; ")
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}}
}

func (k *hookKit) all() *specs.Hooks {
	return &specs.Hooks{
		Prestart:        []specs.Hook{k.hook("prestart")}, // deprecated, and still to be run
		CreateRuntime:   []specs.Hook{k.hook("createRuntime")},
		CreateContainer: []specs.Hook{k.hook("createContainer")},
		StartContainer:  []specs.Hook{k.inside()},
		Poststart:       []specs.Hook{k.hook("poststart", "readlink /proc/$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' "+k.journal+".poststart)/exe >>"+k.journal+".exe || true")},
		Poststop:        []specs.Hook{k.hook("poststop")},
	}
}

func setHooks(h *specs.Hooks) harness.Edit { return func(s *spec) { s.Hooks = h } }

func (k *hookKit) points() string {
	text, err := os.ReadFile(k.journal)
	if err != nil {
		return ""
	}
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func (k *hookKit) stateAt(path string) state {
	k.e.T.Helper()
	var s state
	if err := json.Unmarshal([]byte(k.e.Read(path)), &s); err != nil {
		k.e.T.Fatalf("state on a hook's standard input: %v", err)
	}
	return s
}

// The order of the specification, and at which command each hook runs.
func TestHooksRunInTheirOrder(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runs poststart hooks at create (runc#4347)")
	k := newHookKit(e)
	b := e.Bundle(harness.Probe("wait"), harness.WritableRoot, setHooks(k.all()))
	id := e.ID("c")
	e.OK("create", "-b", b.Dir, id)
	wantEqual(t, "hooks at create", k.points(), "prestart createRuntime createContainer")
	e.OK("start", id)
	wantEqual(t, "hooks at start", k.points(), "prestart createRuntime createContainer poststart")
	if _, err := os.Stat(filepath.Join(b.Rootfs, "journal")); err != nil {
		t.Errorf("startContainer: %v", err)
	}
	e.OK("delete", "-f", id)
	wantEqual(t, "hooks at delete", k.points(), "prestart createRuntime createContainer poststart poststop")
}

func TestHooksGetTheStateOnStandardInput(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("gives hooks in the container its own view of the pid, and poststart the status created")
	k := newHookKit(e)
	b := e.Bundle(harness.Probe("wait"), harness.WritableRoot, setHooks(k.all()), annotate("who", "me"))
	id := e.ID("c")
	e.OK("create", "-b", b.Dir, id)
	pid := stateOf(e, id).Pid
	e.OK("start", id)
	e.OK("delete", "-f", id)
	statuses := map[string]string{
		"prestart": "creating", "createRuntime": "creating", "createContainer": "creating",
		"startContainer": "created", "poststart": "running", "poststop": "stopped",
	}
	for point, status := range statuses {
		path := k.journal + "." + point
		if point == "startContainer" {
			path = filepath.Join(b.Rootfs, "journal.startContainer")
		}
		s := k.stateAt(path)
		wantEqual(t, "id for "+point, s.ID, id)
		wantEqual(t, "bundle for "+point, s.Bundle, b.Dir)
		wantEqual(t, "annotation for "+point, s.Annotations["who"], "me")
		wantEqual(t, "status for "+point, s.Status, status)
		if s.Version == "" {
			t.Errorf("no ociVersion for %s", point)
		}
		if point != "poststop" && s.Pid != pid {
			t.Errorf("pid for %s is %d, want the host's, %d", point, s.Pid, pid)
		}
	}
}

func TestHooksRunInTheirNamespaces(t *testing.T) {
	e := harness.New(t)
	k := newHookKit(e)
	b := e.Bundle(harness.Probe("wait"), harness.WritableRoot, setHooks(k.all()))
	id := e.ID("c")
	e.OK("create", "-b", b.Dir, id)
	pid := stateOf(e, id).Pid
	link := func(p any, kind string) string {
		l, err := os.Readlink(fmt.Sprintf("/proc/%v/ns/%s", p, kind))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	host := link("self", "mnt") + " " + link("self", "net")
	container := link(pid, "mnt") + " " + link(pid, "net")
	e.OK("start", id)
	e.OK("delete", "-f", id)
	for _, line := range strings.Split(strings.TrimSpace(e.Read(k.journal)+e.Read(filepath.Join(b.Rootfs, "journal"))), "\n") {
		point, got, _ := strings.Cut(line, " ")
		want := host
		if point == "createContainer" || point == "startContainer" {
			want = container
		}
		wantEqual(t, "namespaces of "+point, got, want)
	}
}

func TestPoststartRunsAfterTheProgramHasStarted(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("may be early (runc#4347)")
	k := newHookKit(e)
	b := e.Bundle(harness.Probe("wait"), harness.WritableRoot, setHooks(k.all()))
	times := amount(200, 20)
	for i := range times {
		id := e.ID(fmt.Sprint("c", i))
		e.OK("run", "-d", "-b", b.Dir, id)
		remove(e, id)
	}
	wantEqual(t, "programs seen by poststart", e.Read(k.journal+".exe"), strings.Repeat("/bin/probe\n", times))
}

func TestRunRunsAllHooks(t *testing.T) {
	e := harness.New(t)
	k := newHookKit(e)
	run(e, harness.Args("/bin/true"), harness.WritableRoot, setHooks(k.all()))
	wantEqual(t, "hooks", k.points(), "prestart createRuntime createContainer poststart poststop")
}

func TestHooksHaveTheirArgumentsAndEnvironmentAndNoMore(t *testing.T) {
	e := harness.New(t)
	e.Vars = []string{"LEAK=1"}
	out := filepath.Join(e.Dir, "out")
	script := e.File("hook", "#!/bin/sh\n(echo \"$0|$1|$2\"; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=) >"+out+"\n")
	run(e, harness.Args("/bin/true"), setHooks(&specs.Hooks{CreateRuntime: []specs.Hook{
		{Path: script, Args: []string{"zero", "one", "t w o"}, Env: []string{"A=b"}},
	}}))
	// The kernel puts the script's path in the place of the first argument.
	wantEqual(t, "arguments and environment", e.Read(out), script+"|one|t w o\nA=b\n")
}

// What a failing hook leads to (runtime-spec, lifecycle).
func TestAFailingHook(t *testing.T) {
	e := harness.New(t)
	failing := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "echo the reason >&2; exit 7"}}
	b := e.Bundle(harness.Shell("echo ran"))
	stops := map[string]*specs.Hooks{
		"prestart":        {Prestart: []specs.Hook{failing}}, // deprecated, and still to be run
		"createRuntime":   {CreateRuntime: []specs.Hook{failing}},
		"createContainer": {CreateContainer: []specs.Hook{failing}},
		"startContainer":  {StartContainer: []specs.Hook{failing}},
	}
	for point, hooks := range stops {
		t.Run(point+" stops the container", func(t *testing.T) {
			e := e.On(t)
			b.Edit(setHooks(hooks))
			r := e.Do("run", "-b", b.Dir, e.ID("c"))
			if r.Code != 1 || r.Stdout != "" {
				t.Errorf("want exit code 1 and no program: %s", r)
			}
			if harness.IsRunack() {
				harness.OneLine(t, r.Stderr, "hook", point, "0", "/bin/sh", "7", "the reason")
			}
			e.AssertClean()
		})
	}
	t.Run("poststop is only warned of", func(t *testing.T) {
		e := e.On(t)
		b.Edit(setHooks(&specs.Hooks{Poststop: []specs.Hook{failing}}))
		r := e.Do("run", "-b", b.Dir, e.ID("c"))
		if r.Code != 0 || r.Stdout != "ran\n" {
			t.Error(r)
		}
		e.AssertClean()
	})
}

// What a failing hook has written is told whatever it is: one line, with what a terminal would obey escaped.
func TestAFailingHookThatWritesAnything(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's own")
	failing := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", `printf '%1500s' | tr ' ' '\001'; exit 7`}, Env: []string{"PATH=/bin:/usr/bin"}}
	for point, hooks := range map[string]*specs.Hooks{
		"createRuntime": {CreateRuntime: []specs.Hook{failing}}, "createContainer": {CreateContainer: []specs.Hook{failing}},
	} {
		stderr := e.Fails(1, "run", "-b", e.Bundle(setHooks(hooks)).Dir, e.ID("c"))
		harness.OneLine(t, stderr, point, "/bin/sh", "exit status 7")
	}
}

// A failing poststart: the specification wants a warning, runc stops the container.
func TestAFailingPoststartHook(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("wait"), setHooks(&specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/false"}}}))
	r := e.Do("run", "-d", "-b", b.Dir, e.ID("c"))
	t.Logf("exit code %d", r.Code)
	if harness.IsRunack() && !strings.Contains(r.Stderr, "poststart") {
		t.Errorf("the failure is not mentioned: %s", r)
	}
	remove(e, e.ID("c"))
}

// The hooks of one point run in order, and the first failure is the last call.
func TestHooksOfOnePointStopAtTheFirstFailure(t *testing.T) {
	e := harness.New(t)
	k := newHookKit(e)
	b := e.Bundle(harness.Args("/bin/true"), setHooks(&specs.Hooks{CreateRuntime: []specs.Hook{
		k.hook("one"), k.hook("two", "exit 1"), k.hook("three"),
	}}))
	e.Fails(1, "run", "-b", b.Dir, e.ID("c"))
	wantEqual(t, "hooks", k.points(), "one two")
}

func TestAMissingHookIsNamed(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/true"), setHooks(&specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/no/such/hook"}}}))
	wantContains(t, "the error", e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "/no/such/hook")
}

func TestAHookThatTakesTooLongIsEnded(t *testing.T) {
	e := harness.New(t)
	limit := 1
	b := e.Bundle(harness.Args("/bin/true"), setHooks(&specs.Hooks{CreateRuntime: []specs.Hook{
		{Path: "/bin/sleep", Args: []string{"sleep", "12345"}, Timeout: &limit},
	}}))
	start := time.Now()
	stderr := e.Fails(1, "run", "-b", b.Dir, e.ID("c"))
	if took := time.Since(start); took < time.Second || took > harness.Deadline(10*time.Second) {
		t.Errorf("took %v with a timeout of 1 s", took)
	}
	if harness.IsRunack() {
		harness.OneLine(t, stderr, "createRuntime", "/bin/sleep", "1s")
	}
}

// A hook that never reads its standard input is harmless, whatever the size of the state.
func TestAHookThatDoesNotReadItsInput(t *testing.T) {
	e := harness.New(t)
	big := strings.Repeat("x", 200_000) // more than a pipe holds
	hook := specs.Hook{Path: "/bin/true"}
	b := e.Bundle(harness.Shell("echo ran"), annotate("big", big), harness.WritableRoot, setHooks(&specs.Hooks{
		CreateRuntime: []specs.Hook{hook}, CreateContainer: []specs.Hook{hook}, StartContainer: []specs.Hook{hook},
		Poststart: []specs.Hook{hook}, Poststop: []specs.Hook{hook},
	}))
	wantEqual(t, "output", e.OK("run", "-b", b.Dir, e.ID("c")), "ran\n")
}

// No lock is held while a hook runs.
func TestAHookMayAskForTheState(t *testing.T) {
	e := harness.New(t)
	out := filepath.Join(e.Dir, "asked")
	id := e.ID("c")
	ask := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c",
		fmt.Sprintf("%s --root %s state %s >%s", harness.RuntimePath(), e.Root, id, out)}}
	e.RunackOnly("has no state to show before createRuntime hooks have run")
	b := e.Bundle(harness.Args("/bin/true"), setHooks(&specs.Hooks{CreateRuntime: []specs.Hook{ask}}))
	e.OK("run", "-b", b.Dir, id)
	var s state
	if err := json.Unmarshal([]byte(e.Read(out)), &s); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "status", s.Status, "creating")
}
