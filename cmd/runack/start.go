package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"runack/container"
)

func startCommand() *cli.Command {
	return &cli.Command{
		Name:        "start",
		Usage:       "start the program of a created container",
		ArgsUsage:   "ID",
		Description: "Returns once the program runs, or with what execve(2) answered.",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			ctr, err := load(c)
			if err != nil {
				return err
			}
			defer ctr.Close()
			account := keepAccount(c)
			defer account.tell()
			ctx, settled, stop := interruptible()
			defer stop()
			return ctr.Start(container.StartOptions{
				Context: ctx, Settled: settled, Timeout: timeout(), Transcript: account.transcript, NotifySocket: os.Getenv("NOTIFY_SOCKET"),
			})
		},
	}
}
