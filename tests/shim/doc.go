// Package shim runs the real containerd-shim-runack-v2 with real containers. It owns a stand-in for
// containerd, which speaks to the shim as containerd does and takes its events, and the tests with
// real containerds. It refuses to look into the shim: what it knows comes over the API.
package shim
