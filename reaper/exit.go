package reaper

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Kind says what a process was to its container.
type Kind uint8

// The kinds of processes.
const (
	Loose  Kind = iota // watched outside of any group
	Init               // the container's init process
	Exec               // a later process of a container
	Orphan             // adopted as subreaper, known to nobody
)

func (k Kind) String() string {
	switch k {
	case Loose:
		return "process"
	case Init:
		return "init"
	case Exec:
		return "exec"
	case Orphan:
		return "orphan"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Usage is what a process and the children it waited for have used.
type Usage struct {
	User, System time.Duration
	MaxRSS       int64 // KiB
}

// Exit is the end of one process.
type Exit struct {
	Seq    uint64          // place in the stream of this Reaper, from 1
	Group  *Group          // nil for loose processes and orphans
	Kind   Kind            //
	Name   string          // as given to Starting
	Pid    int             // in the PID namespace of this process; free for reuse by the time you read it
	Status unix.WaitStatus // valid if Err is nil
	Usage  Usage           // zero if Err is not nil
	Time   time.Time       // when it was reaped, which is not when a held exit is told
	// OOMKills is what GroupOptions.OOMKills answered right after the process was reaped.
	OOMKills uint64
	// Err says why the status is unknown: somebody else reaped the process, or it is not our
	// child. Wrapped errno: unix.ECHILD.
	Err error
	// Overtook names the execs that an init was held for and that had not ended at the limit.
	Overtook []string
	// Late marks an exec that ended after its init had been told.
	Late bool
}

// Code is the status as a shell gives it: the exit code, or 128 plus the signal. Unknown is 255.
func (e Exit) Code() int {
	switch {
	case e.Err != nil:
		return 255
	case e.Status.Signaled():
		return 128 + int(e.Status.Signal())
	}
	return e.Status.ExitStatus()
}

// String is for logs: who ended, and how.
func (e Exit) String() string {
	who := e.Kind.String()
	if e.Group != nil {
		who = "container " + e.Group.id + ": " + who
	}
	if e.Name != "" {
		who += " " + e.Name
	}
	who = fmt.Sprintf("%s (pid %d)", who, e.Pid)
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s: status unknown: %v", who, e.Err)
	case e.Status.Signaled():
		return fmt.Sprintf("%s: killed by %s (%d)", who, unix.SignalName(e.Status.Signal()), int(e.Status.Signal()))
	}
	return fmt.Sprintf("%s: exit status %d", who, e.Status.ExitStatus())
}
