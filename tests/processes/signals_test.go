package processes

import (
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// Whatever runack was started with, programs start with no signal blocked and none ignored: runs
// under a launcher that blocks and ignores all 64 (by raw system calls, as libc hides 32 to 34).

const clean = "SigBlk 0000000000000000\nSigIgn 0000000000000000\nSigCgt 0000000000000000\n"

func deaf(e *harness.Env, args ...string) *harness.Cmd {
	return e.Runtime(args...).Through(harness.ProbePath(), "deaf")
}

func skipUnlessClean(e *harness.Env) {
	e.T.Helper()
	e.RunackOnly("hands blocked and ignored signals on to the container")
}

func TestTheLauncherReallyBlocksAndIgnores(t *testing.T) {
	e := harness.New(t)
	// All but KILL (9) and STOP (19).
	wantEqual(t, "signals", e.Command(harness.ProbePath(), "deaf").OK(),
		"SigBlk fffffffffffbfeff\nSigIgn fffffffffffbfeff\nSigCgt 0000000000000000\n")
}

func TestInitStartsWithCleanSignals(t *testing.T) {
	e := harness.New(t)
	skipUnlessClean(e)
	b := e.Bundle(harness.Probe("signals"))
	wantEqual(t, "signals of run's init", deaf(e, "run", "-b", b.Dir, e.ID("run")).OK(), clean)
	wantEqual(t, "signals below the built-in init", deaf(e, "run", "--init", "-b", b.Dir, e.ID("init")).OK(), clean)

	// create and start are two processes, each as deaf as the other.
	id := e.ID("create")
	b.Edit(harness.Probe("signals", "/file"), harness.WritableRoot)
	pidFile := filepath.Join(e.Dir, "pid")
	deaf(e, "create", "-b", b.Dir, "--pid-file", pidFile, id).OK()
	deaf(e, "start", id).OK()
	e.WaitExit(e.ReadPid(pidFile))
	wantEqual(t, "signals of create's init", e.Read(filepath.Join(b.Rootfs, "file")), clean)
	e.OK("delete", id)
}

// The kernel's own word, from outside.
func TestTheKernelSaysSo(t *testing.T) {
	e := harness.New(t)
	skipUnlessClean(e)
	status := deaf(e, "run", "-b", e.Bundle(harness.Args("/bin/cat", "/proc/self/status")).Dir, e.ID("c")).OK()
	for _, key := range []string{"SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"} {
		wantField(t, status, key, "0000000000000000")
	}
}

func TestExecStartsWithCleanSignals(t *testing.T) {
	e := harness.New(t)
	skipUnlessClean(e)
	id, _ := detached(e)
	for _, reap := range []string{"--reap=false", "--reap"} {
		wantEqual(t, "signals with "+reap, deaf(e, "exec", reap, id, "/bin/probe", "signals").OK(), clean)
	}
	remove(e, id)
}

func TestHooksStartWithCleanSignals(t *testing.T) {
	e := harness.New(t)
	skipUnlessClean(e)
	out := filepath.Join(e.Dir, "signals")
	b := e.Bundle(harness.Args("/bin/true"), harness.WritableRoot)
	outside := func(point string) specs.Hook {
		return specs.Hook{Path: harness.ProbePath(), Args: []string{"probe", "signals", out + "." + point}}
	}
	inside := specs.Hook{Path: "/bin/probe", Args: []string{"probe", "signals", "/startContainer"}}
	b.Edit(func(s *spec) {
		s.Hooks = &specs.Hooks{
			Prestart:        []specs.Hook{outside("prestart")}, // deprecated, and still to be run
			CreateRuntime:   []specs.Hook{outside("createRuntime")},
			CreateContainer: []specs.Hook{outside("createContainer")},
			StartContainer:  []specs.Hook{inside},
			Poststart:       []specs.Hook{outside("poststart")},
			Poststop:        []specs.Hook{outside("poststop")},
		}
	})
	deaf(e, "run", "-b", b.Dir, e.ID("c")).OK()
	for _, point := range []string{"prestart", "createRuntime", "createContainer", "poststart", "poststop"} {
		wantEqual(t, "signals of "+point, e.Read(out+"."+point), clean)
	}
	wantEqual(t, "signals of startContainer", e.Read(filepath.Join(b.Rootfs, "startContainer")), clean)
}
