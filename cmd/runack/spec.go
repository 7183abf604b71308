package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"runack/bundle"
)

func specCommand() *cli.Command {
	return &cli.Command{
		Name:        "spec",
		Usage:       "write a starter config.json",
		Description: "The program of the starter is sh; edit process.args for another. The root file system is rootfs.",
		Flags: []cli.Flag{
			bundleFlag(),
			&cli.BoolFlag{Name: "rootless", Usage: "write one for a user without privilege"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			spec := bundle.DefaultSpec()
			if c.Bool("rootless") {
				spec = bundle.RootlessSpec(uint32(os.Geteuid()), uint32(os.Getegid()))
			}
			data, err := json.MarshalIndent(spec, "", "\t")
			if err != nil {
				return err
			}
			return writeNew(filepath.Join(c.String("bundle"), bundle.ConfigFile), data)
		},
	}
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("file %s exists; remove it first", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}
