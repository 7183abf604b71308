// Package integration runs real containers with the real binary and looks at what comes of it. It
// owns one file per behaviour, readable as sentences; how a container is set up and how nothing is
// left behind is tests/harness's. It refuses to look inside the runtime: its tests are as true of
// runc, unless they say why not, and RUNTIME=runc shows it.
package integration
