// Package container owns what a container is between two calls of the runtime: its identity, its
// state directory and record, the lock, the transitions of the lifecycle, and telling, after a
// crash at any moment, what is there and how to take it away. It refuses to know how a mount is
// made, how a namespace is entered or how a cgroup is written: plan, nsexec and cgroupjoin do.
//
// # The state directory
//
// Every container has a directory <root>/<id>, mode 0700, made with mkdir(2): that claims the ID.
// It holds
//
//	state.json   the record, only ever replaced by rename(2)
//	config.json  the configuration the container was created from, written once
//	start.sock   the socket on which the init process waits for start
//
// A record is written before the first side effect of a create, so that whatever a killed runtime
// leaves can be found by ID and removed.
//
// # Phases and states
//
// A record holds a phase, which only a transition under the lock changes:
//
//	creating ──► created ──► starting ──► started
//
// The state that callers see (creating, created, running, paused, stopped) is derived from the
// phase and from what the kernel says now: whether the init process lives (a pidfd, checked by
// the start time so that a recycled pid is nobody's init), whether it still listens on start.sock
// (then it has not yet become the container's program), and whether its cgroup is frozen.
//
// # The lock
//
// An flock(2) on the state directory. It is held for transitions and never while waiting for the
// stage, a hook or the end of the sync socket. Reading (state, list) takes none: a record is
// always whole.
package container
