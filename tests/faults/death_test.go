package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

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
	needMemory(e)
	line := harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "stage-1: ")
	if !strings.Contains(line, "OOM kill(s): is the memory limit too low?") && !strings.Contains(line, "ENOMEM (12)") {
		t.Errorf("does not speak of memory: %s", line)
	}
}

func needMemory(e *harness.Env) {
	e.T.Helper()
	if !harness.HasController("memory") {
		e.T.Skipf("no memory controller in this view (%s) of the cgroups", harness.CgroupVersion())
	}
}

// tighten gives a shell command that leaves a cgroup so much more memory than it uses.
func tighten(cgroup string, bytes int) string {
	dir, limit, usage := "/sys/fs/cgroup/memory"+cgroup, "memory.limit_in_bytes", "memory.usage_in_bytes"
	if harness.CgroupVersion() == "v2" {
		dir, limit, usage = "/sys/fs/cgroup"+cgroup, "memory.max", "memory.current"
	}
	return fmt.Sprintf("read n <%[1]s/%[3]s; echo $((n + %[4]d)) >%[1]s/%[2]s", dir, limit, usage, bytes)
}

// long is a command whose arguments take 1.6 MB: once in the plan, and again where the kernel copies
// them, inside execve.
func long() []string {
	return append([]string{"/bin/true"}, slices.Repeat([]string{strings.Repeat("x", 100_000)}, 16)...)
}

// The kernel kills the stage for want of memory inside execve, after its last report: no success.
func TestAnOOMInsideExecveIsNoSuccess(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's")
	needMemory(e)
	cgroup := "/" + e.ID("oom")
	withPlan := tighten(cgroup, 512<<10)     // the stage has read its plan: too little for another copy
	withoutPlan := tighten(cgroup, 2560<<10) // enough for one copy
	memory := func(s *specs.Spec) {
		s.Linux.CgroupsPath = cgroup
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: new(int64(64 << 20)), Swap: new(int64(64 << 20))}
	}
	told := []string{"stage-1: ", "killed by SIGKILL (9) while the runtime waited for execve", "OOM kill(s): is the memory limit too low?"}

	t.Run("run", func(t *testing.T) {
		e := e.On(t)
		b := e.Bundle(harness.Args(long()...), memory, func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", withPlan}}}}
		})
		harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), told...)
	})
	t.Run("exec", func(t *testing.T) {
		e := e.On(t)
		b, id := e.Bundle(harness.Probe("wait"), memory), e.ID("c")
		e.OK("run", "-d", "-b", b.Dir, id)
		e.Command("/bin/sh", "-c", withoutPlan).OK()
		harness.OneLine(t, e.Fails(255, append([]string{"exec", id}, long()...)...), told...)
		e.OK("delete", "-f", id)
	})
	// start is not the stage's parent, who may have reaped it before: then the count speaks.
	t.Run("start", func(t *testing.T) {
		e := e.On(t)
		b, id := e.Bundle(harness.Args(long()...), memory), e.ID("c")
		e.OK("create", "-b", b.Dir, id)
		e.Command("/bin/sh", "-c", withPlan).OK()
		harness.OneLine(t, e.Fails(1, "start", id), told[0], "while the runtime waited for execve", told[2])
		if state := e.OK("state", id); !strings.Contains(state, `"org.runack.oom.killed": "`) {
			t.Errorf("not told: %s", state)
		}
		e.OK("delete", id)
	})
}
