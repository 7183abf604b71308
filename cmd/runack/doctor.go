package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"runack/internal/doctor"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "look at this host: what containers need, what is there, and what to do",
		Description: "Asks the kernel for features, not for its version, and changes nothing. Exits with 1 where something is\n" +
			"missing without which no container runs.",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print JSON"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			checks := doctor.Examine()
			if err := writeChecks(c.App.Writer, checks, c.Bool("json")); err != nil {
				return err
			}
			if !doctor.Works(checks) {
				return errors.New("doctor: something is missing without which no container runs")
			}
			return nil
		},
	}
}

func writeChecks(w io.Writer, checks []doctor.Check, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(checks)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "STATE\tGROUP\tCHECK\tFOUND\tWHAT TO DO") // Flush has the error
	for _, c := range checks {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.State, c.Group, c.Name, c.Found, c.Advice)
	}
	return t.Flush()
}
