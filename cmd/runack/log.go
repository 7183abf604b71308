package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// errorLog is the log as clients read it. containerd takes the last JSON object with level error
// from the file; podman takes the whole file for one object. So a command that fails under
// --log-format json appends exactly one object, and only --debug adds others.
//
// logrus' standard logger does the writing, since the libraries below log there too.
type errorLog struct {
	file *os.File // nil: standard error
}

func newErrorLog() *errorLog {
	logrus.SetLevel(logrus.WarnLevel)
	return &errorLog{}
}

// configure applies the global options.
func (l *errorLog) configure(path, format string, debug bool) error {
	switch format {
	case "", "text":
	case "json":
		logrus.SetFormatter(&logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano})
		// Below the level of anything but our own last word: a library's warning would be a
		// second object.
		logrus.SetLevel(logrus.PanicLevel)
	default:
		return fmt.Errorf("invalid log-format: %s", format)
	}
	if debug {
		logrus.SetLevel(logrus.DebugLevel)
	}
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.file = file
	logrus.SetOutput(file)
	return nil
}

// fatal logs the error that ends the command: one line, in the log and, where that is a file, on
// standard error too.
func (l *errorLog) fatal(err error) {
	text := oneLine(err)
	if logrus.GetLevel() < logrus.ErrorLevel {
		logrus.SetLevel(logrus.ErrorLevel)
	}
	logrus.Error(text)
	if l.file != nil {
		fmt.Fprintln(os.Stderr, text)
	}
}

func (l *errorLog) close() {
	if l.file != nil {
		_ = l.file.Close()
	}
}

// oneLine joins what errors.Join put on lines of their own: the error, then what went wrong while
// cleaning up after it.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}
