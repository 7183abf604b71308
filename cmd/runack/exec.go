package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"runack/container"
)

func execCommand() *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run another process in a container",
		ArgsUsage: "ID COMMAND [ARG...]  (or: -p process.json ID)",
		Description: "Exits with the process's own status, 128 plus the signal's number where one ended it,\n" +
			"or 255 where the process could not be set up.",
		Flags: append(ioFlags(),
			&cli.StringFlag{Name: "cwd", Usage: "working directory in the container"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, KeepSpace: true, Usage: "add `NAME=VALUE` to the environment"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "allocate a terminal"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`UID[:GID]`"},
			&cli.Int64SliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "add a supplementary group"},
			&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "read the process from `FILE` instead"},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return once the process runs"},
			&cli.StringFlag{Name: "process-label", Usage: "SELinux `LABEL` of the process"},
			&cli.StringFlag{Name: "apparmor", Usage: "AppArmor `PROFILE` of the process"},
			&cli.BoolFlag{Name: "no-new-privs", Usage: "set no_new_privs"},
			&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add a capability"},
			&cli.StringSliceFlag{Name: "cgroup", Usage: "run in a sub-cgroup: `[CONTROLLER[,...]:]PATH`"},
			&cli.BoolFlag{Name: "ignore-paused", Usage: "allow it in a paused container"},
			&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt and reap orphans of the process (which come here from a shared PID namespace only)"},
			&cli.StringFlag{Name: "exec-wait-fifo", Usage: "run the command only once the fifo at `PATH` is opened for reading"},
			&cli.BoolFlag{Name: "reap", Usage: "leave a small process in the container that reaps what the command leaves behind"},
		),
		Action: func(c *cli.Context) error {
			status, err := execAction(c)
			if err != nil {
				return codedError{fmt.Errorf("exec failed: %w", err), exitExec}
			}
			return exitStatus(status)
		},
	}
}

func execAction(c *cli.Context) (int, error) {
	o, err := execOptions(c)
	if err != nil {
		return 0, err
	}
	ctr, err := load(c)
	if err != nil {
		return 0, err
	}
	defer ctr.Close()
	account := keepAccount(c)
	defer account.tell()
	o.Transcript = account.transcript
	if o.IO.Detach {
		ctx, settled, stop := interruptible()
		defer stop()
		o.Context, o.Settled = ctx, settled
	}
	return ctr.ExecAndWait(o)
}

func execOptions(c *cli.Context) (container.ExecOptions, error) {
	var o container.ExecOptions
	if err := wantArgs(c, 1, -1); err != nil {
		return o, err
	}
	args := c.Args().Tail()
	if len(args) == 0 && c.String("process") == "" {
		return o, errors.New("exec args cannot be empty")
	}
	cgroups, err := container.ParseSubCgroups(c.StringSlice("cgroup"))
	if err != nil {
		return o, err
	}
	fifo, err := absolute(c.String("exec-wait-fifo"))
	if err != nil {
		return o, err
	}
	io, err := processIO(c, 0)
	if err != nil {
		return o, err
	}
	io.Detach = c.Bool("detach")
	return container.ExecOptions{
		IO:           io,
		ProcessFile:  c.String("process"),
		SubCgroups:   cgroups,
		IgnorePaused: c.Bool("ignore-paused"),
		Reap:         c.Bool("reap"),
		WaitFifo:     fifo,
		NoSubreaper:  c.Bool("no-subreaper"),
		Timeout:      timeout(),
		Override: container.Override{
			Args:           args,
			Cwd:            c.String("cwd"),
			Env:            c.StringSlice("env"),
			Terminal:       c.Bool("tty"),
			User:           c.String("user"),
			AdditionalGIDs: c.Int64Slice("additional-gids"),
			SELinuxLabel:   c.String("process-label"),
			AppArmor:       c.String("apparmor"),
			NoNewPrivs:     boolIfSet(c, "no-new-privs"),
			Caps:           c.StringSlice("cap"),
		},
	}, nil
}

// boolIfSet distinguishes --x=false from no --x.
func boolIfSet(c *cli.Context, name string) *bool {
	if !c.IsSet(name) {
		return nil
	}
	b := c.Bool(name)
	return &b
}
