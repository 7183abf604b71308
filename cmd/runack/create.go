package main

import "github.com/urfave/cli/v2"

func createCommand() *cli.Command {
	return &cli.Command{
		Name:        "create",
		Usage:       "create a container",
		ArgsUsage:   "ID",
		Description: "Creates a container from a bundle, up to the point where its program would run: start does that.",
		Flags:       createFlags(),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			o, err := createOptions(c)
			if err != nil {
				return err
			}
			account := keepAccount(c)
			defer account.tell()
			o.Transcript = account.transcript
			o.IO.Detach = true
			ctx, settled, stop := interruptible()
			defer stop()
			o.Context, o.Settled = ctx, settled
			ctr, err := store(c).Create(o)
			if err != nil {
				return err
			}
			ctr.Close()
			return nil
		},
	}
}
