package main

import (
	"github.com/urfave/cli/v2"

	"runack/container"
)

func pauseCommand() *cli.Command {
	return freezerCommand("pause", "suspend every process of a container", (*container.Container).Pause)
}

func resumeCommand() *cli.Command {
	return freezerCommand("resume", "let a paused container go on", (*container.Container).Resume)
}

func freezerCommand(name, usage string, act func(*container.Container) error) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: "ID",
		Action:    onContainer(1, func(_ *cli.Context, ctr *container.Container) error { return act(ctr) }),
	}
}
