package main

import (
	"github.com/urfave/cli/v2"

	"runack/container"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "create and start a container, wait for it and delete it",
		ArgsUsage: "ID",
		Description: "Exits with the program's own status, 128 plus the signal's number where one ended it,\n" +
			"or 1 where the container could not be run.",
		Flags: append(createFlags(),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return once the program runs"},
			&cli.BoolFlag{Name: "keep", Usage: "do not delete the container when its program ends"},
			&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt and reap the container's orphans"},
		),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			create, err := createOptions(c)
			if err != nil {
				return err
			}
			account := keepAccount(c)
			defer account.tell()
			create.Transcript = account.transcript
			if create.IO.Detach = c.Bool("detach"); create.IO.Detach {
				ctx, settled, stop := interruptible()
				defer stop()
				create.Context, create.Settled = ctx, settled
			}
			status, err := store(c).Run(container.RunOptions{
				CreateOptions: create,
				Keep:          c.Bool("keep"),
				NoSubreaper:   c.Bool("no-subreaper"),
			})
			if err != nil {
				return err
			}
			return exitStatus(status)
		},
	}
}
