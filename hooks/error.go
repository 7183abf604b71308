package hooks

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// Error is one hook's failure. Exactly one of Code, Signal, Timeout and Err says how it failed.
type Error struct {
	Point   string
	Index   int
	Path    string
	Code    int           // exit code, if not 0
	Signal  unix.Signal   // that killed it, if not 0
	Timeout time.Duration // exceeded, if not 0
	Err     error         // it was not started, or the context ended it
	Stdout  string        // the last KeepOutput bytes
	Stderr  string
}

// Error is one line: point, index, path, what happened, and the end of what the hook said.
func (e *Error) Error() string {
	text := fmt.Sprintf("hook %s[%d] %s: %s", e.Point, e.Index, e.Path, e.how())
	if said := e.said(); said != "" {
		text += ": " + said
	}
	return text
}

// Unwrap gives the errno of a start that failed, ETIMEDOUT, or the context's error.
func (e *Error) Unwrap() error {
	if e.Timeout > 0 {
		return unix.ETIMEDOUT
	}
	return e.Err
}

func (e *Error) how() string {
	switch {
	case e.Timeout > 0:
		return fmt.Sprintf("killed at its timeout of %s", e.Timeout)
	case e.Signal != 0:
		return fmt.Sprintf("killed by %s (%d)", unix.SignalName(e.Signal), int(e.Signal))
	case e.Err == nil:
		return fmt.Sprintf("exit status %d", e.Code)
	}
	return e.Err.Error()
}

// stepError is a system call that failed before the hook ran. It gives an errno by name: its text would
// make clients believe that the container's program is meant ("no such file or directory").
type stepError struct {
	step  string
	errno error
}

func (e *stepError) Error() string {
	var errno unix.Errno
	if errors.As(e.errno, &errno) {
		return e.step + ": " + handshake.ErrnoName(errno)
	}
	return e.step + ": " + e.errno.Error()
}

func (e *stepError) Unwrap() error { return e.errno }

// launchError names what os.StartProcess was at. Other errors come from the stage's making and say
// enough themselves.
func launchError(err error) error {
	var at *os.PathError
	switch {
	case !errors.As(err, &at):
		return err
	case at.Op == "chdir":
		return &stepError{"enter " + at.Path, at.Err}
	}
	return &stepError{"start", at.Err}
}

// lineMax bounds what a hook's own words may add to an error line.
const lineMax = 1024

// said is stderr, or stdout where that is empty, as one printable line.
func (e *Error) said() string {
	text := strings.TrimSpace(e.Stderr)
	if text == "" {
		text = strings.TrimSpace(e.Stdout)
	}
	var lines []string
	for line := range strings.Lines(strings.Map(printable, strings.ToValidUTF8(text, "?"))) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	text = strings.Join(lines, "; ")
	if len(text) > lineMax {
		text = "..." + strings.ToValidUTF8(text[len(text)-lineMax:], "")
	}
	return text
}

// printable keeps a hook from driving the terminal that shows the error.
func printable(r rune) rune {
	if r != '\n' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0) {
		return ' '
	}
	return r
}
