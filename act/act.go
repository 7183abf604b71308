package act

import "runack/handshake"

// An Act is something that the runtime does to the host or waits for, by the words that a trace
// shows and a failpoint is named by.
type Act string

// The acts, in the order in which a life meets them.
const (
	ReadBundle  Act = "read bundle"  // and compile it: nothing has been touched yet
	Compile     Act = "compile plan" // of an exec
	Connect     Act = "connect to sockets"
	ClaimID     Act = "claim id"
	SaveConfig  Act = "save configuration"
	Record      Act = "write record"
	MakeCgroup  Act = "make cgroup"
	Limits      Act = "set cgroup limits"
	OpenStdio   Act = "open stdio"
	Namespaces  Act = "open namespaces"
	CopyStage   Act = "copy stage"
	Fork        Act = "fork stage-0"
	IDMaps      Act = "write id maps"
	OOMScore    Act = "write oom score"
	Affinity    Act = "set initial affinity"
	Admit       Act = "admit to cgroup"
	Resctrl     Act = "apply resctrl group"
	NetDevices  Act = "move network devices"
	FindCgroup  Act = "find cgroup"
	JoinCgroup  Act = "enter cgroup"
	Sources     Act = "open sources"
	Terminal    Act = "hand over terminal"
	Hooks       Act = "run hooks"
	Rlimits     Act = "set resource limits"
	Announce    Act = "announce process"
	StartSocket Act = "connect to start socket"
	Agent       Act = "hand over seccomp listener"
	Execve      Act = "wait for execve"
	Notify      Act = "wait for readiness"
	Kill        Act = "kill init"
	AwaitDeath  Act = "wait for init's death"
	Destroy     Act = "remove cgroup"
	RemoveDir   Act = "remove state directory"
)

// Do carries one act out. t may be nil.
func Do(t *handshake.Transcript, a Act, f func() error) error {
	mark := t.Mark()
	err := f()
	t.Took(mark, string(a), "")
	return err
}
