// Command runack is an OCI runtime, to be used where runc is: by hand, and below docker,
// containerd, podman and CRI-O.
//
// This folder owns the command line: one thin file per verb, the flags, the exit codes and the
// form of the log. It refuses any logic that a second caller, such as the shim, would need: that
// is in package container.
//
// Exit codes: 0 for success, 1 for an error of the runtime, 255 where exec could not set its
// process up. The foreground run and exec pass the workload's own code through, and 128 plus the
// number of the signal that ended it.
package main
