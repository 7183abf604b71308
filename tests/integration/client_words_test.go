package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runack/tests/harness"
)

// What clients make of an error's words, as their code has it (go-runc and containerd's shim, moby,
// docker's client, podman, CRI-O). These tests need no client: tests/clients has the real ones.

func has(text string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// containerdKill: a kill of containerd's shim for runc.
func containerdKill(text string) string {
	switch {
	case has(strings.ToLower(text), "os: process already finished", "container not running", "no such process"):
		return "not found"
	case has(text, "does not exist"):
		return "no such container"
	}
	return "error"
}

// containerdDelete: a delete of the same.
func containerdDelete(text string) string {
	if has(text, "does not exist") {
		return "deleted"
	}
	return "error"
}

// crioKill: a kill of CRI-O.
func crioKill(text string) string {
	if has(text, "no such process", "container not running", "invalid process") {
		return "not found"
	}
	return "error"
}

// moby: the exit code that dockerd gives a container or an exec that could not be started.
func moby(text string) int {
	text = strings.ToLower(text)
	switch {
	case has(text, "permission denied", "is a directory"):
		return 126
	case has(text, "not a directory", "executable file not found", "no such file or directory",
		"failed to run runc create/exec call"):
		return 127
	}
	return 128
}

// dockerCLI: the exit code of `docker run` where the daemon's answer was an error.
func dockerCLI(text string) int {
	switch {
	case has(text, "executable file not found", "no such file or directory"):
		return 127
	case has(text, "permission denied", "is a directory"):
		return 126
	}
	return 125
}

// dockerCLI2010 does not know what a directory is.
func dockerCLI2010(text string) int {
	switch {
	case has(text, "executable file not found", "no such file or directory"):
		return 127
	case has(text, "permission denied"):
		return 126
	}
	return 125
}

// podman: the exit code of `podman run` and `podman exec`; any other error is 126 there too.
func podman(text string) int {
	text = strings.ToLower(text)
	switch {
	case has(text, "permission denied", "operation not permitted"):
		return 126
	case has(text, "executable file not found in", "no such file or directory", "open executable"):
		return 127
	}
	return 126
}

func TestEveryClientReadsTheRightExitCode(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's own")
	b := unstartableBundle(e)
	b.Edit(harness.Probe("wait"))
	id := e.ID("running")
	e.OK("run", "-d", "-b", b.Dir, id)
	defer remove(e, id)
	for _, row := range []struct {
		name    string
		program string
		code    int // that a shell would give
	}{
		{"missing in PATH", "nothing-like-it", 127},
		{"missing path", "/nothing/like/it", 127},
		{"missing interpreter", "/script", 127},
		{"not executable", "/etc/passwd", 126},
		{"a directory", "/etc", 126},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := e.On(t)
			b.Edit(harness.Args(row.program))
			texts := map[string]string{
				"run":  e.Fails(1, "run", "-b", b.Dir, e.ID("c")),
				"exec": e.Fails(255, "exec", id, row.program),
			}
			for verb, text := range texts {
				for client, reads := range map[string]func(string) int{
					"moby": moby, "docker": dockerCLI, "docker 20.10": dockerCLI2010, "podman": podman,
				} {
					if got := reads(text); got != row.code {
						t.Errorf("%s makes %d of %s's %q, want %d", client, got, verb, text, row.code)
					}
				}
			}
		})
	}
	t.Run("an error about anything else", func(t *testing.T) {
		e := e.On(t)
		b.Edit(harness.Probe("wait"), harness.Mount("bind", "/nothing/like/it", "/mnt", "bind"))
		text := e.Fails(1, "run", "-b", b.Dir, e.ID("c"))
		if m, d := moby(text), dockerCLI(text); m != 128 || d != 125 {
			t.Errorf("moby makes %d and docker %d of %q, want 128 and 125", m, d, text)
		}
	})
}

func TestEveryClientReadsThatAContainerIsGone(t *testing.T) {
	e := harness.New(t)
	gone := e.ID("gone")
	stopped, pid := detached(e)
	e.OK("kill", stopped, "KILL")
	e.WaitExit(pid)
	defer remove(e, stopped)
	for _, row := range []struct {
		name string
		text string
		read func(string) string
		want string
	}{
		{"containerd, kill of one that has stopped", e.Fails(1, "kill", stopped, "9"), containerdKill, "not found"},
		{"containerd, kill of none", e.Fails(1, "kill", gone, "9"), containerdKill, "no such container"},
		{"containerd, delete of none", e.Fails(1, "delete", gone), containerdDelete, "deleted"},
		{"CRI-O, kill of one that has stopped", e.Fails(1, "kill", stopped, "KILL"), crioKill, "not found"},
	} {
		if got := row.read(row.text); got != row.want {
			t.Errorf("%s: reads %q as %s, want %s", row.name, row.text, got, row.want)
		}
	}
}

func TestStartOfAPausedContainerIsRefused(t *testing.T) {
	e := harness.New(t)
	id := e.ID("c")
	e.OK("create", "-b", e.Bundle(harness.Probe("wait"), harness.CgroupsPath(e.Cgroup("c"))).Dir, id)
	defer remove(e, id)
	e.OK("pause", id)
	harness.OneLine(t, e.Fails(1, "start", id), "cannot start a container in the paused state")
	e.OK("resume", id)
	e.OK("start", id)
}

// The calls of go-runc, conmon and CRI-O, word for word.
func TestCallsOfClients(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("wait"), harness.CgroupsPath(e.Cgroup("c")))
	pidFile := filepath.Join(e.Dir, "pid")
	process := e.File("process.json", `{"user": {"uid": 0, "gid": 0}, "args": ["/bin/probe", "exit", "6"], "env": ["PATH=/bin"], "cwd": "/"}`)
	log := filepath.Join(e.Dir, "log.json")
	limits := `{}`
	if harness.HasController("pids") {
		limits = `{"pids": {"limit": 55}}`
	}
	goRunc := func(e *harness.Env, args ...string) *harness.Cmd {
		return e.Bare(append([]string{"--root", e.Root, "--log", log, "--log-format", "json"}, args...)...)
	}
	t.Run("go-runc", func(t *testing.T) {
		e := e.On(t)
		id := e.ID("go-runc")
		goRunc(e, "create", "--bundle", b.Dir, "--pid-file", pidFile, "--no-new-keyring", id).OK()
		goRunc(e, "start", id).OK()
		wantStatus(e, id, "running")
		goRunc(e, "exec", "--process", process, "--detach", "--pid-file", filepath.Join(e.Dir, "exec-pid"), id).OK()
		e.WaitExit(e.ReadPid(filepath.Join(e.Dir, "exec-pid")))
		goRunc(e, "update", "--resources=-", id).Stdin(strings.NewReader(limits)).OK()
		var pids []int
		if err := json.Unmarshal([]byte(goRunc(e, "ps", "--format", "json", id).OK()), &pids); err != nil || len(pids) != 1 || pids[0] != e.ReadPid(pidFile) {
			t.Errorf("ps: %v, %v", pids, err)
		}
		goRunc(e, "pause", id).OK()
		goRunc(e, "resume", id).OK()
		var stats struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal([]byte(goRunc(e, "events", "--stats", id).OK()), &stats); err != nil || stats.Type != "stats" {
			t.Errorf("events: %+v, %v", stats, err)
		}
		goRunc(e, "kill", "--all", id, "9").OK()
		e.WaitExit(e.ReadPid(pidFile))
		goRunc(e, "delete", id).OK()
		goRunc(e, "delete", "--force", id).OK()
		if text, err := os.ReadFile(log); err != nil || len(text) > 0 {
			t.Errorf("the log of calls that succeeded: %q, %v", text, err)
		}
	})
	t.Run("conmon", func(t *testing.T) {
		e := e.On(t)
		id := e.ID("conmon")
		e.Bare("--root="+e.Root, "create", "--bundle", b.Dir, "--pid-file", pidFile, id).OK()
		e.Bare("--root="+e.Root, "start", id).OK()
		e.Bare("--root="+e.Root, "exec", "--pid-file", filepath.Join(e.Dir, "exec-pid"), "--process", process, "--detach", id).OK()
		e.WaitExit(e.ReadPid(filepath.Join(e.Dir, "exec-pid")))
		e.Bare("--root="+e.Root, "kill", id, "9").OK()
		e.WaitExit(e.ReadPid(pidFile))
		e.Bare("--root="+e.Root, "delete", "--force", id).OK()
	})
	t.Run("CRI-O", func(t *testing.T) {
		e := e.On(t)
		id := e.ID("cri-o")
		e.OK("create", "-b", b.Dir, "--pid-file", pidFile, id)
		e.OK("start", id)
		e.Runtime("update", "--resources", "-", id).Stdin(strings.NewReader(limits)).OK()
		if r := e.Do("exec", "--process", process, id); r.Code != 6 {
			t.Errorf("the process's own exit code does not pass: %s", r)
		}
		e.OK("kill", "-a", id, "KILL")
		e.WaitExit(e.ReadPid(pidFile))
		e.OK("delete", "--force", id)
	})
}
