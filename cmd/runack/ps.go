package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"runack/container"
)

func psCommand() *cli.Command {
	return &cli.Command{
		Name:        "ps",
		Usage:       "show the processes of a container",
		ArgsUsage:   "ID [PS-OPTION...]",
		Description: "The options go to ps(1); without any it is called with -ef.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "`FORMAT`: table or json"},
		},
		Action: onContainer(-1, func(c *cli.Context, ctr *container.Container) error {
			pids, err := ctr.Processes()
			if err != nil {
				return err
			}
			switch c.String("format") {
			case "table":
				return psTable(os.Stdout, pids, c.Args().Tail())
			case "json":
				return json.NewEncoder(os.Stdout).Encode(pids)
			}
			return errFormat
		}),
	}
}

// psTable runs ps(1) over the host and keeps the lines of the container's pids.
func psTable(w io.Writer, pids []int, args []string) error {
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	output, err := exec.Command("ps", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ps %s: %w: %s", strings.Join(args, " "), err, output)
	}
	return filterPS(w, string(output), pids)
}

func filterPS(w io.Writer, output string, pids []int) error {
	column := -1
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if column < 0 {
			if column = slices.Index(fields, "PID"); column < 0 {
				return errors.New("ps: no column PID in its output")
			}
		} else if !ofContainer(fields, column, pids) {
			continue
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func ofContainer(fields []string, column int, pids []int) bool {
	if column >= len(fields) {
		return false
	}
	pid, err := strconv.Atoi(fields[column])
	return err == nil && slices.Contains(pids, pid)
}
