package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"runack/tests/harness"
)

func TestExecRunsInTheContainer(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	wantEqual(t, "output", e.OK("exec", id, "cat", "/proc/1/comm"), "probe\n")
	for _, kind := range []string{"mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, kind+" namespace", strings.TrimSpace(e.OK("exec", id, "readlink", "/proc/self/ns/"+kind)), want)
	}
	remove(e, id)
}

func TestExecIsInTheContainersCgroups(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	of := func(pid string) string { return e.OK("exec", id, "cat", "/proc/"+pid+"/cgroup") }
	wantEqual(t, "cgroups of the exec'd process", of("self"), of("1"))
	remove(e, id)
}

func TestExecHandsStandardInputOver(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	wantEqual(t, "output", e.Runtime("exec", id, "cat").Stdin(strings.NewReader("text")).OK(), "text")
	remove(e, id)
}

func TestExecOptions(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	rows := []struct {
		name    string
		options []string
		command []string
		want    string
	}{
		{"cwd", []string{"--cwd", "/tmp"}, []string{"pwd"}, "/tmp\n"},
		{"env", []string{"--env", "A=b c", "--env", "D=e"}, []string{"sh", "-c", "echo $A-$D"}, "b c-e\n"},
		{"space around env", []string{"--env", "A= b \n", "--env", "D=e, f "}, []string{"sh", "-c", "echo \"$A-$D.\""}, " b \n-e, f .\n"},
		{"user", []string{"--user", "1000:100"}, []string{"sh", "-c", "id -u; id -g"}, "1000\n100\n"},
		{"user without group", []string{"-u", "1000"}, []string{"sh", "-c", "id -u; id -g"}, "1000\n0\n"},
		{"additional groups", []string{"-g", "7", "-g", "8"}, []string{"sh", "-c", "grep Groups /proc/self/status | tr -s '\\t ' ' '"}, "Groups: 7 8 \n"},
		{"capability", []string{"--cap", "CAP_SYS_ADMIN"}, []string{"sh", "-c", "test $((0x$(grep CapEff /proc/self/status | cut -f2) >> 21 & 1)) = 1 && echo yes"}, "yes\n"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			args := append(append([]string{"exec"}, row.options...), id)
			wantEqual(t, "output", e.On(t).OK(append(args, row.command...)...), row.want)
		})
	}
	remove(e, id)
}

func TestExecTakesAProcessFile(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	file := e.File("process.json", `{"args": ["/bin/sh", "-c", "echo $X $(pwd) $(id -u)"], "cwd": "/tmp",
		"env": ["PATH=/bin", "X=y"], "user": {"uid": 5, "gid": 6}}`)
	wantEqual(t, "output", e.OK("exec", "--process", file, id), "y /tmp 5\n")
	remove(e, id)
}

func TestADetachedExecReturnsWithItsPid(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	pidFile := filepath.Join(e.Dir, "exec-pid")
	e.OK("exec", "-d", "--pid-file", pidFile, id, "/bin/sleep", "12345")
	pid := e.ReadPid(pidFile)
	wantEqual(t, "program", procExe(t, pid), "busybox")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status := e.WaitExit(pid); status.Signal() != syscall.SIGKILL {
		t.Errorf("the process ended with %v", status)
	}
	remove(e, id)
}

func TestExecIntoAStoppedContainerIsRefused(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	harness.OneLine(t, e.Fails(255, "exec", id, "true"), "cannot exec in a stopped container")
	e.OK("delete", id)
}

func TestExecIntoAPausedContainerIsRefused(t *testing.T) {
	e := harness.New(t)
	needFreezer(e)
	id, _ := detached(e)
	e.OK("pause", id)
	wantStatus(e, id, "paused")
	harness.OneLine(t, e.Fails(255, "exec", id, "true"), "cannot exec in a paused container")
	e.OK("resume", id)
	wantStatus(e, id, "running")
	e.OK("exec", id, "true")
	remove(e, id)
}

// A paused container is as easily got rid of as any other.
func TestDeleteForceOfAPausedContainer(t *testing.T) {
	e := harness.New(t)
	needFreezer(e)
	id, _ := detached(e)
	e.OK("pause", id)
	remove(e, id)
}

func needFreezer(e *harness.Env) {
	e.T.Helper()
	for _, path := range []string{"/sys/fs/cgroup/freezer", "/sys/fs/cgroup/cgroup.controllers"} {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	e.T.Skip("no freezer in this view of the cgroups")
}

// The exit of one exec says nothing of the container's.
func TestAContainerOutlivesItsExecs(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	for range 20 {
		e.OK("exec", id, "true")
	}
	if got := stateOf(e, id); got.Status != "running" || got.Pid != pid {
		t.Errorf("after the execs: %+v", got)
	}
	remove(e, id)
}
