package processes

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"

	"runack/tests/harness"
)

// The whole domain: it is small.
func TestEveryExitCodeOfExecPassesThrough(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	for _, code := range exitCodes() {
		e.Fails(code, "exec", id, "/bin/probe", "exit", strconv.Itoa(code))
	}
	remove(e, id)
}

func TestEveryExitCodeOfRunPassesThrough(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle()
	for _, code := range exitCodes() {
		b.Edit(harness.Probe("exit", strconv.Itoa(code)))
		e.Fails(code, "run", "-b", b.Dir, e.ID(fmt.Sprint("c", code)))
	}
}

// exitCodes are all of them; on an emulated machine some, 0 and 255 among them.
func exitCodes() []int {
	step := max(255/(amount(256, 256)-1), 1)
	var codes []int
	for code := 0; code < 256; code += step {
		codes = append(codes, code)
	}
	if codes[len(codes)-1] != 255 {
		codes = append(codes, 255)
	}
	return codes
}

// Signals whose default action ends a process.
func deadly() []syscall.Signal {
	var all []syscall.Signal
	for s := syscall.Signal(1); s <= 64; s++ {
		switch s {
		case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH: // nothing happens
		case syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU: // it stops
		default:
			all = append(all, s)
		}
	}
	return all
}

func TestDeathBySignalOfExecIs128PlusTheSignal(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	for _, s := range deadly() {
		e.Fails(128+int(s), "exec", id, "/bin/probe", "die", strconv.Itoa(int(s)))
	}
	remove(e, id)
}

// Only in the host's PID namespace can init die of its own signal: elsewhere pid 1 is spared.
func TestDeathBySignalOfInitIs128PlusTheSignal(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.WithoutNamespace("pid"))
	for _, s := range deadly() {
		b.Edit(harness.Probe("die", strconv.Itoa(int(s))))
		e.Fails(128+int(s), "run", "-b", b.Dir, e.ID(fmt.Sprint("c", int(s))))
	}
}

func TestDeathOfPid1Is128PlusTheSignal(t *testing.T) {
	e := harness.New(t)
	e.Fails(128+11, "run", "-b", e.Bundle(harness.Probe("crash")).Dir, e.ID("crash"))

	p := e.Runtime("run", "-b", e.Bundle(harness.Probe("wait")).Dir, e.ID("killed")).Piped().Start()
	p.Expect("ready")
	e.OK("kill", e.ID("killed"), "KILL")
	if r := p.Wait(); r.Code != 128+9 {
		t.Error(r)
	}
}
