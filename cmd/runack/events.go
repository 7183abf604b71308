package main

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/opencontainers/runc/types"
	"github.com/urfave/cli/v2"
)

func eventsCommand() *cli.Command {
	return &cli.Command{
		Name:        "events",
		Usage:       "print statistics and OOM events of a container as JSON",
		ArgsUsage:   "ID",
		Description: "Prints one object a line until the container is gone.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "time between two statistics"},
			&cli.BoolFlag{Name: "stats", Usage: "print the statistics once"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			interval := c.Duration("interval")
			if interval <= 0 {
				return errors.New("duration interval must be greater than 0")
			}
			ctr, err := load(c)
			if err != nil {
				return err
			}
			defer ctr.Close()
			emit := func(e types.Event) error { return json.NewEncoder(os.Stdout).Encode(e) }
			if !c.Bool("stats") {
				return ctr.Events(interval, emit)
			}
			stats, err := ctr.Stats()
			if err != nil {
				return err
			}
			return emit(types.Event{Type: "stats", ID: ctr.ID(), Data: stats})
		},
	}
}
