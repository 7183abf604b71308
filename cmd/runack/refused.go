package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// refusedCommand is a verb of runc's that clients call and that runack does not have yet.
func refusedCommand(name string) *cli.Command {
	return &cli.Command{
		Name:            name,
		Usage:           "not supported yet",
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(*cli.Context) error {
			return fmt.Errorf("%s is not supported by this version of runack", name)
		},
	}
}
