package main

import (
	"encoding/json"
	"os"

	"github.com/urfave/cli/v2"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name:        "plan",
		Usage:       "print what create would do, step by step, and do nothing",
		Description: "The steps are those that the stage carries out inside the container, in their order.",
		Flags: []cli.Flag{
			bundleFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.BoolFlag{Name: "no-pivot", Usage: "as for create"},
			&cli.BoolFlag{Name: "no-new-keyring", Usage: "as for create"},
			&cli.BoolFlag{Name: "init", Usage: "as for create"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			o, err := createOptions(c)
			if err != nil {
				return err
			}
			if o.ID == "" {
				o.ID = "ID" // the plan of any container of this bundle
			}
			p, err := store(c).Plan(o)
			if err != nil {
				return err
			}
			if !c.Bool("json") {
				return p.WriteText(os.Stdout)
			}
			enc := json.NewEncoder(os.Stdout)
			enc.SetIndent("", "  ")
			return enc.Encode(p)
		},
	}
}
