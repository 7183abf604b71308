// Package bundle owns what a configuration says: it reads config.json and process.json, completes
// them, and accepts or refuses every field that the runtime specification has for Linux, naming the
// file and the JSON path of what it refuses. It also writes the templates of `runack spec` and
// answers `runack features`.
//
// It refuses to touch the host: apart from reading the files of the bundle it makes no system call,
// and what validation must know about the machine comes in as a Host.
package bundle
