package container

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/nsexec"
)

// filtered has a filter with a default action and rules for single system calls.
func filtered(nnp bool, byDefault specs.LinuxSeccompAction, rules ...specs.LinuxSyscall) *specs.Spec {
	return &specs.Spec{
		Version: "1.3.0", Root: &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Args: []string{"a"}, Cwd: "/", NoNewPrivileges: nnp},
		Linux:   &specs.Linux{Seccomp: &specs.LinuxSeccomp{DefaultAction: byDefault, Syscalls: rules}},
	}
}

func rule(action specs.LinuxSeccompAction, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: action}
}

var harmless = filtered(false, specs.ActAllow, rule(specs.ActErrno, "mount"))

// What nobody saw counts as executed, unless what is known of its end speaks against it.
func TestAnEndThatNobodySaw(t *testing.T) {
	killed, exited := unix.WaitStatus(unix.SIGKILL), unix.WaitStatus(3<<8)
	unseen := &nsexec.Death{Err: io.EOF, Unseen: true}
	for name, row := range map[string]struct {
		err    error
		spec   *specs.Spec
		failed bool
	}{
		"executed":                {nil, harmless, false},
		"seen":                    {&nsexec.Death{Err: io.EOF, Status: &killed}, harmless, true},
		"another error":           {io.ErrUnexpectedEOF, harmless, true},
		"nothing known":           {unseen, harmless, false},
		"without a configuration": {unseen, nil, false},
		"exited":                  {&nsexec.Death{Err: io.EOF, Unseen: true, Status: &exited}, harmless, false},
		"killed, but not for OOM": {&nsexec.Death{Err: io.EOF, Unseen: true, Status: &killed}, harmless, false},
		"filter against execve":   {unseen, filtered(false, specs.ActAllow, rule(specs.ActErrno, "execve")), true},
	} {
		t.Run(name, func(t *testing.T) {
			// Without a cgroup, whose OOM kills tests/faults has.
			c := &Container{rec: &Record{}, dir: claimed(t, newStore(t), "web1")}
			if row.spec != nil {
				data, err := json.Marshal(row.spec)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.dir.replaceFile(configName, data); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.judge(row.err); (err != nil) != row.failed || err != nil && !errors.Is(err, row.err) {
				t.Errorf("judge: %v", err)
			}
		})
	}
}

func TestAFilterThatMayEndTheStage(t *testing.T) {
	some := rule(specs.ActAllow, "write")
	some.Args = []specs.LinuxSeccompArg{{Index: 0, Value: 1, Op: specs.OpEqualTo}}
	for name, row := range map[string]struct {
		spec *specs.Spec
		may  bool
	}{
		"none":                         {&specs.Spec{Linux: &specs.Linux{}}, false},
		"against another call":         {harmless, false},
		"against write":                {filtered(true, specs.ActAllow, rule(specs.ActErrno, "write")), true},
		"asks about execve":            {filtered(true, specs.ActAllow, rule(specs.ActNotify, "execve")), true},
		"logs execve":                  {filtered(true, specs.ActAllow, rule(specs.ActLog, "execve")), false},
		"allows all that it takes":     {filtered(false, specs.ActErrno, rule(specs.ActAllow, "execve", "write", "capset", "prctl")), false},
		"not the drop of capabilities": {filtered(false, specs.ActErrno, rule(specs.ActAllow, "execve", "write")), true},
		"which came before":            {filtered(true, specs.ActErrno, rule(specs.ActAllow, "execve", "write")), false},
		"allows some writes":           {filtered(true, specs.ActErrno, rule(specs.ActAllow, "execve"), some), true},
		"allows some and all":          {filtered(true, specs.ActErrno, rule(specs.ActAllow, "execve", "write"), some), false},
	} {
		if may := mayEndTheStage(row.spec); may != row.may {
			t.Errorf("%s: %v", name, may)
		}
	}
}
