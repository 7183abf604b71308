package handshake

import (
	"encoding/json"
)

// Type names a message.
type Type string

// The messages, in the order in which a create meets them. PROTOCOL.md says what each of them
// MUST and SHOULD do; order.go holds which may follow which.
const (
	Spawn     Type = "spawn"     // runtime to stage-0: namespaces to enter and to make
	Ready     Type = "ready"     // stage-0 to runtime: stage-1 exists and has done nothing yet
	Join      Type = "join"      // runtime to stage-1: enter the cgroup
	Joined    Type = "joined"    // stage-1 to runtime
	Plan      Type = "plan"      // runtime to stage-1: the steps
	Console   Type = "console"   // stage-1 to runtime: the terminal's master descriptor
	Listener  Type = "listener"  // stage-1 to runtime: the number of the seccomp notification descriptor
	Taken     Type = "taken"     // runtime to stage-1: it has that descriptor
	Mounted   Type = "mounted"   // stage-1 to runtime: root file system built, not yet pivoted
	Proceed   Type = "proceed"   // runtime to stage-1: runtime-side hooks are done
	Created   Type = "created"   // stage-1 to runtime: waiting for start
	Start     Type = "start"     // runtime to stage-1, on a connection to the start socket
	Holding   Type = "holding"   // stage-1 to runtime: an exec waits for its fifo to be opened
	Executing Type = "executing" // stage-1 to runtime: seccomp and execve come next
	Error     Type = "error"     // stage to runtime: the step that failed; nothing follows
)

// Side names who wrote a frame.
type Side string

// The three writers.
const (
	Runtime Side = "runtime"
	Stage0  Side = "stage-0"
	Stage1  Side = "stage-1"
)

// An Action is one namespace operation. Descriptors are indices into the frame's descriptors.
type Action struct {
	Do     string `json:"do"`               // "setns", "unshare" or "timens"
	Flags  uint64 `json:"flags,omitempty"`  // CLONE_NEW* for setns and unshare
	FD     *int   `json:"fd,omitempty"`     // setns: a namespace file or a pidfd
	Value  string `json:"value,omitempty"`  // timens: the lines for timens_offsets
	Object string `json:"object,omitempty"` // for messages: "net of pid 42", "uts /run/ns/uts"
}

// SpawnBody tells stage-0 what to do before the clone, and with which flags to clone stage-1.
type SpawnBody struct {
	Actions  []Action `json:"actions,omitempty"`
	Clone    uint64   `json:"clone"`              // CLONE_NEW* flags of the one clone3
	Cgroup   *int     `json:"cgroup,omitempty"`   // a v2 cgroup directory to be born in
	Dumpable bool     `json:"dumpable,omitempty"` // stage-1 stays dumpable until join: a user without privilege must write its id maps
}

// ReadyBody comes with one descriptor: stage-1's pidfd.
type ReadyBody struct {
	Pid  int  `json:"pid"`  // in the PID namespace of the runtime
	Born bool `json:"born"` // born in the cgroup that spawn named
}

// JoinBody lists what stage-1 does first.
type JoinBody struct {
	Tasks   []int    `json:"tasks,omitempty"`   // descriptors of tasks or cgroup.procs files; stage-1 writes 0 to each
	Actions []Action `json:"actions,omitempty"` // namespaces that are entered or made inside the cgroup
}

// PlanBody carries the steps. Their form is nsexec's (package plan makes them).
type PlanBody struct {
	Trace bool            `json:"trace,omitempty"` // report the time of every step
	Steps json.RawMessage `json:"steps"`
}

// StateBody is the body of proceed and start: the OCI state as text, which hooks get on stdin.
type StateBody struct {
	State string `json:"state"`
}

// ListenerBody names a descriptor of stage-1's own. It does not come along: that would take
// sendmsg(2), which the filter that is loaded by now may forbid, or ask the listener about.
type ListenerBody struct {
	FD int `json:"fd"`
}

// ErrorBody is a failure as fields.
type ErrorBody struct {
	Side   Side   `json:"side"`
	Step   string `json:"step"`
	Object string `json:"object,omitempty"`
	Errno  int    `json:"errno,omitempty"`  // 0 where no system call failed
	Detail string `json:"detail,omitempty"` // a hook's stderr, a parser's complaint, a hint
}

// StepTime is one row of a trace: Step, by its number in the plan, ran from Start for Duration
// nanoseconds, by the CLOCK_MONOTONIC that the stage sees.
type StepTime struct {
	Step     int    `json:"step"`
	Op       string `json:"op"` // its name on the wire
	Start    int64  `json:"start"`
	Duration int64  `json:"duration"`
}

// TraceBody is the body of mounted, created and executing where the plan asked for a trace.
type TraceBody struct {
	Steps []StepTime `json:"steps,omitempty"`
}
