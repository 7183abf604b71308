package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"runack/container"
)

var errFormat = errors.New("invalid format option")

func listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the containers below --root",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "`FORMAT`: table or json"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print the IDs only"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			write, err := listWriter(c)
			if err != nil {
				return err
			}
			rows, err := store(c).List()
			if err != nil {
				return err
			}
			return write(os.Stdout, readable(rows))
		},
	}
}

func listWriter(c *cli.Context) (func(io.Writer, []*container.State) error, error) {
	if c.Bool("quiet") {
		return writeIDs, nil
	}
	switch c.String("format") {
	case "table":
		return writeTable, nil
	case "json":
		return func(w io.Writer, s []*container.State) error { return json.NewEncoder(w).Encode(s) }, nil
	}
	return nil, errFormat
}

// readable keeps the rows that have a state and tells standard error about the others: one broken
// container must not hide the rest.
func readable(rows []container.Listed) []*container.State {
	var states []*container.State
	for _, row := range rows {
		if row.Err != nil {
			fmt.Fprintf(os.Stderr, "container %s: %s\n", row.ID, oneLine(row.Err))
			continue
		}
		states = append(states, row.State)
	}
	return states
}

func writeIDs(w io.Writer, states []*container.State) error {
	for _, s := range states {
		if _, err := fmt.Fprintln(w, s.ID); err != nil {
			return err
		}
	}
	return nil
}

func writeTable(w io.Writer, states []*container.State) error {
	t := tabwriter.NewWriter(w, 12, 1, 3, ' ', 0)
	fmt.Fprint(t, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range states {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n",
			s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return t.Flush()
}
