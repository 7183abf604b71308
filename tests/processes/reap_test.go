package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// gate makes a fifo in the container's root. A program that reads it ends when the test opens it.
func gate(t testing.TB, rootfs, name string) string {
	t.Helper()
	path := filepath.Join(rootfs, name)
	if err := unix.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// open lets whoever reads the gate meet its end. It waits for a reader.
func open(t testing.TB, gate string) {
	t.Helper()
	f, err := os.OpenFile(gate, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// withGates starts a container whose pid 1 reaps nothing, with fifos in its root.
func withGates(e *harness.Env, names ...string) (id string, gates []string) {
	e.T.Helper()
	b := e.Bundle(harness.Probe("wait"), harness.WritableRoot)
	for _, name := range names {
		gates = append(gates, gate(e.T, b.Rootfs, name))
	}
	id = e.ID("d")
	e.OK("run", "-d", "-b", b.Dir, id)
	return id, gates
}

// zombies are the names of the dead in a container.
func zombies(e *harness.Env, id string) []string {
	e.T.Helper()
	var names []string
	for line := range strings.Lines(e.OK("exec", id, "ps", "-o", "stat,comm")) {
		if f := strings.Fields(line); strings.HasPrefix(f[0], "Z") {
			names = append(names, f[1])
		}
	}
	return names
}

// child waits until a process has a child of that name in ps, and gives its pid.
func child(t testing.TB, parent int, comm string) (pid int) {
	t.Helper()
	within(t, fmt.Sprintf("process %d has a child %s", parent, comm), func() bool {
		pid = childNow(parent, comm)
		return pid != 0
	})
	return pid
}

func childNow(parent int, comm string) int {
	if all := childrenNow(parent, comm); len(all) > 0 {
		return all[0]
	}
	return 0
}

func childrenNow(parent int, comm string) (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			name, err := os.ReadFile("/proc/" + field + "/comm")
			if pid, aerr := strconv.Atoi(field); err == nil && aerr == nil && strings.TrimSpace(string(name)) == comm {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// What the tests below are about: without a reaper a double fork leaves a zombie in such a container.
func TestWithoutAReaperAnOrphanStaysAZombie(t *testing.T) {
	e := harness.New(t)
	id, gates := withGates(e, "gate")
	e.OK("exec", id, "sh", "-c", "(cat /gate &)")
	open(t, gates[0])
	within(t, "the orphan is dead", func() bool { return len(zombies(e, id)) > 0 })
	wantEqual(t, "zombies", strings.Join(zombies(e, id), " "), "cat")
	remove(e, id)
}

func TestExecReapLeavesNoZombie(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has exec --reap")
	id, gates := withGates(e, "one", "two")
	// The command's end is the exec's, whatever lives on; and its status is the exec's.
	e.Fails(7, "exec", "--reap", id, "sh", "-c", "(cat /one &); (cat /two &); (true &); exit 7")
	reaper := child(t, os.Getpid(), "runack:[reaper]")
	open(t, gates[0])
	open(t, gates[1])
	// It goes when nothing is left to reap, and is none of the container's to reap itself.
	if status := e.WaitExit(reaper); status != 0 {
		t.Errorf("the reaper ended with %v", status)
	}
	wantEqual(t, "zombies", strings.Join(zombies(e, id), " "), "")
	remove(e, id)
}

// 10,000 in `make soak`.
func TestHealthChecksThatForkTwiceLeaveNoZombie(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has exec --reap")
	id, _ := withGates(e)
	parallel(t, 4, amount(10000, 200), func(i int) error {
		r, err := e.Runtime("exec", "--reap", id, "sh", "-c", "(true &); (sh -c 'true & exit 3' &); exit "+fmt.Sprint(i%4)).Try()
		if err == nil && r.Code != i%4 {
			err = fmt.Errorf("%s", r)
		}
		return err
	})
	wantEqual(t, "zombies", strings.Join(zombies(e, id), " "), "")
	remove(e, id)
}

// Callers know the process that stands in for the command; what they do to it is for the command.
func TestWhoeverSignalsAReapedExecMeansTheCommand(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has exec --reap")
	id, _ := detached(e)
	p := e.Runtime("exec", "--reap", id, "/bin/probe", "wait").Piped().Start()
	p.Expect("ready")
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGTSTP, 35} {
		p.Signal(s)
		p.Expect(fmt.Sprint("signal ", int(s)))
	}
	command := child(t, child(t, p.Pid, "runack:[reaper]"), "probe")
	stand := child(t, p.Pid, "runack:[exec]")
	if err := unix.Kill(stand, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := p.Wait(); r.Code != 128+9 {
		t.Error(r)
	}
	dies(t, command)
	remove(e, id)
}

// dies waits for the end of a process of whatever parent.
func dies(t testing.TB, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone already
	}
	defer unix.Close(fd)
	limit := harness.Deadline(commandTime)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
	if n != 1 {
		t.Errorf("process %d lives on: %v", pid, err)
	}
}

// A detached exec with a reaper outlives the runtime that started it.
func TestADetachedExecCanHaveAReaper(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has exec --reap")
	id, gates := withGates(e, "one", "two")
	pidFile := filepath.Join(e.Dir, "exec-pid")
	e.OK("exec", "-d", "--reap", "--pid-file", pidFile, id, "sh", "-c", "(cat /two &); read x </one; exit 5")
	pid := e.ReadPid(pidFile)
	reaper := child(t, os.Getpid(), "runack:[reaper]")
	open(t, gates[0])
	wantEqual(t, "exit code", fmt.Sprint(e.WaitExit(pid).ExitStatus()), "5")
	open(t, gates[1])
	e.WaitExit(reaper)
	wantEqual(t, "zombies", strings.Join(zombies(e, id), " "), "")
	remove(e, id)
}

func TestAReapedExecThatCannotBeSetUpLeavesNothing(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has exec --reap")
	id, _ := detached(e)
	harness.OneLine(t, e.Fails(255, "exec", "--reap", id, "nosuch"), `exec: "nosuch": executable file not found in $PATH`)
	harness.OneLine(t, e.Fails(255, "exec", "--reap", id, "/etc/passwd"), "permission denied")
	wantEqual(t, "processes", e.OK("exec", id, "ps", "-o", "comm"), "COMMAND\nprobe\nps\n")
	remove(e, id)
}

// In a PID namespace that is the host's, orphans go to the nearest subreaper outside: the runtime
// that stays in the foreground.
func TestForegroundRuntimesReapOrphans(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.WithoutNamespace("pid"), harness.WritableRoot,
		harness.Shell("(cat /one &); echo ready; read x </two; exit 4"))
	gates := []string{gate(t, b.Rootfs, "one"), gate(t, b.Rootfs, "two"), gate(t, b.Rootfs, "three"), gate(t, b.Rootfs, "four")}
	orphanOf := func(p *harness.Proc, gate string) {
		p.Expect("ready")
		orphan := child(t, p.Pid, "cat")
		open(t, gate)
		reaped(t, orphan)
		if p.Exited() {
			t.Error("the runtime has ended")
		}
	}
	id := e.ID("c")
	p := e.Runtime("run", "-b", b.Dir, id).Piped().Start()
	orphanOf(p, gates[0])
	x := e.Runtime("exec", id, "sh", "-c", "(cat /three &); echo ready; read x </four; exit 6").Piped().Start()
	orphanOf(x, gates[2])
	open(t, gates[3])
	if r := x.Wait(); r.Code != 6 {
		t.Error(r)
	}
	open(t, gates[1])
	if r := p.Wait(); r.Code != 4 {
		t.Error(r)
	}
}

// With --no-subreaper orphans go to whoever is next above: here the test itself.
func TestForegroundRuntimesLeaveOrphansAlone(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.WithoutNamespace("pid"), harness.WritableRoot,
		harness.Shell("(cat /one &); echo ready; read x </two; exit 4"))
	gates := []string{gate(t, b.Rootfs, "one"), gate(t, b.Rootfs, "two"), gate(t, b.Rootfs, "three"), gate(t, b.Rootfs, "four")}
	id := e.ID("c")
	p := e.Runtime("run", "--no-subreaper", "-b", b.Dir, id).Piped().Start()
	p.Expect("ready")
	x := e.Runtime("exec", "--no-subreaper", id, "sh", "-c", "(cat /three &); echo ready; read x </four; exit 6").Piped().Start()
	x.Expect("ready")
	within(t, "both orphans are the test's", func() bool { return len(childrenNow(os.Getpid(), "cat")) == 2 })
	for _, end := range []struct {
		orphan, program string
		runtime         *harness.Proc
		code            int
	}{{gates[2], gates[3], x, 6}, {gates[0], gates[1], p, 4}} {
		open(t, end.orphan)
		open(t, end.program)
		if r := end.runtime.Wait(); r.Code != end.code {
			t.Error(r)
		}
	}
}

// reaped waits until a process is dead and its number is free: not even a zombie is left.
func reaped(t testing.TB, pid int) {
	t.Helper()
	dies(t, pid)
	within(t, fmt.Sprintf("process %d is reaped", pid), func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}
