// Command oracle says what runc's libcontainer makes of configurations, for the differential tests
// of package bundle. It is a program of its own because libcontainer's specconv needs cgo, and the
// tests have to run without. It refuses to be anything but a test's tool.
//
// Standard input holds one Request per line; standard output gets one Verdict per line, in the same
// order. The first argument is the directory that stands for the bundle.
package main

import "encoding/json"

// A Request is one configuration.
type Request struct {
	Config   json.RawMessage
	Rootless bool
	Systemd  bool
}

// A Verdict is empty Error for accepted, and else the step that refused.
type Verdict struct {
	Step     string // decode, convert, validate or start
	Error    string
	Warnings []string
}
