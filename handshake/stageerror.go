package handshake

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// The two steps whose errors are about the user's program. Their object is the program's name as
// the user gave it.
const (
	StepLookup  = "find program"
	StepExecute = "execute"
)

// A StageError is a step that failed, as its stage told it in an error frame.
type StageError struct {
	Side   Side
	Step   string     // a fixed verb phrase, "join namespace"
	Object string     // "net of pid 42", a path, a hook's name; may be empty
	Errno  unix.Errno // 0 where no system call failed
	Detail string     // a hook's stderr, a parser's complaint, a hint; may be empty
}

// StageError reads the body of an error frame.
func (f *Frame) StageError() (*StageError, error) {
	var b ErrorBody
	if err := f.Decode(&b); err != nil {
		return nil, err
	}
	return b.StageError(), nil
}

// StageError returns b as an error.
func (b *ErrorBody) StageError() *StageError {
	return &StageError{Side: b.Side, Step: b.Step, Object: b.Object, Errno: unix.Errno(b.Errno), Detail: b.Detail}
}

// Error is one line: side, step, object, errno, detail. For the two steps about the user's program
// it is runc's text, which docker, podman and CRI-O turn into exit codes.
func (e *StageError) Error() string {
	switch {
	case e.Errno != 0 && e.Step == StepLookup:
		return e.withDetail(lookupText(e.Object, e.Errno))
	case e.Errno != 0 && e.Step == StepExecute:
		return e.withDetail("exec " + oneLine(e.Object) + ": " + e.Errno.Error())
	}
	var b strings.Builder
	b.WriteString(string(e.Side))
	for _, s := range [...]string{e.Step, e.Object, ErrnoName(e.Errno)} {
		if s != "" {
			b.WriteString(": ")
			b.WriteString(oneLine(s))
		}
	}
	return e.withDetail(b.String())
}

func (e *StageError) withDetail(s string) string {
	if detail := oneLine(e.Detail); detail != "" {
		return s + ": " + detail
	}
	return s
}

// oneLine keeps what a hook or a container wrote from breaking the line that an error is, or the
// terminal that shows it: control characters, and the white space around them, become one space.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || unicode.IsControl(r) }), " ")
}

// Unwrap returns the errno, or nil where no system call failed.
func (e *StageError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// lookupText is what os/exec.LookPath says of such a program, and so runc: of a name without slash
// only that PATH does not have it, unless it was found and is of no use; of a path what stat(2) or
// the check of its mode says. A directory gets the words of both errnos that runcs have had for it:
// podman and docker 20.10 know the permission alone, and leave with 126 for it.
func lookupText(name string, errno unix.Errno) string {
	text := errno.Error()
	path := strings.Contains(name, "/")
	switch {
	case errno == unix.ENOENT && !path:
		text = "executable file not found in $PATH"
	case errno == unix.EISDIR:
		text = "is a directory: permission denied"
	case path && errno != unix.EACCES && errno != unix.EPERM:
		text = "stat " + oneLine(name) + ": " + text
	}
	return "exec: " + strconv.Quote(name) + ": " + text
}
