// Command containerd-shim-runack-v2 is containerd's shim for runack: runtime type
// io.containerd.runack.v2. containerd finds it in its PATH by that name, and calls it
//
//	-namespace NS -id ID -address ADDR start     find or start the shim of a container's group
//	-namespace NS -id ID -bundle DIR delete      remove what a shim has left behind
//	-info                                        what the runtime can do
//	-v                                           its version
//
// Without an action it is the shim itself. This folder owns the command line and refuses everything
// else: that is in package shim.
package main
