// Package reaper waits for processes: one loop for any number of processes and containers. It owns
// when a child is reaped, in which order exits are told, and what becomes of orphans that the
// kernel hands to a subreaper. It starts nothing, signals nothing, knows no cgroup and imports
// nothing of ours; and it leaves alone what others in the process wait for (os/exec above all).
//
// # The loop
//
// Every known process is watched through its pidfd in one epoll instance, which itself sits in Go's
// network poller: while nothing happens no thread is blocked, and a process costs no goroutine.
// SIGCHLD, by way of os/signal, is only the hint that a child nobody told us about may have died;
// one signal may stand for many exits, so what is there is looked up, never counted. A signalfd
// would miss signals here: it sees only what is blocked in every thread, and Go's threads block
// nothing. ECHILD is the normal way to learn that there are no children.
//
// # Whose zombie is it
//
// A zombie child of this process is either known (registered here), or somebody else's in this
// process (os/exec, which will wait for it), or adopted (an orphan that came to the subreaper, and
// nobody else will ever wait for). The last two look alike: same parent, same exit signal. The
// rule, and why it is sound:
//
//  1. An unknown zombie becomes a candidate: it is pinned by a pidfd of our own, so that from here
//     on its number cannot come to mean another process.
//  2. A candidate is nobody's as long as a [Start] is open that was opened before the candidate was
//     first seen dead: it may be the process being started. A Start opened later cannot own a
//     process that was dead already, so a stream of starts never puts orphans off for ever; it is a
//     grace period as in RCU.
//  3. A candidate is not ours as long as this process holds another pidfd of it. os.StartProcess
//     forks with CLONE_PIDFD, which puts the descriptor into the table before the child can run,
//     and os.Process.Wait closes it after it has reaped. So every zombie that os/exec still
//     wants has its pidfd in /proc/self/fd, and no other call, lock or registration is needed.
//  4. What remains is reaped by our pidfd and counted.
//
// Left outside: a child forked without a pidfd (plain syscall.ForkExec, cgo) and waited for by
// number. Whoever does that opens a [Start] before the fork and ends it after the wait; so does
// whoever lets another process clone children for it (CLONE_PARENT), whose pidfd arrives later.
//
// Looking for unknown zombies costs time proportional to the number of children, so it is given a
// budget: it takes at most about a fiftieth of one CPU, and is put off, never left out, beyond that.
//
// # Order
//
// All exits of one [Reaper] form one stream, and every [Subscription] sees all of it in the same
// order. In a [Group] the init's exit comes last: it is held until every exec that is running or
// being started has been told. With a PID namespace of the container's own this needs no deadline:
// the kernel kills every member when the init dies and does not let the init become a zombie
// before they are reaped. With a shared PID namespace execs survive, so the hold has a limit
// ([GroupOptions.HoldLimit]), the [GroupOptions.Held] callback says who is waited for (and ends them), and an init
// that is told at the limit says whom it left behind.
//
// # Cost
//
// Measured by the benchmarks, on two cores that other programs kept busy (load 10), Linux 6.18:
//
//	live processes                       10     1,000    10,000
//	CPU time of one exit among them    74 us     86 us     98 us
//	CPU time per exit, all at once     33 us     17 us     27 us
//	a look for unknown zombies          2 us    180 us   3700 us
//
// The first row is nearly flat: an exit costs the same however many live. The last one grows with the
// number of children, and is what the budget is for: the 10,000 were looked through 7 times in the
// second in which 529 of them ended.
//
// A watched process costs a pidfd and 150 bytes. An exit is kept once, however many subscribers there
// are, until the slowest has read it: 180 bytes each. A subscriber that never reads therefore costs
// memory, delays nobody and loses nothing.
package reaper
