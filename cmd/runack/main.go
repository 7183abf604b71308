package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"
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

func main() { os.Exit(run(os.Args)) }

// run is the whole program but for the exit, so that tests can call it.
func run(args []string) int {
	log := newErrorLog()
	defer log.close()
	app := newApp(log)
	err := app.Run(interleave(app, args))
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	log.fatal(err)
	var coded codedError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitError
}

func newApp(log *errorLog) *cli.App {
	cli.VersionPrinter = func(c *cli.Context) { printVersion(c.App.Writer) }
	return &cli.App{
		Name:        "runack",
		Usage:       "an OCI runtime whose every step is acknowledged",
		Description: appDescription,
		Version:     version,
		Flags:       globalFlags(),
		Commands:    commands(),
		Before: func(c *cli.Context) error {
			if err := log.configure(c.String("log"), c.String("log-format"), c.Bool("debug")); err != nil {
				return err
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

// commands are all verbs, in the order of the help. Every one of them gets the one way to report a
// wrong flag, and no sub-command "help", which would take a container of that name away.
func commands() []*cli.Command {
	all := []*cli.Command{
		createCommand(), startCommand(), runCommand(), execCommand(), stateCommand(), killCommand(),
		deleteCommand(), listCommand(), psCommand(), pauseCommand(), resumeCommand(), updateCommand(), eventsCommand(),
		specCommand(), planCommand(), featuresCommand(), tryCommand(),
		refusedCommand("checkpoint"), refusedCommand("restore"),
	}
	for _, c := range all {
		c.OnUsageError = usageError
		c.HideHelpCommand = true
	}
	return all
}

const appDescription = `runack starts and manages containers that follow the specification of the Open
Container Initiative. It is called like runc:

    runack spec                     write a starter config.json
    runack run [-b BUNDLE] ID       create, start, wait and delete
    runack create [-b BUNDLE] ID    create, then: start, exec, kill, delete

A bundle is a directory with a config.json and, usually, the root file system.`
