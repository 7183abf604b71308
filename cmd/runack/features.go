package main

import (
	"encoding/json"
	"os"

	"github.com/urfave/cli/v2"

	"runack/container"
)

func featuresCommand() *cli.Command {
	return &cli.Command{
		Name:        "features",
		Usage:       "print what this runtime supports as JSON",
		Description: "The form is that of the runtime specification (features.md).",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			enc := json.NewEncoder(os.Stdout)
			enc.SetIndent("", "    ")
			f, err := container.Features()
			if err != nil {
				return err
			}
			return enc.Encode(f)
		},
	}
}
