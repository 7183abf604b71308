package main

import (
	"fmt"
	"io"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Set by the build: -X main.version=... -X main.commit=...
var (
	version = "0.1.0"
	commit  = "unknown"
)

// printVersion writes a form that three readers understand. go-runc (containerd) reads a version
// only from a first line that starts "runc version ", then commit and spec. docker 20.10 takes any
// line that starts so. Later dockers take name and version from the last line that contains
// "version", so the line with our own name comes last, and no other may contain the word.
func printVersion(w io.Writer) {
	fmt.Fprintln(w, "runc version", version)
	fmt.Fprintln(w, "commit:", commit)
	fmt.Fprintln(w, "spec:", specs.Version)
	fmt.Fprintln(w, "go:", runtime.Version())
	fmt.Fprintln(w, "runack version", version)
}
