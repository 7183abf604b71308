package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch os.Args[1] {
	case "run":
		err = runCommand(os.Args[2:])
	case "sum":
		err = sumCommand(os.Args[2:])
	default:
		usage()
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "count:", err)
		os.Exit(1)
	}
}

func usage() {
	_, _ = fmt.Fprintln(os.Stderr, "usage: count run -suite NAME -dir DIR -- COMMAND...\n       count sum DIR")
	os.Exit(2)
}

func sumCommand(args []string) error {
	if len(args) != 1 {
		usage()
	}
	suites, err := load(args[0])
	if err != nil {
		return err
	}
	t := add(suites)
	t.print(os.Stdout, args[0])
	if t.failed > 0 {
		os.Exit(1)
	}
	return nil
}

// runCommand runs one suite's command, keeps its stream and shows its progress.
func runCommand(args []string) error {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	name := flags.String("suite", "", "name of the suite, and of its file")
	dir := flags.String("dir", "build/results", "where streams are kept")
	_ = flags.Parse(args)
	if *name == "" || flags.NArg() == 0 {
		usage()
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(*dir, *name+".json"))
	if err != nil {
		return err
	}
	defer f.Close()
	_, _ = fmt.Printf("== %s\n", *name)
	return runSuite(newSuite(*name, os.Stdout), flags.Args(), f)
}

// runSuite runs the command with its output going to both keep and s. Its exit status becomes the
// stream's last line. An interrupt reaches the command as well (same process group): we stay to
// write down how it ended. It is caught and not ignored, as what is ignored is handed down.
func runSuite(s *suite, command []string, keep io.Writer) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return s.end(keep, command, 127)
	}
	if err := s.read(io.TeeReader(stdout, keep)); err != nil {
		return errors.Join(err, cmd.Wait())
	}
	_ = cmd.Wait() // the status says it
	return s.end(keep, command, status(cmd.ProcessState))
}

// end writes the stream's last line.
func (s *suite) end(keep io.Writer, command []string, status int) error {
	e := event{Action: "exit", Status: status, Command: strings.Join(command, " ")}
	s.event(e)
	return writeEvent(keep, e)
}

// status is a shell's: 128 plus the signal for a death by signal.
func status(p *os.ProcessState) int {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return p.ExitCode()
}
