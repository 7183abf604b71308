package container

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"runack/cgroupjoin"
)

// A Status is the state of a container as callers see it. All are the runtime specification's but
// paused, which is runc's.
type Status string

// The states.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// A moment is what was found out about a container at one look. Close it.
type moment struct {
	status Status
	init   *os.File // pidfd of the living init, nil where there is none; owned
}

func (m moment) close() {
	if m.init != nil {
		_ = m.init.Close()
	}
}

// look derives the state from the record and from what lives now. It takes no lock.
func (c *Container) look() (moment, error) {
	var m moment
	var err error
	if c.rec.Init != nil {
		if m.init, err = c.rec.Init.open(); err != nil {
			return m, err
		}
	}
	m.status, err = c.statusWith(m.init != nil)
	if err != nil {
		m.close()
		return moment{}, err
	}
	return m, nil
}

// statusWith derives the state, given whether init lives.
func (c *Container) statusWith(initAlive bool) (Status, error) {
	if c.rec.Phase == phaseCreating {
		return c.creatingStatus(initAlive)
	}
	if !initAlive {
		return Stopped, nil
	}
	frozen, err := c.frozen()
	if err != nil {
		return "", err
	}
	if frozen {
		return Paused, nil
	}
	if c.rec.Phase == phaseCreated {
		return Created, nil
	}
	if c.rec.Phase == phaseStarting {
		return c.startingStatus()
	}
	return Running, nil
}

// startingStatus: while its starter lives, and has not taken the start socket away, the program
// does not run (startContainer hooks may). A starter that died leaves the question to the stage: as
// long as somebody listens, nobody has said start to it.
func (c *Container) startingStatus() (Status, error) {
	listening, err := c.dir.listening()
	if err != nil {
		return "", err
	}
	if listening == listenerNone {
		return Running, nil
	}
	live, err := c.actorAlive()
	if err != nil {
		return "", err
	}
	if live || listening == listenerLive {
		return Created, nil
	}
	return Running, nil
}

// creatingStatus: a create that lost its runtime is over. The stage sees the end of its sync socket
// and leaves; until it has, or where it was stopped and cannot, there is still something.
func (c *Container) creatingStatus(initAlive bool) (Status, error) {
	if initAlive {
		return Creating, nil
	}
	live, err := c.actorAlive()
	if err != nil {
		return "", err
	}
	if live {
		return Creating, nil
	}
	return Stopped, nil
}

// actorAlive says whether the runtime that carries out the present transition lives.
func (c *Container) actorAlive() (bool, error) {
	if c.rec.Actor == nil {
		return false, nil
	}
	return c.rec.Actor.alive()
}

// frozen says whether the container's cgroup is frozen.
func (c *Container) frozen() (bool, error) {
	cg, err := c.cgroup()
	if err != nil || cg == nil {
		return false, err
	}
	frozen, err := cg.Frozen()
	if err != nil {
		return false, c.wrap(err)
	}
	return frozen, nil
}

// refuseFrozen is for a cgroup that is frozen through one above it. The container is not paused, but what
// is started in it does not run.
func (c *Container) refuseFrozen(step string) error {
	cg, err := c.cgroup()
	if err != nil || cg == nil {
		return err
	}
	return c.wrap(cg.CheckThawed(step))
}

// cgroup brings the container's cgroup back from the record; nil where it has none.
func (c *Container) cgroup() (*cgroupjoin.Cgroup, error) {
	if c.cg != nil || c.rec.Cgroup == nil {
		return c.cg, nil
	}
	cg, err := cgroupjoin.Load(*c.rec.Cgroup)
	if err != nil {
		return nil, c.wrap(err)
	}
	c.cg = cg
	return cg, nil
}

// startSocket is the name that nsexec binds in the state directory.
const startSocket = "start.sock"

// A listener is what became of the start socket.
type listener int

const (
	listenerNone listener = iota // taken away
	listenerGone                 // there, but nobody listens any more
	listenerLive
)

// listening says whether somebody listens on start.sock: init as long as it waits for start. The
// connection is closed at once; the stage takes it for a client that died and accepts the next.
//
// The path goes through the directory's descriptor: the state directory's own path may be longer
// than the 107 bytes of a socket address (unix(7)).
func (d *stateDir) listening() (listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0, failed("open socket", "", err)
	}
	defer unix.Close(fd)
	path := "/proc/self/fd/" + strconv.Itoa(d.fd()) + "/" + startSocket
	err = retryIntr(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	switch {
	case err == nil, errors.Is(err, unix.EAGAIN): // EAGAIN: somebody listens, and the queue is full
		return listenerLive, nil
	case errors.Is(err, unix.ECONNREFUSED):
		return listenerGone, nil
	case errors.Is(err, unix.ENOENT):
		return listenerNone, nil
	}
	return 0, failed("connect to", d.path+"/"+startSocket, err)
}
