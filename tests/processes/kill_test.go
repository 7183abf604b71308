package processes

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// everySignal but KILL and STOP, with TERM, which ends the probe, as the last.
func everySignal() []int {
	var all []int
	for n := 1; n <= 64; n++ {
		if n != int(unix.SIGKILL) && n != int(unix.SIGSTOP) && n != int(unix.SIGTERM) {
			all = append(all, n)
		}
	}
	return append(all, int(unix.SIGTERM))
}

// waiting runs a container in the foreground whose program tells every signal.
func waiting(e *harness.Env, args ...string) (id string, p *harness.Proc) {
	e.T.Helper()
	id = e.ID("c")
	b := e.Bundle(harness.Probe("wait"))
	p = e.Runtime(append(append([]string{"run"}, args...), "-b", b.Dir, id)...).Piped().Start()
	p.Expect("ready")
	return id, p
}

func TestKillTakesEveryNumber(t *testing.T) {
	e := harness.New(t)
	id, p := waiting(e)
	for _, n := range everySignal() {
		e.OK("kill", id, fmt.Sprint(n))
		p.Expect(fmt.Sprint("signal ", n))
	}
	if r := p.Wait(); r.Code != 0 {
		t.Error(r)
	}
}

func TestKillTakesNames(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("knows real-time signals by name")
	id, p := waiting(e)
	names := map[string]int{
		"SIGRTMIN": 34, "RTMIN+3": 37, "sigrtmin+30": 64, "SIGRTMAX": 64, "rtmax-14": 50,
		"POLL": 29, "SIGCLD": 17, "iot": 6,
	}
	for n := 1; n < 32; n++ {
		name := unix.SignalName(unix.Signal(n))
		names[name], names[strings.ToLower(strings.TrimPrefix(name, "SIG"))] = n, n
	}
	for name, n := range names {
		if n == int(unix.SIGKILL) || n == int(unix.SIGSTOP) || n == int(unix.SIGTERM) {
			continue
		}
		e.OK("kill", id, name)
		p.Expect(fmt.Sprint("signal ", n))
	}
	e.OK("kill", id) // TERM
	p.Expect("signal 15")
	if r := p.Wait(); r.Code != 0 {
		t.Error(r)
	}
}

func TestKillRefuses(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	for _, name := range []string{"NOSUCH", "65", "+9", "SIGRTMIN+31", "RTMAX-31", "", "9 "} {
		harness.OneLine(t, e.Fails(1, "kill", id, name), "signal", name)
	}
	e.OK("kill", id, "0") // is it there?
	e.OK("kill", id, "KILL")
	e.WaitExit(pid)
	harness.OneLine(t, e.Fails(1, "kill", id, "TERM"), "container not running")
	harness.OneLine(t, e.Fails(1, "kill", id, "0"), "container not running")
	e.OK("delete", id)
	harness.OneLine(t, e.Fails(1, "kill", id, "TERM"), "container does not exist")
}

func TestStopAndContinue(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	state := func() string { return field(t, e.Read(fmt.Sprintf("/proc/%d/status", pid)), "State")[:1] }
	// As pid 1 of its namespace it is stopped by a signal from outside all the same.
	e.OK("kill", id, "STOP")
	within(t, "it is stopped", func() bool { return state() == "T" })
	e.OK("kill", id, "CONT")
	within(t, "it goes on", func() bool { return state() == "S" })
	remove(e, id)
}

// A foreground runtime hands on what it gets, whatever it was started with: all but what is about
// itself (CHLD, URG, PIPE) and what Go keeps from its programs (PROF, 32 to 34).
func TestForegroundRuntimesForwardEverySignal(t *testing.T) {
	e := harness.New(t)
	own := map[int]bool{int(unix.SIGCHLD): true, int(unix.SIGURG): true, int(unix.SIGPIPE): true, int(unix.SIGPROF): true, 32: true, 33: true, 34: true}
	id, _ := detached(e)
	b := e.Bundle(harness.Probe("wait"))
	for name, c := range map[string]*harness.Cmd{
		"run":           e.Runtime("run", "-b", b.Dir, e.ID("one")),
		"run --init":    e.Runtime("run", "--init", "-b", b.Dir, e.ID("two")),
		"exec":          e.Runtime("exec", id, "/bin/probe", "wait"),
		"exec --reap":   e.Runtime("exec", "--reap", id, "/bin/probe", "wait"),
		"a run of deaf": deaf(e, "run", "-b", b.Dir, e.ID("three")),
		"an exec deaf":  deaf(e, "exec", id, "/bin/probe", "wait"),
	} {
		t.Run(name, func(t *testing.T) {
			if !harness.IsRunack() && name != "run" && name != "exec" {
				t.Skip("runack alone has --init and --reap, and forwards what it was started without")
			}
			p := c.Piped().Start()
			p.Expect("ready")
			for _, n := range everySignal() {
				if own[n] {
					continue
				}
				p.Signal(unix.Signal(n))
				p.Expect(fmt.Sprint("signal ", n))
			}
			if r := p.Wait(); r.Code != 0 {
				t.Error(r)
			}
		})
	}
	remove(e, id)
}
