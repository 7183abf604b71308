package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"runack/shim"
)

// listenFD is where the shim finds its socket.
const listenFD = 3

// launch starts the shim in a session of its own, with the socket and nothing else of `start`'s:
// containerd reads `start`'s output to its end.
func launch(p *shim.Params, socket *os.File, debug bool) (*os.Process, error) {
	args := []string{"-namespace", p.Namespace, "-id", p.ID, "-address", p.Address}
	if debug {
		args = append(args, "-debug")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Dir = p.Bundle
	cmd.ExtraFiles = []*os.File{socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd.Process, nil
}

// serve is the shim itself.
func serve(p *shim.Params) error {
	// Little is alive between two calls, so a smaller heap costs little.
	debug.SetGCPercent(40)
	if err := openLog(p.Debug); err != nil {
		return err
	}
	socket := os.NewFile(listenFD, "socket")
	unix.CloseOnExec(listenFD)
	return shim.Serve(*p, socket, os.Getenv("TTRPC_ADDRESS"))
}

// openLog sends the log to containerd, which reads a fifo in the bundle. A containerd that goes away
// and comes back reads it again, so both ends are held open; what nobody reads is lost.
func openLog(debug bool) error {
	fd, err := unix.Open("log", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	logrus.SetOutput(dropping{fd})
	logrus.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	if debug {
		logrus.SetLevel(logrus.DebugLevel)
	}
	return nil
}

// A dropping writer never waits: a log that nobody reads must not stop the shim.
type dropping struct{ fd int }

func (d dropping) Write(data []byte) (int, error) {
	_, _ = unix.Write(d.fd, data)
	return len(data), nil
}
