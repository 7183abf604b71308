package act

import "runack/handshake"

// An Act is something that the runtime does to the host or waits for, by the words that a trace
// shows and a failpoint is named by.
type Act string

// The acts, in the order in which a life meets them. All has them too, and a test compares.
const (
	ReadBundle  Act = "read bundle"
	Compile     Act = "compile plan"
	Connect     Act = "connect to sockets"
	ClaimID     Act = "claim id"
	SaveConfig  Act = "save configuration"
	Record      Act = "write record"
	MakeCgroup  Act = "make cgroup"
	Limits      Act = "set cgroup limits"
	OpenStdio   Act = "open stdio"
	FindCgroup  Act = "find cgroup"
	Namespaces  Act = "open namespaces"
	CopyStage   Act = "copy stage"
	Fork        Act = "fork stage-0"
	IDMaps      Act = "write id maps"
	OOMScore    Act = "write oom score"
	Affinity    Act = "set initial affinity"
	Resctrl     Act = "apply resctrl group"
	NetDevices  Act = "move network devices"
	Admit       Act = "admit to cgroup"
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

// A Row says what an act does, for docs/failures.md.
type Row struct {
	Act  Act
	Does string
}

// All are the acts.
var All = [...]Row{
	{ReadBundle, "reads and checks config.json, gathers facts about the host, compiles the plan; touches nothing"},
	{Compile, "compiles the plan of an exec; touches nothing"},
	{Connect, "connects to the console and pidfd sockets"},
	{ClaimID, "makes the state directory, which takes the ID, and locks it"},
	{SaveConfig, "writes the configuration into the state directory"},
	{Record, "replaces state.json: at the claim, once init exists, and at each transition"},
	{MakeCgroup, "makes the container's cgroups"},
	{Limits, "writes the cgroup's limits"},
	{OpenStdio, "opens what becomes descriptors 0 to 2 where nothing is handed on"},
	{FindCgroup, "finds out where an exec process has to go"},
	{Namespaces, "opens the namespaces that are joined"},
	{CopyStage, "makes the sealed copy of the stage"},
	{Fork, "makes the sync socket and starts stage-0"},
	{IDMaps, "writes uid_map, gid_map and setgroups"},
	{OOMScore, "writes oom_score_adj"},
	{Affinity, "puts an exec process on its initial CPUs"},
	{Resctrl, "makes and enters the resctrl group"},
	{NetDevices, "moves network devices into the container; back where the create fails"},
	{Admit, "looks whether a strict pids limit leaves room for an exec process"},
	{JoinCgroup, "opens the tasks files for stage-1, or moves it, or has systemd make its scope"},
	{Sources, "clones the mounts and makes the start socket that go with the plan"},
	{Terminal, "passes the terminal's master on"},
	{Hooks, "runs the hooks of one point in the runtime's namespaces"},
	{Rlimits, "sets the program's resource limits"},
	{Announce, "writes the pid file, sends the pidfd"},
	{StartSocket, "connects to the created container"},
	{Agent, "passes the seccomp listener on to its agent"},
	{Execve, "waits until the kernel runs the program"},
	{Notify, "waits until the program has said that it is ready (sd_notify(3))"},
	{Kill, "sends SIGKILL to init"},
	{AwaitDeath, "waits for init's death"},
	{Destroy, "kills what is left in the cgroups and removes them"},
	{RemoveDir, "removes the state directory"},
}

// Do carries one act out. t may be nil.
func Do(t *handshake.Transcript, a Act, f func() error) error {
	mark := t.Mark()
	err := failpoint(a)
	if err == nil {
		err = f()
	}
	t.Took(mark, string(a), "")
	return err
}
