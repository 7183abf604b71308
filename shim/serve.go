package shim

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// idleLimit is how long a shim without tasks stays when nobody is connected: containerd ends it
// with Shutdown, unless containerd has gone itself.
const idleLimit = 10 * time.Second

// answerGrace is what the answer to Shutdown is given to get out: ttrpc may take a connection with a
// call on it for an idle one. answerLimit bounds the wait for others.
const (
	answerGrace = 100 * time.Millisecond
	answerLimit = time.Second
)

// Serve is the shim itself: it serves the socket until it is shut down. ttrpcAddress is where
// containerd takes events.
func Serve(p Params, socket *os.File, ttrpcAddress string) error {
	listener, err := net.FileListener(socket)
	if err != nil {
		return err
	}
	_ = socket.Close()
	forward := &forwarder{address: ttrpcAddress}
	s, err := newService(p.Namespace, newPublisher(p.Namespace, forward.send), containers{})
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	s.register(server)
	counted := &countingListener{Listener: listener, changed: make(chan struct{}, 1)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), counted) }()
	go s.giveMemoryBack()
	return s.serve(server, counted, served)
}

// serve waits for a reason to end.
func (s *Service) serve(server *ttrpc.Server, l *countingListener, served <-chan error) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGINT)
	var err error
	select {
	case <-s.down:
	case <-s.abandoned(l):
		logrus.Info("no task and nobody connected: the shim ends")
	case sig := <-stop:
		logrus.Infof("the shim ends by %v; its containers go on", sig)
	case err = <-served:
	}
	// The name goes first, while it is still ours: a shim of the same group that starts from here on
	// makes it anew.
	_ = os.Remove(l.Addr().String())
	s.close()
	time.Sleep(answerGrace)
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	_ = server.Shutdown(ctx)
	return errors.Join(err, server.Close())
}

// abandoned is closed when there has been no task and no connection for idleLimit.
func (s *Service) abandoned(l *countingListener) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		for {
			idle := time.NewTimer(idleLimit)
			if l.open.Load() > 0 {
				idle.Stop()
			}
			select {
			case <-l.changed:
				idle.Stop()
			case <-idle.C:
				if s.idle() {
					close(gone)
					return
				}
				<-l.changed // tasks that nobody asks for stay
			}
		}
	}()
	return gone
}

// idle says whether the shim has no task.
func (s *Service) idle() bool {
	idle := false
	s.loop.do(func() { idle = len(s.loop.tasks) == 0 })
	return idle
}

// A countingListener knows how many connections are open.
type countingListener struct {
	net.Listener
	open    atomic.Int64
	changed chan struct{} // has room for one: a hint that open has changed
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.count(1)
	return &countedConn{Conn: conn, listener: l}, nil
}

func (l *countingListener) count(n int64) {
	l.open.Add(n)
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

type countedConn struct {
	net.Conn
	listener *countingListener
	once     sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.listener.count(-1) })
	return c.Conn.Close()
}
