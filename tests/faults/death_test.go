package faults

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// A stage whose last words are lost leaves its step's code.
func TestAStepIsToldByItsCodeWhereItsErrorIsLost(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("failpoints are runack's")
	b := e.Bundle(harness.Args("/bin/true"))
	for faults, want := range map[string]string{
		"stage-1: pivot root=fail(EIO); stage-1: write frame error=fail(EPIPE)":    "stage-1: pivot root: exit status 86 while",
		"stage-0: clone stage-1=fail(EIO); stage-0: write frame error=fail(EPIPE)": "stage-0: clone stage-1: exit status 70 while",
		"stage-1: set user=fail(EIO); stage-1: write frame error=kill(SIGKILL)":    "stage-1: set user: killed by SIGKILL (9) while",
	} {
		r := e.Command(harness.FailpointsPath(), "--root", e.Root, "run", "-b", b.Dir, e.ID("c")).
			Env(faultsVar + "=" + faults).Do()
		if r.Code != 1 || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: want %q: %s", faults, want, r)
		}
		e.AssertClean()
	}
}

// denied is a filter that does something about the calls that a stage makes between its last report
// and the program.
func denied(action specs.LinuxSeccompAction, call string) harness.Edit {
	return func(s *specs.Spec) {
		s.Process.NoNewPrivileges = true
		s.Linux.Seccomp = &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{call}, Action: action}},
		}
	}
}

// The container's own filter ends the stage on the last yards: not a success, whoever asks.
func TestAFilterThatEndsTheStageIsNoSuccess(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's")
	for _, r := range []struct {
		action specs.LinuxSeccompAction
		call   string
		want   string
	}{
		{specs.ActErrno, "execve", "exec /bin/true: operation not permitted"},
		{specs.ActKillProcess, "execve", "killed by SIGSYS (31)"},
		{specs.ActKillThread, "execve", "killed by SIGSYS (31)"},
	} {
		t.Run(string(r.action)+" "+r.call, func(t *testing.T) {
			e := e.On(t)
			b, id := e.Bundle(harness.Args("/bin/true"), denied(r.action, r.call)), e.ID("c")
			res := e.Do("run", "-b", b.Dir, id)
			if res.Code != 1 || !strings.Contains(res.Stderr, r.want) {
				t.Errorf("want %q: %s", r.want, res)
			}
			e.AssertClean()
		})
	}
}

// What the stage does not need once the filter is loaded, the filter may deny.
func TestAFilterMayDenyWhatTheStageDoesBeforeIt(t *testing.T) {
	e := harness.New(t)
	for _, call := range []string{"close_range", "prctl", "setgroups", "sendmsg", "recvmsg", "clock_gettime"} {
		b := e.Bundle(harness.Args("/bin/probe", "args", "x"), denied(specs.ActKillProcess, call))
		if r := e.Do("run", "-b", b.Dir, e.ID("c")); r.Code != 0 || r.Stdout != "[x]\n" {
			t.Errorf("%s: %s", call, r)
		}
	}
}

// A filter that denies write keeps the stage from telling that execve failed: its code does.
func TestAFilterThatDeniesWriteLeavesTheCode(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's")
	b := e.Bundle(harness.Args("/bin/true"), denied(specs.ActErrno, "execve"), func(s *specs.Spec) {
		s.Linux.Seccomp.Syscalls[0].Names = []string{"execve", "write", "sendmsg", "sendto"}
	})
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	if r.Code != 1 || !strings.Contains(r.Stderr, "stage-1: ") || !strings.Contains(r.Stderr, "exit status 116 (execute)") {
		t.Errorf("%s", r)
	}
}

// Too little memory for the stage: an error that says so, at whatever step it was met.
func TestTooLittleMemoryIsTold(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's")
	b := e.Bundle(harness.Args("/bin/true"), func(s *specs.Spec) {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: new(int64(8192))}
	})
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	if r.Code != 1 && r.Code != 128+int(unix.SIGKILL) {
		t.Errorf("%s", r)
	}
	if r.Code == 1 && !strings.Contains(r.Stderr, "memory limit") && !strings.Contains(r.Stderr, "memory") {
		t.Errorf("does not speak of memory: %s", r)
	}
}
