package cgroupjoin

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// Sentinels that callers match. The texts of the first two are runc's, and clients know them.
var (
	ErrFrozen    = errors.New("container's cgroup unexpectedly frozen")
	ErrNotEmpty  = errors.New("container's cgroup is not empty")
	ErrNoSystemd = errors.New("systemd not running on this host, cannot use systemd cgroups manager")
	// ErrNoCgroup says that the container has no cgroup that could do what was asked for: it is
	// rootless, and nobody gave it one.
	ErrNoCgroup = errors.New("the container has no cgroup of its own")
)

// Error is a failed operation on one cgroup file or directory.
type Error struct {
	Step   string // what was being done: "create cgroup", "set limit", "join cgroup", ...
	File   string // the file or directory; empty where the failure has none
	Value  string // what was to be written there; empty where nothing was
	Detail string // a hint, or the words of the library
	Err    error  // usually a unix.Errno
}

// Error gives one line: side, step, value, file, errno by name and number, detail.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("runtime: " + e.Step)
	switch {
	case e.Value != "" && e.File != "":
		fmt.Fprintf(&b, ": write %q to %s", e.Value, e.File)
	case e.File != "":
		b.WriteString(": " + e.File)
	}
	if e.Err != nil {
		b.WriteString(": " + errText(e.Err))
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// errText names an errno by its symbol. Clients take the phrase "no such file or directory" for
// one about the program to run, so no error of this package may carry it (CLIENTS.md).
func errText(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), errno.Error(), handshake.ErrnoName(errno))
}

// explain turns an error of the library, or of package os, into an *Error. The library wraps an
// *fs.PathError as `failed to write "VALUE": ...`; value is used where it says none, as when the
// file could not even be opened.
func explain(step string, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	e := &Error{Step: step, Err: err}
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return e
	}
	e.File, e.Err = pe.Path, pe.Err
	if _, rest, ok := strings.Cut(err.Error(), "failed to write "); ok {
		if quoted, qerr := strconv.QuotedPrefix(rest); qerr == nil {
			e.Value, _ = strconv.Unquote(quoted)
		}
	}
	return e
}

// isPermission reports the errors that a user without privilege meets in a cgroup file system that
// is not his.
func isPermission(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
}

// isGone reports the errors of a cgroup that is being removed, or was.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}
