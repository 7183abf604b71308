package shim

import "fmt"

// A state is where a process is between the request that makes it and its removal.
type state uint8

const (
	creating state = iota // init: being made
	created               // made and not started; of an exec there is only the request
	starting              // a start is under way
	ended                 // init: as starting, but it has exited, which is told after its start
	running               //
	burying               // init: exited; what has to precede the news of it is under way
	stopped               // exited and told
	deleting              // being removed
	gone                  // removed; nobody can ask for it any more
)

var stateNames = [...]string{
	creating: "creating", created: "created", starting: "starting", ended: "ended", running: "running",
	burying: "burying", stopped: "stopped", deleting: "deleting", gone: "gone",
}

func (s state) String() string { return stateNames[s] }

// An event is what moves a process from one state to another.
type event uint8

const (
	evCreated      event = iota // init has been made
	evCreateFailed              // and leaves nothing
	evStart                     // somebody asks for the start
	evStarted                   // the program runs
	evStartFailed               // it never will, or not this time
	evExit                      // the reaper tells the exit
	evBuried                    // what had to precede the news of init's exit has been done
	evDelete                    // somebody asks for the removal
	evDeleteFailed              //
	evDeleted                   //
)

var eventNames = [...]string{
	evCreated: "created", evCreateFailed: "create failed", evStart: "start", evStarted: "started",
	evStartFailed: "start failed", evExit: "exit", evBuried: "buried", evDelete: "delete",
	evDeleteFailed: "delete failed", evDeleted: "deleted",
}

func (e event) String() string { return eventNames[e] }

// A kind tells an init from an exec: their tables differ.
type kind uint8

const (
	initProcess kind = iota
	execProcess
)

// transitions has every pair of state and event that can happen; docs/shim.md shows the same table
// and a test holds the two together. What is missing is refused if somebody asked for it (start,
// delete) and a defect of the shim otherwise.
var transitions = [...]map[state]map[event]state{
	initProcess: {
		creating: {evCreated: created, evCreateFailed: gone},
		created:  {evStart: starting, evExit: burying},
		starting: {evStarted: running, evStartFailed: created, evExit: ended},
		ended:    {evStarted: burying, evStartFailed: burying},
		running:  {evExit: burying},
		burying:  {evBuried: stopped},
		stopped:  {evDelete: deleting},
		deleting: {evDeleteFailed: stopped, evDeleted: gone},
	},
	execProcess: {
		created:  {evStart: starting, evDelete: deleting},
		starting: {evStarted: running, evStartFailed: stopped},
		running:  {evExit: stopped},
		stopped:  {evDelete: deleting},
		deleting: {evDeleteFailed: stopped, evDeleted: gone},
	},
}

// A refusal is an event that the table does not have for a process's state.
type refusal struct {
	state state
	event event
}

func (r *refusal) Error() string { return fmt.Sprintf("%s in the state %s", r.event, r.state) }

// next looks a transition up. Errors: *refusal.
func next(k kind, s state, e event) (state, error) {
	to, ok := transitions[k][s][e]
	if !ok {
		return s, &refusal{s, e}
	}
	return to, nil
}
