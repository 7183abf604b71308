package main

import (
	"github.com/urfave/cli/v2"

	"runack/container"
)

func deleteCommand() *cli.Command {
	return &cli.Command{
		Name:        "delete",
		Usage:       "delete a container that is created or has stopped",
		ArgsUsage:   "ID",
		Description: "With --force also one that runs, one that a killed runtime left half-made, and one that is not there.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill a running container first"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			account := keepAccount(c)
			defer account.tell()
			return store(c).Delete(c.Args().First(), container.DeleteOptions{
				Force: c.Bool("force"), Transcript: account.transcript,
			})
		},
	}
}
