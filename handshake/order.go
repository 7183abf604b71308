package handshake

import "strings"

// A Protocol is one conversation: which messages a connection carries, in which order.
type Protocol uint8

// The three conversations. Create and Exec run on the sync socket, Start on a connection to a
// created container's start socket.
const (
	CreateProtocol Protocol = iota
	StartProtocol
	ExecProtocol
)

// String returns the name used in order.def.
func (p Protocol) String() string {
	switch p {
	case CreateProtocol:
		return "create"
	case StartProtocol:
		return "start"
	case ExecProtocol:
		return "exec"
	}
	return "unknown"
}

// A State is where a conversation stands, the same for both ends.
type State string

// The states, named after what has just been said.
const (
	Begun      State = "begun"      // nothing yet
	Spawning   State = "spawning"   // spawn sent, stage-0 works
	Alone      State = "alone"      // stage-1 exists and waits for join
	Joining    State = "joining"    // join sent
	Inside     State = "inside"     // stage-1 is in the cgroup and waits for the plan
	Building   State = "building"   // plan or start sent, stage-1 works
	Built      State = "built"      // mounted; stage-1 waits for proceed
	Pivoting   State = "pivoting"   // proceed sent
	Terminal   State = "terminal"   // pivoting or building, and the console has been handed over
	Waiting    State = "waiting"    // created; the conversation is over
	Held       State = "held"       // holding: stage-1 waits for somebody else
	Committed  State = "committed"  // executing: from here on end of file can mean success
	Offered    State = "offered"    // the listener is there to be taken; stage-1 waits
	Supervised State = "supervised" // the listener has been taken
	Failed     State = "failed"     // error: the conversation is over
)

// states lists them for order.def.
var states = [...]State{Begun, Spawning, Alone, Joining, Inside, Building, Built, Pivoting,
	Terminal, Waiting, Held, Committed, Offered, Supervised, Failed}

// messages has the number of descriptors that each message carries.
var messages = [...]struct {
	typ              Type
	minimum, maximum int
}{
	{Spawn, 0, MaxDescriptors},
	{Ready, 1, 1},
	{Join, 0, MaxDescriptors},
	{Joined, 0, 0},
	{Plan, 0, MaxDescriptors},
	{Console, 1, 1},
	{Listener, 0, 0},
	{Taken, 0, 0},
	{Mounted, 0, 0},
	{Proceed, 0, 0},
	{Created, 0, 0},
	{Start, 0, 0},
	{Holding, 0, 0},
	{Executing, 0, 0},
	{Error, 0, 0},
}

// A row allows one message in one state. What no row allows is an error.
type row struct {
	protocol Protocol
	state    State
	side     Side
	typ      Type
	next     State
}

// rows is the whole order. order.def repeats it for the stage, and a test compares the two.
var rows = [...]row{
	{CreateProtocol, Begun, Runtime, Spawn, Spawning},
	{CreateProtocol, Spawning, Stage0, Ready, Alone},
	{CreateProtocol, Spawning, Stage0, Error, Failed},
	// Stage-1 can fail before stage-0 has told of it.
	{CreateProtocol, Spawning, Stage1, Error, Failed},
	{CreateProtocol, Alone, Runtime, Join, Joining},
	{CreateProtocol, Joining, Stage1, Joined, Inside},
	{CreateProtocol, Joining, Stage1, Error, Failed},
	{CreateProtocol, Inside, Runtime, Plan, Building},
	{CreateProtocol, Building, Stage1, Console, Building},
	{CreateProtocol, Building, Stage1, Mounted, Built},
	{CreateProtocol, Building, Stage1, Error, Failed},
	{CreateProtocol, Built, Runtime, Proceed, Pivoting},
	{CreateProtocol, Pivoting, Stage1, Console, Terminal},
	{CreateProtocol, Pivoting, Stage1, Created, Waiting},
	{CreateProtocol, Pivoting, Stage1, Error, Failed},
	{CreateProtocol, Terminal, Stage1, Created, Waiting},
	{CreateProtocol, Terminal, Stage1, Error, Failed},

	{StartProtocol, Begun, Runtime, Start, Building},
	{StartProtocol, Building, Stage1, Console, Terminal},
	{StartProtocol, Building, Stage1, Executing, Committed},
	{StartProtocol, Building, Stage1, Error, Failed},
	{StartProtocol, Terminal, Stage1, Executing, Committed},
	{StartProtocol, Terminal, Stage1, Error, Failed},
	{StartProtocol, Committed, Stage1, Listener, Offered},
	{StartProtocol, Committed, Stage1, Error, Failed},
	{StartProtocol, Offered, Runtime, Taken, Supervised},
	{StartProtocol, Offered, Stage1, Error, Failed},
	{StartProtocol, Supervised, Stage1, Error, Failed},

	{ExecProtocol, Begun, Runtime, Spawn, Spawning},
	{ExecProtocol, Spawning, Stage0, Ready, Alone},
	{ExecProtocol, Spawning, Stage0, Error, Failed},
	{ExecProtocol, Spawning, Stage1, Error, Failed},
	{ExecProtocol, Alone, Runtime, Join, Joining},
	{ExecProtocol, Joining, Stage1, Joined, Inside},
	{ExecProtocol, Joining, Stage1, Error, Failed},
	{ExecProtocol, Inside, Runtime, Plan, Building},
	{ExecProtocol, Building, Stage1, Console, Terminal},
	{ExecProtocol, Building, Stage1, Holding, Held},
	{ExecProtocol, Building, Stage1, Executing, Committed},
	{ExecProtocol, Building, Stage1, Error, Failed},
	{ExecProtocol, Terminal, Stage1, Holding, Held},
	{ExecProtocol, Terminal, Stage1, Executing, Committed},
	{ExecProtocol, Terminal, Stage1, Error, Failed},
	{ExecProtocol, Held, Stage1, Executing, Committed},
	{ExecProtocol, Held, Stage1, Error, Failed},
	{ExecProtocol, Committed, Stage1, Listener, Offered},
	{ExecProtocol, Committed, Stage1, Error, Failed},
	{ExecProtocol, Offered, Runtime, Taken, Supervised},
	{ExecProtocol, Offered, Stage1, Error, Failed},
	{ExecProtocol, Supervised, Stage1, Error, Failed},
}

// sides in the order of a connection's counters.
var sides = [...]Side{Runtime, Stage0, Stage1}

func sideIndex(s Side) int {
	for i := range sides {
		if sides[i] == s {
			return i
		}
	}
	return -1
}

// sameEnd says whether two sides sit at the same end of the socket.
func sameEnd(a, b Side) bool { return (a == Runtime) == (b == Runtime) }

func messageIndex(t Type) int {
	for i := range messages {
		if messages[i].typ == t {
			return i
		}
	}
	return -1
}

// allowed finds the row for a message. Its second result is KindSender where only somebody else
// may say this now, KindOrder where nobody may.
func allowed(p Protocol, s State, side Side, t Type) (*row, Kind) {
	kind := KindOrder
	for i := range rows {
		r := &rows[i]
		if r.protocol != p || r.state != s || r.typ != t {
			continue
		}
		if r.side == side {
			return r, ""
		}
		kind = KindSender
	}
	return nil, kind
}

// expected names what may come in a state: "joined or error from stage-1".
func expected(p Protocol, s State) string {
	var b strings.Builder
	var last Side
	for i := range rows {
		r := &rows[i]
		if r.protocol != p || r.state != s {
			continue
		}
		if last != "" {
			if r.side != last {
				b.WriteString(" from ")
				b.WriteString(string(last))
			}
			b.WriteString(" or ")
		}
		b.WriteString(string(r.typ))
		last = r.side
	}
	if last == "" {
		return "nothing more"
	}
	b.WriteString(" from ")
	b.WriteString(string(last))
	return b.String()
}

// due names the messages that may come in a state, without errors, and whether they are local's.
func due(p Protocol, s State, local Side) (names string, ours bool) {
	for i := range rows {
		r := &rows[i]
		if r.protocol != p || r.state != s || r.typ == Error {
			continue
		}
		if names != "" {
			names += " or "
		}
		names += string(r.typ)
		ours = sameEnd(r.side, local)
	}
	return names, ours
}

// speaker returns who should speak in a state, or nobody: the first row's side.
func speaker(p Protocol, s State) Side {
	for i := range rows {
		if rows[i].protocol == p && rows[i].state == s {
			return rows[i].side
		}
	}
	return ""
}
