package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"runack/container"
)

func globalFlags() []cli.Flag {
	root, _ := container.DefaultRoot()
	return []cli.Flag{
		&cli.BoolFlag{Name: "debug", Usage: "log what is done, frame by frame"},
		traceFlag(),
		&cli.StringFlag{Name: "log", Usage: "append the log to `FILE` (default: standard error)"},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of the log: text or json"},
		&cli.StringFlag{Name: "root", Value: root, Usage: "`DIR` for the state of containers, best on a tmpfs"},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "let systemd make cgroups; cgroupsPath is then SLICE:PREFIX:NAME"},
		&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "do without cgroups that cannot be made: `true`, false or auto"},
		&cli.StringFlag{Name: "criu", Hidden: true, Usage: "ignored"}, // older clients pass it always
	}
}

// checkRoot refuses a --root that would make every directory of the host a container's.
func checkRoot(c *cli.Context) error {
	root, err := filepath.Abs(c.String("root"))
	if err != nil {
		return err
	}
	if root == "/" {
		return errors.New("option --root must not be /")
	}
	return c.Set("root", root)
}

func store(c *cli.Context) *container.Store { return &container.Store{Root: c.String("root")} }

// onContainer is the action of a verb for one container, which the first argument names, and which has
// nothing else to check before the container is loaded. most is how many arguments the verb takes, -1
// for any number.
func onContainer(most int, act func(*cli.Context, *container.Container) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := wantArgs(c, 1, most); err != nil {
			return err
		}
		ctr, err := load(c)
		if err != nil {
			return err
		}
		defer ctr.Close()
		return act(c, ctr)
	}
}

// load opens the container that the first argument names.
func load(c *cli.Context) (*container.Container, error) { return store(c).Load(c.Args().First()) }

// rootless reads --rootless: nil stands for auto. An empty value does too; go-runc may pass one.
func rootless(c *cli.Context) (*bool, error) {
	s := c.String("rootless")
	if s == "" || strings.EqualFold(s, "auto") {
		return nil, nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return nil, fmt.Errorf("invalid --rootless %q: true, false or auto", s)
	}
	return &b, nil
}

// wantArgs checks the number of arguments; most < 0 sets no upper bound.
func wantArgs(c *cli.Context, least, most int) error {
	n := c.NArg()
	switch {
	case least == most && n != least:
		return fmt.Errorf("runack: %q requires exactly %d argument(s)", c.Command.Name, least)
	case n < least:
		return fmt.Errorf("runack: %q requires a minimum of %d argument(s)", c.Command.Name, least)
	case most >= 0 && n > most:
		return fmt.Errorf("runack: %q requires a maximum of %d argument(s)", c.Command.Name, most)
	}
	return nil
}

func bundleFlag() cli.Flag {
	return &cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "`DIR` of the bundle (default: the current directory)"}
}

// ioFlags are those of every verb that starts a process.
func ioFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "console-socket", Usage: "send the terminal's master to the AF_UNIX socket at `PATH`"},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the process to the AF_UNIX socket at `PATH`"},
		&cli.StringFlag{Name: "pid-file", Usage: "write the process's pid to `FILE`"},
		&cli.IntFlag{Name: "preserve-fds", Usage: "pass `N` more descriptors on (after stdio and $LISTEN_FDS)"},
	}
}

// createFlags are those of create and run.
func createFlags() []cli.Flag {
	return append([]cli.Flag{
		bundleFlag(),
		&cli.BoolFlag{Name: "no-pivot", Usage: "do not use pivot_root(2); for a root file system on a ramdisk"},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "do not make a session keyring; the caller's is inherited"},
		&cli.BoolFlag{Name: "init", Usage: "run a small init as pid 1 that reaps and forwards signals"},
	}, ioFlags()...)
}

// processIO reads what ioFlags say. listen is the number of sockets that come before the preserved
// descriptors.
func processIO(c *cli.Context, listen int) (container.IO, error) {
	io := container.IO{
		Stdio:         [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
		ConsoleSocket: c.String("console-socket"),
		PidfdSocket:   c.String("pidfd-socket"),
	}
	var err error
	if io.PidFile, err = absolute(c.String("pid-file")); err != nil {
		return io, err
	}
	return io, io.Inherit(listen, c.Int("preserve-fds"))
}

// absolute leaves an empty path empty.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// listenFDs is the number of descriptors that systemd's socket activation passed to this process
// (sd_listen_fds(3)).
func listenFDs() int {
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// createOptions reads what createFlags say.
func createOptions(c *cli.Context) (container.CreateOptions, error) {
	less, err := rootless(c)
	if err != nil {
		return container.CreateOptions{}, err
	}
	io, err := processIO(c, listenFDs())
	if err != nil {
		return container.CreateOptions{}, err
	}
	return container.CreateOptions{
		ID:           c.Args().First(),
		Bundle:       c.String("bundle"),
		NoPivot:      c.Bool("no-pivot"),
		NoNewKeyring: c.Bool("no-new-keyring"),
		Init:         c.Bool("init"),
		Systemd:      c.Bool("systemd-cgroup"),
		Rootless:     less,
		NotifySocket: os.Getenv("NOTIFY_SOCKET"),
		IO:           io,
		Timeout:      timeout(),
	}, nil
}

// timeout is the bound for each wait on the stage and on systemd: the variable RUNACK_TIMEOUT (such as 30s), or 0
// for the default. A variable and no flag, since clients choose the flags.
func timeout() time.Duration {
	d, err := time.ParseDuration(os.Getenv("RUNACK_TIMEOUT"))
	if err != nil || d < 0 {
		return 0
	}
	return d
}
