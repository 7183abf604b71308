package nsexec

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/smallfile"
)

// stepsDef is the stage's own list of steps, with the exit code of each.
//
//go:embed stage/steps.def
var stepsDef string

// A Death is a stage that ended without telling why.
type Death struct {
	Side    handshake.Side
	Waiting handshake.Type   // what the runtime waited for
	Status  *unix.WaitStatus // nil where it is not known: the stage was not the runtime's own child
	Err     error            // how it was noticed: io.EOF, handshake.ErrDied, EPIPE
}

// Error says which stage ended how, while which message was due.
func (e *Death) Error() string {
	return fmt.Sprintf("%s: %s while the runtime waited for %s", e.Side, e.how(), e.Waiting)
}

// Unwrap returns how the death was noticed.
func (e *Death) Unwrap() error { return e.Err }

func (e *Death) how() string {
	switch {
	case e.Status == nil:
		return "ended"
	case e.Status.Signal() == unix.SIGSYS:
		return "killed by SIGSYS (31), by the seccomp filter,"
	case e.Status.Signaled():
		return fmt.Sprintf("killed by %s (%d)", unix.SignalName(e.Status.Signal()), int(e.Status.Signal()))
	}
	code := e.Status.ExitStatus()
	if step := StepOfCode(code); step != "" {
		return fmt.Sprintf("exit status %d (%s)", code, step)
	}
	return fmt.Sprintf("exit status %d", code)
}

// explain turns a conversation's end into a Death, with the status of the stage where it is ours
// to reap. Other errors pass.
func (t *talk) explain(err error) error {
	if err == nil || !gone(err) || t.pidfd == nil {
		return err
	}
	// An error frame may have been sent before the socket broke under our own write.
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		if f, rerr := t.conn.Receive(t.deadline(), int(t.pidfd.Fd())); rerr == nil {
			if f.Type == handshake.Error {
				return stageError(f)
			}
			f.CloseFDs()
		}
	}
	d := &Death{Side: t.side, Waiting: t.waiting(), Err: err}
	if status, ok := t.status(); ok {
		d.Status = &status
	}
	return d
}

// status waits for the stage, whose socket is closed already, to end, and takes its status where it
// is our child. Where it is not, it can be read until its parent reaps it.
func (t *talk) status() (unix.WaitStatus, bool) {
	if gone, err := WaitPidFD(t.pidfd, 10*time.Second); err != nil || !gone {
		return 0, false
	}
	if t.child {
		status, err := Reap(t.pid)
		return status, err == nil
	}
	status, ok := zombieStatus(t.pid)
	pid, err := pidOf(t.pidfd)
	return status, ok && err == nil && pid == t.pid // and not of a successor
}

// zombieStatus reads how a process ended that nobody has reaped yet (proc_pid_stat(5), exit_code).
func zombieStatus(pid int) (unix.WaitStatus, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const state, exitCode = 0, 52 - 3 // they are counted from 1, and pid and name come before
	if len(fields) <= exitCode || fields[state] != "Z" {
		return 0, false
	}
	code, err := strconv.ParseUint(fields[exitCode], 10, 32)
	return unix.WaitStatus(code), err == nil
}

// stageComm is the name that stage-1 gives itself (PR_SET_NAME); execve replaces it.
const stageComm = "runack:[stage1]"

// PF_EXITING of the kernel's linux/sched.h, in the flags of /proc/PID/stat.
const pfExiting = 0x4

// wasExecuted looks at a process whose sync socket has ended after executing. execve closes the
// socket a moment before it changes the name, so a process that keeps the stage's name was executed
// unless it is on its way out. A process that somebody else has reaped already leaves no trace
// here; it is believed to have run, being past its last report.
func wasExecuted(pid int) (bool, error) {
	data, err := smallfile.Read("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("runtime: read /proc/%d/stat: %w", pid, err)
	}
	open, shut := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || shut < open {
		return false, fmt.Errorf("runtime: read /proc/%d/stat: no name", pid)
	}
	if string(data[open+1:shut]) != stageComm {
		return true, nil
	}
	// state ppid pgrp session tty_nr tpgid flags
	fields := strings.Fields(string(data[shut+1:]))
	if len(fields) < 7 {
		return false, fmt.Errorf("runtime: read /proc/%d/stat: too short", pid)
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	if err != nil {
		return false, fmt.Errorf("runtime: read /proc/%d/stat: flags: %w", pid, err)
	}
	return flags&pfExiting == 0, nil
}

// A StepCode is a row of the stage's list.
type StepCode struct {
	Code int
	Op   string // on the wire; empty for what is not a step of a plan
	Step string // in errors
}

// Steps returns the stage's list of everything that can fail.
func Steps() []StepCode {
	var steps []StepCode
	for line := range strings.Lines(stepsDef) {
		kind, rest, ok := strings.Cut(line, "(")
		if !ok || kind != "ACT" && kind != "STEP" {
			continue
		}
		var row StepCode
		words := strings.Split(rest, "\"")
		if _, err := fmt.Sscanf(rest, "%d", &row.Code); err != nil || len(words) < 3 {
			continue
		}
		row.Step = words[len(words)-2]
		if kind == "STEP" {
			row.Op = words[1]
		}
		steps = append(steps, row)
	}
	return steps
}

// StepOfCode returns the words for an exit code of the stage, or "".
func StepOfCode(code int) string {
	for _, s := range Steps() {
		if s.Code == code {
			return s.Step
		}
	}
	return ""
}
