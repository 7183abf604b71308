package main

import (
	"encoding/json"
	"os"

	"github.com/urfave/cli/v2"

	"runack/container"
)

func stateCommand() *cli.Command {
	return &cli.Command{
		Name:      "state",
		Usage:     "print the state of a container as JSON",
		ArgsUsage: "ID",
		Action: onContainer(1, func(c *cli.Context, ctr *container.Container) error {
			state, err := ctr.State()
			if err != nil {
				return err
			}
			data, err := json.MarshalIndent(state, "", "  ")
			if err != nil {
				return err
			}
			_, err = os.Stdout.Write(append(data, '\n'))
			return err
		}),
	}
}
