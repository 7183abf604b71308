// Package shim is containerd's shim over container and reaper: the task service, versions 2 and 3,
// the sandbox service, and what containerd calls the shim's binary for. It owns the order of events,
// the processes' states as containerd sees them, and their standard streams. It does everything in
// its own process: no runtime binary is executed per call. It refuses to know how a container is
// made; package container does.
//
// # The loop
//
// One goroutine, the loop, owns every task and process (state.go has the table of states and
// events) and is the only one that appends to the stream of containerd events. It never waits: no
// system call that can block, no full channel, no lock that is held across either. What blocks
// (making, starting, killing, deleting, opening fifos) runs on the goroutine of the call that asks
// for it, between two messages to the loop: one that claims the transition, one that ends it.
//
// # Order
//
//   - A process's start is appended before its exit, since a process is handed to the reaper by the
//     same message that appends its start (an exec) or its creation (an init). An init that
//     ends while it is being started waits in the state "ended".
//   - The exit of an init comes after those of all its execs, those still starting included: the
//     reaper's group holds it (package reaper, "Order").
//   - After an init's exit no exec starts: the group refuses.
//   - A TaskOOM comes before the exit that it explains: the reaper reads the cgroup's count between
//     reaping and telling.
//   - Where the PID namespace is not the container's own, what is left in the cgroup is killed before
//     init's exit is told.
//
// docs/shim.md has the whole table and the reasons.
//
// # Events
//
// The stream goes to containerd in order, one event at a time. A containerd that is away is waited
// for; nobody else waits meanwhile. State and Wait answer from the loop and stay true without it.
package shim
