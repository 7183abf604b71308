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
	"runack/internal/smallfile"
	"runack/reaper"
)

// stepsDef is the stage's own list of steps, with the exit code of each.
//
//go:embed stage/steps.def
var stepsDef string

// A Death is a stage that ended without telling why, or that gave no answer.
type Death struct {
	Side   handshake.Side
	Step   string           // that it had begun last; empty where it is not known any more
	When   string           // what the conversation was at: "while the runtime waited for mounted"
	Status *unix.WaitStatus // nil where it is not known: somebody else has reaped it
	Lives  bool             // it has closed its socket and goes on nevertheless
	Unseen bool             // it was past executing, and somebody else had reaped it before it was looked at: the program may have run
	Limit  time.Duration    // within which no answer came, where Err is handshake.ErrDeadline
	Err    error            // how it was noticed: io.EOF, handshake.ErrDied, handshake.ErrDeadline, EPIPE
}

// Error says which stage ended at which step, how, and while which message was due.
func (e *Death) Error() string {
	text := string(e.Side) + ": "
	if e.Step != "" {
		text += e.Step + ": "
	}
	return text + e.how() + " " + e.When
}

// Unwrap returns how the death was noticed.
func (e *Death) Unwrap() error { return e.Err }

func (e *Death) how() string {
	switch {
	case errors.Is(e.Err, handshake.ErrDeadline):
		return "no answer within " + e.Limit.String()
	case e.Lives:
		return "closed its socket"
	case e.Status == nil:
		return "ended"
	case e.Status.Signal() == unix.SIGSYS:
		return "killed by SIGSYS (31), by the seccomp filter,"
	case e.Status.Signaled():
		return fmt.Sprintf("killed by %s (%d)", unix.SignalName(e.Status.Signal()), int(e.Status.Signal()))
	}
	code := e.Status.ExitStatus()
	if step := StepOfCode(code); step != "" && step != e.Step {
		return fmt.Sprintf("exit status %d (%s)", code, step)
	}
	return fmt.Sprintf("exit status %d", code)
}

// explain turns a conversation's end into a Death, with the status of the stage where it is ours
// to reap. Other errors pass.
func (t *talk) explain(err error) error {
	if err == nil || t.pidfd == nil {
		return err
	}
	if errors.Is(err, handshake.ErrDeadline) {
		return &Death{Side: t.side, Step: stepOf(t.pid), When: t.when(), Limit: t.timeout, Err: err}
	}
	if !gone(err) {
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
	// The step is read before the stage is reaped, by us or by its parent.
	d := &Death{Side: t.side, Step: stepOf(t.pid), When: t.when(), Err: err}
	gone, werr := WaitPidFD(t.pidfd, t.dying())
	d.Lives = werr == nil && !gone
	if !d.Lives {
		d.Status = t.status()
	}
	return d
}

// dying is how long a stage whose socket is closed may take to be dead.
func (t *talk) dying() time.Duration {
	const most = 10 * time.Second
	if t.timeout > 0 {
		return min(most, t.timeout)
	}
	return most
}

// pidfdInfoExit is PIDFD_INFO_EXIT of the kernel's linux/pidfd.h.
const pidfdInfoExit = 1 << 3

// status takes the status of a stage that is dead, and reaps it where it is our child.
func (t *talk) status() *unix.WaitStatus {
	if !t.child {
		return statusOf(t.pid, t.pidfd)
	}
	if status, err := Reap(t.pid); err == nil {
		return &status
	}
	return nil
}

// statusOf tells how another's child has ended: /proc does until its parent has reaped it, and then,
// from Linux 6.15 on, its pidfd. nil where neither can.
func statusOf(pid int, pidfd *os.File) *unix.WaitStatus {
	s, err := readStat(pid)
	same, perr := pidOf(pidfd)
	if err == nil && perr == nil && s.state == "Z" && same == pid { // and not of a successor
		return &s.exit
	}
	info := unix.PidfdInfo{Mask: pidfdInfoExit}
	if unix.IoctlPidfdInfo(int(pidfd.Fd()), &info) == nil && info.Mask&pidfdInfoExit != 0 {
		status := unix.WaitStatus(info.Exit_code)
		return &status
	}
	return nil
}

// A process of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	comm  string
	state string
	ppid  int
	// session is the process's session, by the pid of its leader.
	session int
	flags   uint64
	exit    unix.WaitStatus // of a zombie, for those who may ptrace it; 0 for others
}

// pfExiting is PF_EXITING of the kernel's linux/sched.h.
const pfExiting = 0x4

func readStat(pid int) (stat, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	data, err := smallfile.Read(path)
	if err != nil {
		return stat{}, fmt.Errorf("runtime: read %s: %w", path, err)
	}
	s, err := parseStat(data)
	if err != nil {
		return stat{}, fmt.Errorf("runtime: read %s: %w", path, err)
	}
	return s, nil
}

func parseStat(data []byte) (stat, error) {
	open, shut := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || shut < open {
		return stat{}, errors.New("no name")
	}
	// By their numbers in proc_pid_stat(5), less the 3 of the first one here, the state.
	const fieldState, fieldParent, fieldSession, fieldFlags, fieldExit = 0, 4 - 3, 6 - 3, 9 - 3, 52 - 3
	fields := strings.Fields(string(data[shut+1:]))
	if len(fields) <= fieldExit {
		return stat{}, errors.New("too short")
	}
	flags, err := strconv.ParseUint(fields[fieldFlags], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("flags: %w", err)
	}
	parent, err := strconv.Atoi(fields[fieldParent])
	if err != nil {
		return stat{}, fmt.Errorf("parent: %w", err)
	}
	session, err := strconv.Atoi(fields[fieldSession])
	if err != nil {
		return stat{}, fmt.Errorf("session: %w", err)
	}
	exit, err := strconv.ParseUint(fields[fieldExit], 10, 32)
	if err != nil {
		return stat{}, fmt.Errorf("exit code: %w", err)
	}
	return stat{string(data[open+1 : shut]), fields[fieldState], parent, session, flags, unix.WaitStatus(exit)}, nil
}

// stage reads the names that stage-0 and stage-1 give themselves (PR_SET_NAME): runack:[stage1] at
// first, then runack:[CODE] with the code of the step they are at. execve replaces the name.
func (s stat) stage() (step string, ok bool) {
	name, begins := strings.CutPrefix(s.comm, "runack:[")
	name, ends := strings.CutSuffix(name, "]")
	if !begins || !ends {
		return "", false
	}
	code, err := strconv.Atoi(name)
	if err != nil {
		return "", name == "stage0" || name == "stage1"
	}
	step = StepOfCode(code)
	return step, step != ""
}

// IsStageOf tells whether pid is a stage that has not executed a program yet, and a child of parent.
func IsStageOf(pid, parent int) bool {
	s, err := readStat(pid)
	if err != nil || s.ppid != parent {
		return false
	}
	_, ok := s.stage()
	return ok
}

// readProgram reads of the process that is to become the program: pid, or the one that is below
// it. Where that has been reaped already it reads of its parent, who tells by its name whether there
// ever was a program.
func readProgram(pid int) (stat, error) {
	s, err := readStat(pid)
	if err != nil {
		return s, err
	}
	parent, below := s.keeper(pid)
	if !below {
		return s, nil
	}
	if program, err := readStat(onlyChild(parent)); err == nil {
		return program, nil
	}
	if again, err := readStat(parent); err == nil {
		return again, nil
	}
	return s, nil
}

// The names of the stage's processes that stay (init.c).
const (
	initComm    = "runack:[init]"   // the program is its child
	standInComm = "runack:[exec]"   // exec --reap: the program is a child of its reaper's
	reaperComm  = "runack:[reaper]" // a child of this process
	diedComm    = "runack:[died]"   // init or reaper: its child ended without having executed the program
)

// keeper finds the parent of the program where s, of pid, is a process that stays for it. 0 where it
// is not there any more.
func (s stat) keeper(pid int) (parent int, below bool) {
	switch s.comm {
	case initComm, diedComm:
		return pid, true
	case standInComm:
		return reaperOf(pid), true
	}
	return 0, false
}

// reaperOf finds the reaper of an exec by the session that both are in.
func reaperOf(standIn int) int {
	children, err := reaper.Children()
	if err != nil {
		return 0
	}
	for _, pid := range children {
		s, err := readStat(pid)
		if err == nil && (s.comm == reaperComm || s.comm == diedComm) && s.session == standIn {
			return pid
		}
	}
	return 0
}

func onlyChild(pid int) int {
	id := strconv.Itoa(pid)
	children, err := smallfile.Read("/proc/" + id + "/task/" + id + "/children")
	if err != nil {
		return 0
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		return 0
	}
	return child
}

// stepOf is the step that a stage is at, or was at when it died and as long as nobody has reaped it;
// empty where that is not known.
func stepOf(pid int) string {
	s, err := readProgram(pid)
	if err != nil {
		return ""
	}
	step, _ := s.stage()
	return step
}

// wasExecuted looks at a process whose sync socket has ended after executing. execve closes the
// socket a moment before it changes the name, so a process that keeps the stage's name was executed
// unless it is on its way out. Not seen: somebody else has reaped it already.
func wasExecuted(pid int) (executed, seen bool, err error) {
	s, err := readProgram(pid)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH):
		return false, false, nil
	case err != nil:
		return false, false, err
	case s.comm == diedComm:
		return false, true, nil
	}
	_, stage := s.stage()
	return !stage || s.flags&pfExiting == 0, true, nil
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
