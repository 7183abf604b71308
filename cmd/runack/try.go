package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"runack/container"
	"runack/handshake"
)

func tryCommand() *cli.Command {
	return &cli.Command{
		Name:        "try",
		Usage:       "run a command in a throw-away container over this host's root file system",
		ArgsUsage:   "[COMMAND [ARG...]]",
		Description: tryDescription,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "show `HOST:CONTAINER[:ro]`; without ro, writing there reaches the host"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, KeepSpace: true, Usage: "add `NAME=VALUE`, or NAME with its value here"},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "working `DIR` in the container (default: the current one)"},
			&cli.StringFlag{Name: "hostname", Usage: "host `NAME` (default: the container's ID)"},
			&cli.StringFlag{Name: "memory", Usage: "limit of memory, a `SIZE` in bytes or with k, m or g"},
			&cli.Int64Flag{Name: "pids", Usage: "limit of processes and threads"},
			&cli.BoolFlag{Name: "no-net", Usage: "a network of its own with nothing but lo, instead of the host's"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "a terminal of its own (default: if stdin and stdout are terminals)"},
			&cli.BoolFlag{Name: "init", Value: true, Usage: "a small init is pid 1; --init=false: the command itself is"},
			&cli.StringFlag{Name: container.TryCleanUpFlag, Hidden: true},
		},
		Action: func(c *cli.Context) error {
			if id := c.String(container.TryCleanUpFlag); id != "" {
				return store(c).TryCleanUp(id, os.Stdin)
			}
			o, err := tryOptions(c)
			if err != nil {
				return err
			}
			account := keepAccount(c)
			defer account.tell()
			o.Transcript = account.transcript
			status, err := store(c).Try(o)
			if err != nil {
				return err
			}
			return exitStatus(status)
		},
	}
}

const tryDescription = `Needs no image and no bundle: the container's files are the host's, below a tmpfs that takes
all writing and vanishes at the end. /dev, /proc, /run and /sys are its own. Without a command
it is a shell, or where there is no terminal a short tour of the container.

The network is the host's unless --no-net is given. It is a place to try things out and no
jail for hostile programs: the host's files can be read, and its root is root inside.

Exits with the command's own status, 128 plus the signal's number where one ended it, or 1
where the container could not be run.`

func tryOptions(c *cli.Context) (container.TryOptions, error) {
	o := container.TryOptions{
		Args: c.Args().Slice(), Cwd: c.String("workdir"), Hostname: c.String("hostname"),
		Pids: c.Int64("pids"), OwnNet: c.Bool("no-net"), Init: c.Bool("init"),
		Systemd: c.Bool("systemd-cgroup"),
		Stdio:   [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
	}
	o.Terminal = c.Bool("tty")
	if !c.IsSet("tty") {
		o.Terminal = isTerminal(os.Stdin) && isTerminal(os.Stdout)
	}
	if o.Cwd != "" && !filepath.IsAbs(o.Cwd) {
		return o, fmt.Errorf("invalid --workdir %q: not absolute", o.Cwd)
	}
	if o.Pids < 0 {
		return o, fmt.Errorf("invalid --pids %d: negative", o.Pids)
	}
	for _, e := range c.StringSlice("env") {
		if name, _, ok := strings.Cut(e, "="); ok || name == "" {
			o.Env = append(o.Env, e) // a wrong one is refused with the rest of the configuration
		} else if v, ok := os.LookupEnv(name); ok {
			o.Env = append(o.Env, name+"="+v)
		}
	}
	for _, v := range c.StringSlice("volume") {
		b, err := parseVolume(v)
		if err != nil {
			return o, fmt.Errorf("invalid --volume %q: %w", v, err)
		}
		o.Binds = append(o.Binds, b)
	}
	var err error
	if s := c.String("memory"); s != "" {
		if o.Memory, err = parseSize(s); err != nil {
			return o, fmt.Errorf("invalid --memory %q: %w", s, err)
		}
	}
	return o, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// parseVolume reads HOST:CONTAINER[:ro|rw]. HOST may be relative.
func parseVolume(s string) (container.TryBind, error) {
	var b container.TryBind
	parts := strings.Split(s, ":")
	if len(parts) == 3 {
		switch parts[2] {
		case "ro":
			b.ReadOnly = true
		case "rw":
		default:
			return b, fmt.Errorf("%q is neither ro nor rw", parts[2])
		}
		parts = parts[:2]
	}
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return b, errors.New("want HOST:CONTAINER[:ro]")
	}
	if !filepath.IsAbs(parts[1]) {
		return b, fmt.Errorf("%q is not absolute", parts[1])
	}
	source, err := filepath.Abs(parts[0])
	if err != nil {
		return b, err
	}
	b.Source, b.Destination = source, parts[1]
	var st unix.Stat_t
	if errno, ok := any(unix.Stat(source, &st)).(unix.Errno); ok { // a bare errno
		return b, fmt.Errorf("%s: %s", source, handshake.ErrnoName(errno))
	}
	return b, nil
}

// parseSize reads a number of bytes, with a unit of 1024, 1024² or 1024³ where one is given.
func parseSize(s string) (int64, error) {
	number, shift := strings.ToLower(s), 0
	for unit, n := range map[string]int{"b": 0, "k": 10, "m": 20, "g": 30} {
		if rest, ok := strings.CutSuffix(number, unit); ok {
			number, shift = rest, n
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return 0, errors.New("want a number, and b, k, m or g behind it")
	case n <= 0:
		return 0, errors.New("not above 0")
	case n > math.MaxInt64>>shift:
		return 0, errors.New("too large")
	}
	return n << shift, nil
}
