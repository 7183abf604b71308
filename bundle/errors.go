package bundle

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ConfigFile is the name of the configuration in a bundle.
const ConfigFile = "config.json"

// ErrInvalidID is the answer of ValidateID, in runc's words.
var ErrInvalidID = errors.New("invalid container ID format")

// A FieldError says which field of a configuration is refused, and why.
type FieldError struct {
	File   string // config.json, the path of a process file, or empty where no file is involved
	Path   string // JSON path of the field: linux.namespaces[2].type; empty where it is the whole file
	Reason string
	Err    error // what lies below, where something does: an errno, a decoder's error
}

// Error is one line: file, JSON path, reason.
func (e *FieldError) Error() string {
	s := e.Reason
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.File != "" {
		s = e.File + ": " + s
	}
	return s
}

// Unwrap gives the error below, so that errors.Is(err, unix.ENOENT) holds.
func (e *FieldError) Unwrap() error { return e.Err }

// A Warning is something that a configuration asks for and does not get, or gets in a way that is
// deprecated; the container is made nevertheless.
type Warning struct {
	File string // as in FieldError
	Path string // JSON path of the field
	Text string
}

// String is one line: file, JSON path, text.
func (w Warning) String() string {
	return (&FieldError{File: w.File, Path: w.Path, Reason: w.Text}).Error()
}

// refuse makes the error of a field; the file is filled in by whoever knows it.
func refuse(path, format string, args ...any) error {
	return &FieldError{Path: path, Reason: fmt.Sprintf(format, args...)}
}

// inFile names the file in a FieldError that lacks it.
func inFile(file string, err error) error {
	var fe *FieldError
	if errors.As(err, &fe) && fe.File == "" {
		fe.File = file
	}
	return err
}

// fileError is a failed system call on a file of the bundle.
func fileError(file, field, call, path string, err error) error {
	return &FieldError{File: file, Path: field, Reason: fmt.Sprintf("%s %s: %s", call, path, errnoText(err)), Err: err}
}

// errnoText names the errno in err by name and number. The C library's phrases ("no such file or
// directory") are avoided on purpose: clients take them for statements about the program to run.
func errnoText(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	name := unix.ErrnoName(errno)
	if name == "" {
		name = "errno"
	}
	return fmt.Sprintf("%s (%d)", name, int(errno))
}
