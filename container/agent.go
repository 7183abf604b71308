package container

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/internal/act"
)

// An agent decides about the system calls that a profile's SCMP_ACT_NOTIFY asks about. It listens
// at linux.seccomp.listenerPath and gets one message for each process: a ContainerProcessState with
// the notification descriptor (config-linux.md).
type agent struct {
	peer     *socketPeer
	metadata string
}

// dialAgent connects before there is anything that would have to wait for the agent.
func dialAgent(p *specs.LinuxSeccomp) (*agent, error) {
	peer, err := dialPeer("seccomp agent", p.ListenerPath)
	if err != nil {
		return nil, err
	}
	return &agent{peer, p.ListenerMetadata}, nil
}

// agent connects to the agent of a container that has one; nil otherwise.
func (c *Container) agent() (*agent, error) {
	if !c.rec.Agent {
		return nil, nil
	}
	spec, err := c.spec()
	if err != nil {
		return nil, err
	}
	return dialAgent(spec.Linux.Seccomp)
}

func (a *agent) close() {
	if a != nil {
		a.peer.close()
	}
}

// handOver takes a process's listener from the stage and gives it to the agent, which answers from
// then on. Without an agent there is nothing to do.
func (c *Container) handOver(a *agent, take func() (*os.File, error), pid int, status specs.ContainerState, timeout time.Duration) error {
	if a == nil {
		return nil
	}
	return c.act(act.Agent, func() error {
		listener, err := take()
		if err != nil {
			return err
		}
		defer listener.Close()
		return a.give(listener, pid, c.rec.hookState(status), timeout)
	})
}

func (a *agent) give(listener *os.File, pid int, state *specs.State, timeout time.Duration) error {
	data, err := json.Marshal(specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: pid,
		Metadata: a.metadata, State: *state,
	})
	if err == nil {
		err = a.peer.conn.SetWriteDeadline(time.Now().Add(timeout))
	}
	if err != nil {
		return failed("tell seccomp agent", a.peer.path, err)
	}
	// The descriptor goes with the first byte.
	n, _, err := a.peer.conn.WriteMsgUnix(data, unix.UnixRights(int(listener.Fd())), nil)
	if err == nil && n < len(data) {
		_, err = a.peer.conn.Write(data[n:])
	}
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	return failed("send seccomp listener to", a.peer.path, err)
}
