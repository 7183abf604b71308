// Command bench measures what a call of the runtime costs, beside other runtimes, and writes the result
// as JSON, as tables and as a plot. It owns how that is measured, and refuses to judge: what the numbers
// mean is for whoever reads them.
//
//	bench [-out DIR] [-part NAME,...] [-rounds N] [-live N,...]
//
// Measured are bin/runack, what RUNC and CRUN name (by default the runc and crun of PATH), and whatever else
// OTHERS names, by paths. As root.
//
// Each call is one process, from fork to its exit. All runtimes get the same bundle (busybox alone, the
// configuration that `runack spec` writes, no terminal) and a state directory of their own on one tmpfs,
// as /run is on a host. They take turns after every few calls, so that what else the machine does meets
// all of them alike. Everything happens once back to back and once with the host idle for 100 ms before
// each call, since an idle host makes some cgroup operations wait for an RCU grace period; and on a hybrid
// host once in each view of its cgroups (v1 alone, v2 alone), in a private mount namespace, since crun
// refuses hybrid hosts.
//
// The floor beside them is a C program (floor.c) that makes the same namespaces and mounts and executes
// the same program, with no cgroup and no configuration; empty is a Go program that does nothing.
package main
