package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"runack/container"
)

func updateCommand() *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "change a container's limits",
		ArgsUsage: "ID",
		Description: "What is not named stays. With --resources the other options are ignored; its form is that of\n" +
			"linux.resources in config.json.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: "read the limits from `FILE`, - for standard input"},
			&cli.StringFlag{Name: "blkio-weight", Usage: "weight for block I/O, 10 to 1000"},
			&cli.StringFlag{Name: "cpu-period", Usage: "CFS period in microseconds, 0 for the default"},
			&cli.StringFlag{Name: "cpu-quota", Usage: "CFS quota in microseconds a period"},
			&cli.StringFlag{Name: "cpu-burst", Usage: "CFS burst in microseconds"},
			&cli.StringFlag{Name: "cpu-share", Usage: "CPU weight beside other containers"},
			&cli.StringFlag{Name: "cpu-rt-period", Usage: "real-time period in microseconds"},
			&cli.StringFlag{Name: "cpu-rt-runtime", Usage: "real-time quota in microseconds a period"},
			&cli.StringFlag{Name: "cpu-idle", Usage: "1 for SCHED_IDLE, 0 for the default"},
			&cli.StringFlag{Name: "cpuset-cpus", Usage: "CPUs to use, such as 0-2,4"},
			&cli.StringFlag{Name: "cpuset-mems", Usage: "memory nodes to use"},
			&cli.StringFlag{Name: "memory", Usage: "memory limit in bytes or with a unit, -1 for none"},
			&cli.StringFlag{Name: "memory-reservation", Usage: "soft memory limit"},
			&cli.StringFlag{Name: "memory-swap", Usage: "limit of memory and swap together, -1 for none"},
			&cli.StringFlag{Name: "kernel-memory", Hidden: true, Usage: "ignored"},
			&cli.StringFlag{Name: "kernel-memory-tcp", Hidden: true, Usage: "ignored"},
			&cli.StringFlag{Name: "pids-limit", Usage: "number of processes and threads, -1 for no limit"},
			&cli.StringFlag{Name: "l3-cache-schema", Usage: "Intel RDT/CAT schema of the L3 cache"},
			&cli.StringFlag{Name: "mem-bw-schema", Usage: "Intel RDT/MBA schema of memory bandwidth"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			resources, err := updatedResources(c)
			if err != nil {
				return err
			}
			ctr, err := load(c)
			if err != nil {
				return err
			}
			defer ctr.Close()
			return ctr.Update(container.Update{
				Resources:     resources,
				L3CacheSchema: c.String("l3-cache-schema"),
				MemBwSchema:   c.String("mem-bw-schema"),
			})
		},
	}
}

// updatedResources reads the limits from where they are given.
func updatedResources(c *cli.Context) (*specs.LinuxResources, error) {
	switch path := c.String("resources"); path {
	case "":
		return resourcesOfFlags(c)
	case "-":
		return readResources("standard input", os.Stdin)
	default:
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readResources(path, file)
	}
}

// maxResources bounds what is read; limits take a kilobyte or two.
const maxResources = 1 << 20

func readResources(name string, r io.Reader) (*specs.LinuxResources, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxResources+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxResources {
		return nil, fmt.Errorf("resources from %s: larger than %d bytes", name, maxResources)
	}
	var out specs.LinuxResources
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("resources from %s: %w", name, err)
	}
	return &out, nil
}

// An optionReader reads options as numbers and keeps the first error.
type optionReader struct {
	c   *cli.Context
	err error
	any bool // an option of the group at hand was set
}

// number reads one option into dest, nil where it is not set. An empty value is none, as with runc.
func number[T any](o *optionReader, name string, parse func(string) (T, error), dest **T) {
	text := o.c.String(name)
	if text == "" || o.err != nil {
		return
	}
	n, err := parse(text)
	if err != nil {
		var ne *strconv.NumError
		if errors.As(err, &ne) {
			err = ne.Err
		}
		o.err = fmt.Errorf("invalid value for %s: %q: %w", name, text, err)
		return
	}
	*dest, o.any = &n, true
}

func parseUnsigned(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }
func parseSigned(s string) (int64, error)    { return strconv.ParseInt(s, 10, 64) }

func parseWeight(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err
}

// parseBytes takes units, and -1 for no limit.
func parseBytes(s string) (int64, error) {
	if s == "-1" {
		return -1, nil
	}
	return units.RAMInBytes(s)
}

func resourcesOfFlags(c *cli.Context) (*specs.LinuxResources, error) {
	o := &optionReader{c: c}
	r := &specs.LinuxResources{CPU: cpuOfFlags(o)}
	o.any = false
	var memory specs.LinuxMemory
	number(o, "memory", parseBytes, &memory.Limit)
	number(o, "memory-reservation", parseBytes, &memory.Reservation)
	number(o, "memory-swap", parseBytes, &memory.Swap)
	if o.any {
		r.Memory = &memory
	}
	o.any = false
	var block specs.LinuxBlockIO
	if number(o, "blkio-weight", parseWeight, &block.Weight); o.any {
		r.BlockIO = &block
	}
	o.any = false
	var pids specs.LinuxPids
	if number(o, "pids-limit", parseSigned, &pids.Limit); o.any {
		r.Pids = &pids
	}
	if o.err != nil {
		return nil, o.err
	}
	return r, nil
}

func cpuOfFlags(o *optionReader) *specs.LinuxCPU {
	cpu := specs.LinuxCPU{Cpus: o.c.String("cpuset-cpus"), Mems: o.c.String("cpuset-mems")}
	o.any = cpu.Cpus != "" || cpu.Mems != ""
	number(o, "cpu-period", parseUnsigned, &cpu.Period)
	number(o, "cpu-quota", parseSigned, &cpu.Quota)
	number(o, "cpu-burst", parseUnsigned, &cpu.Burst)
	number(o, "cpu-share", parseUnsigned, &cpu.Shares)
	number(o, "cpu-rt-period", parseUnsigned, &cpu.RealtimePeriod)
	number(o, "cpu-rt-runtime", parseSigned, &cpu.RealtimeRuntime)
	number(o, "cpu-idle", parseSigned, &cpu.Idle)
	if !o.any {
		return nil
	}
	return &cpu
}
