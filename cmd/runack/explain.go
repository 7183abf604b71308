package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"runack/handshake"
)

// traceFlag and its variable ask for a trace of one command.
func traceFlag() cli.Flag {
	return &cli.StringFlag{Name: "trace", EnvVars: []string{"RUNACK_TRACE"},
		Usage: "write what took how long to `FILE`, in the Chrome trace event format; for a directory, to a new file in it"}
}

// An account is what one command keeps of its own doings: for --debug and --trace. Without these it
// keeps nothing.
type account struct {
	verb, object string
	path         string // of the trace; empty for none
	debug        bool
	began        handshake.Mark
	transcript   *handshake.Transcript
}

// keepAccount begins it. Call tell when the command is over.
func keepAccount(c *cli.Context) *account {
	a := &account{verb: c.Command.Name, object: c.Args().First(), path: c.String("trace"), debug: c.Bool("debug")}
	if a.debug || a.path != "" {
		a.transcript = &handshake.Transcript{Times: a.path != ""}
		a.startUp()
		a.began = a.transcript.Mark()
	}
	return a
}

// startUp shows what it took to get here. When the process began is known to a hundredth of a second only
// (/proc/PID/stat), so its CPU time stands for that.
func (a *account) startUp() {
	now := a.transcript.Mark()
	var used unix.Timespec
	if now == 0 || unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &used) != nil {
		return
	}
	a.transcript.Took(now-handshake.Mark(used.Nano()), "start-up", "CPU time so far")
}

// tell writes the frames to the debug log, an entry each, and the trace to its file. A trace that
// cannot be written fails no container.
func (a *account) tell() {
	if a.transcript == nil {
		return
	}
	a.transcript.Took(a.began, strings.TrimSpace("runack "+a.verb), a.object)
	if a.debug {
		var text strings.Builder
		_ = a.transcript.WriteText(&text) // a Builder takes everything
		for line := range strings.Lines(text.String()) {
			logrus.Debug("frame " + strings.TrimSpace(line))
		}
	}
	if a.path != "" {
		if err := a.writeTrace(); err != nil {
			logrus.Warnf("write trace: %v", err)
		}
	}
}

func (a *account) writeTrace() error {
	path := a.path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, fmt.Sprintf("runack-%s-%d.json", a.verb, os.Getpid()))
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = a.transcript.WriteChrome(f, strings.TrimSpace("runack "+a.verb+" "+a.object))
	return errors.Join(err, f.Close())
}
