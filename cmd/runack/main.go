package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"runack/cgroupjoin"
)

const (
	exitError = 1   // an error of the runtime
	exitExec  = 255 // exec could not set its process up
)

// exitStatus is the exit code of a workload: not an error, so nothing is logged.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// codedError is an error with an exit code other than exitError.
type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }

// run is the whole program but for the exit, so that tests can call it.
func run(args []string) int {
	log := newErrorLog()
	defer log.close()
	app := newApp(log, args)
	err := app.Run(interleave(app, args))
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	log.fatal(withHint(err))
	var coded codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitError
}

func newApp(log *errorLog, args []string) *cli.App {
	cli.VersionPrinter = func(c *cli.Context) { printVersion(c.App.Writer) }
	global := globalFlags()
	return &cli.App{
		Name:        "runack",
		Usage:       "an OCI runtime whose every step is acknowledged",
		Description: appDescription,
		Version:     version,
		Compiled:    time.Unix(0, 1), // not shown; where it is zero the cli package looks at the file of the program
		Flags:       global,
		Commands:    commands(calledVerb(global, args)),
		Before: func(c *cli.Context) error {
			if err := log.configure(c.String("log"), c.String("log-format"), c.Bool("debug")); err != nil {
				return err
			}
			if d := timeout(); d > 0 {
				cgroupjoin.WaitForSystemd(d)
			}
			return checkRoot(c)
		},
		Action:         rootAction,
		OnUsageError:   usageError,
		ExitErrHandler: func(*cli.Context, error) {}, // run prints and exits
		// A value such as -e A=b,c is one value, as with runc.
		DisableSliceFlagSeparator: true,
		HideHelpCommand:           true,
	}
}

// rootAction runs without a command, or with an unknown one.
func rootAction(c *cli.Context) error {
	if c.NArg() > 0 {
		return fmt.Errorf("unknown command %q; see runack --help", c.Args().First())
	}
	return cli.ShowAppHelp(c)
}

// usageError is for a flag that does not parse: one line, and no page of help in front of it.
func usageError(c *cli.Context, err error, isSubcommand bool) error {
	help := "runack --help"
	if isSubcommand {
		help = "runack " + c.Command.Name + " --help"
	}
	return fmt.Errorf("%w; see %s", err, help)
}

// verbs are all commands, in the order of the help.
var verbs = []struct {
	name    string
	command func() *cli.Command
}{
	{"create", createCommand}, {"start", startCommand}, {"run", runCommand}, {"exec", execCommand},
	{"state", stateCommand}, {"kill", killCommand}, {"delete", deleteCommand}, {"list", listCommand},
	{"ps", psCommand}, {"pause", pauseCommand}, {"resume", resumeCommand}, {"update", updateCommand},
	{"events", eventsCommand}, {"spec", specCommand}, {"plan", planCommand}, {"features", featuresCommand},
	{"doctor", doctorCommand},
	{"try", tryCommand},
	{"checkpoint", func() *cli.Command { return refusedCommand("checkpoint") }},
	{"restore", func() *cli.Command { return refusedCommand("restore") }},
}

// withHint says where to look when a kernel, or a filter in front of it, lacks a system call.
func withHint(err error) error {
	if errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w (Linux 5.14 or later is needed: `runack doctor` tells what is missing here)", err)
	}
	return err
}

// commands gives the command of a verb, or all where it is none: describing the others to the cli
// package takes 0.15 ms, as long as it takes to start a stage. Every one of them gets the one way to
// report a wrong flag, and no sub-command "help", which would take a container of that name away.
func commands(verb string) []*cli.Command {
	var list []*cli.Command
	for _, v := range verbs {
		if v.name == verb || verb == "" {
			c := v.command()
			c.OnUsageError = usageError
			c.HideHelpCommand = true
			list = append(list, c)
		}
	}
	return list
}

// calledVerb finds the verb on the command line; "" where there is none, or where the help of the whole
// program is asked for.
func calledVerb(global []cli.Flag, args []string) string {
	at := commandIndex(global, args)
	if at < 0 || slices.ContainsFunc(args[1:at], isHelp) {
		return ""
	}
	for _, v := range verbs {
		if v.name == args[at] {
			return v.name
		}
	}
	return ""
}

func isHelp(option string) bool {
	name := strings.TrimLeft(option, "-")
	return name == "h" || name == "help"
}

const appDescription = `runack starts and manages containers that follow the specification of the Open
Container Initiative. It is called like runc:

    runack spec                     write a starter config.json
    runack run [-b BUNDLE] ID       create, start, wait and delete
    runack create [-b BUNDLE] ID    create, then: start, exec, kill, delete

A bundle is a directory with a config.json and, usually, the root file system.`
