// Command oracle says what runc's libcontainer makes of configurations, for the differential tests
// of package bundle. It is a program of its own because libcontainer's specconv needs cgo, and the
// tests have to run without. It refuses to be anything but a test's tool.
//
//	oracle judge DIR   reads Requests, writes a Verdict for each; DIR stands for the bundle
//	oracle spec        writes the configuration that runc spec writes
//	oracle rootless    writes that of runc spec --rootless, for the present user
//	oracle lists       writes Lists
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

// Lists are those of runc features.
type Lists struct {
	Hooks, MountOptions, Namespaces, Capabilities, Actions, Operators, Archs, Flags, Modes, ModeFlags []string
}
