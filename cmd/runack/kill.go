package main

import (
	"github.com/urfave/cli/v2"

	"runack/container"
)

func killCommand() *cli.Command {
	return &cli.Command{
		Name:        "kill",
		Usage:       "send a signal (default: SIGTERM) to the container's init process",
		ArgsUsage:   "ID [SIGNAL]",
		Description: "SIGNAL is a number or a name in any case, with or without SIG: 9, KILL, sigterm, RTMIN+3.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "send it to every process of the container"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 2); err != nil {
				return err
			}
			name := "SIGTERM"
			if c.NArg() == 2 {
				name = c.Args().Get(1)
			}
			sig, err := container.ParseSignal(name)
			if err != nil {
				return err
			}
			ctr, err := load(c)
			if err != nil {
				return err
			}
			defer ctr.Close()
			return ctr.Kill(sig, c.Bool("all"))
		},
	}
}
