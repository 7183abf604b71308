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
		Action: onContainer(1, func(c *cli.Context, ctr *container.Container) error {
			account := keepAccount(c)
			defer account.tell()
			ctx, settled, stop := interruptible()
			defer stop()
			return ctr.Start(container.StartOptions{
				Context: ctx, Settled: settled, Timeout: timeout(), Transcript: account.transcript, NotifySocket: os.Getenv("NOTIFY_SOCKET"),
			})
		}),
	}
}
