// Package cgroupjoin owns a container's cgroups: it finds, makes, limits, joins, freezes, measures
// and removes them, on cgroup v1, on hybrid hosts, on cgroup v2, by itself or through systemd.
//
// What a limit means and how it is written is left to github.com/opencontainers/cgroups, runc's own
// library. What this package does by itself is what sits on the start path (finding and making
// directories), and what the library does in another way than the design asks for:
//
//   - The join. The library writes the process's pid to cgroup.procs, which takes the kernel's
//     thread group lock for writing and waits for an RCU grace period on an idle host (10 ms and
//     more). Here a child is born in its cgroup where there is a v2 hierarchy (CLONE_INTO_CGROUP),
//     and on v1 the single-threaded stage writes "0" to the tasks files it is handed, which takes
//     no such lock.
//   - The way out. Whatever Create made, Undo takes away again; Destroy thaws, kills, waits for
//     events and not for luck, gives up after a bounded time and names who survived.
//
// The package starts no process, knows nothing of frames and plans, and refuses to touch a cgroup
// that is frozen or not empty.
package cgroupjoin
