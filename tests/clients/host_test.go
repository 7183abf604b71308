package clients

import (
	"fmt"
	"syscall"

	"runack/tests/harness"
)

// A host is a place for a client that has no daemon: a mount and a network namespace like those of
// daemon, kept by a process that does nothing. One without a keeper is the machine itself.
type host struct {
	keeper *harness.Proc
}

// newHost makes a host, which ends with the test.
func newHost(e *harness.Env, prepare string) host {
	e.T.Helper()
	h := host{e.Command("sleep", "infinity").
		Through("sh", "-c", `echo ready && exec "$@"`, "sh").
		Through("unshare", "--mount", "--net", "sh", "-c", ownHost(prepare), "sh").Piped().Start()}
	h.keeper.Expect("ready")
	e.T.Cleanup(func() { h.keeper.Signal(syscall.SIGTERM); h.keeper.Wait() })
	return h
}

// in has a command run there.
func (h host) in(c *harness.Cmd) *harness.Cmd {
	if h.keeper == nil {
		return c
	}
	return c.Through("nsenter", "--target", fmt.Sprint(h.keeper.Pid), "--mount", "--net", "--root", "--wd", "--")
}
