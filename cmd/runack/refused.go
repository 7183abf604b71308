package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// refusedCommand is a verb of runc's that clients call and that runack does not have yet. It takes
// any option, so that the answer is about the verb, and still has its --help.
func refusedCommand(name string) *cli.Command {
	return &cli.Command{
		Name:            name,
		Usage:           "not supported yet",
		Hidden:          true,
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			if first := c.Args().First(); first == "--help" || first == "-h" {
				return cli.ShowSubcommandHelp(c)
			}
			return fmt.Errorf("%s is not supported by this version of runack", name)
		},
	}
}
