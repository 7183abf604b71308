package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"runack/shim"
)

// Set by the build: -X main.version=... -X main.commit=...
var (
	version = "0.1.0"
	commit  = "unknown"
)

func main() {
	// Profiles are not made here, and their tables cost memory.
	runtime.MemProfileRate = 0
	if err := run(); err != nil {
		// containerd shows what it finds here where the exit code is not 0.
		fmt.Fprintf(os.Stderr, "%s: %v\n", shim.Name, err)
		os.Exit(1)
	}
}

func run() error {
	var p shim.Params
	var showVersion, showInfo bool
	flag.BoolVar(&showVersion, "v", false, "print the version and exit")
	flag.BoolVar(&showVersion, "version", false, "print the version and exit")
	flag.BoolVar(&showInfo, "info", false, "read options from stdin, print what the runtime can do, and exit")
	flag.BoolVar(&p.Debug, "debug", false, "log more")
	flag.StringVar(&p.Namespace, "namespace", "", "containerd's namespace")
	flag.StringVar(&p.ID, "id", "", "ID of the task")
	flag.StringVar(&p.Bundle, "bundle", "", "path of the bundle (the working directory)")
	flag.StringVar(&p.Address, "address", "", "address of containerd")
	flag.String("publish-binary", "", "ignored: events go to TTRPC_ADDRESS")
	flag.Parse()
	switch {
	case showVersion:
		printVersion()
		return nil
	case showInfo:
		return shim.Info(version, commit, os.Stdin, os.Stdout)
	case p.Namespace == "":
		return fmt.Errorf("-namespace is missing")
	}
	return act(&p, flag.Arg(0))
}

func printVersion() {
	fmt.Printf("%s:\n  Version:  %s\n  Revision: %s\n  Go version: %s\n\n",
		filepath.Base(os.Args[0]), version, commit, runtime.Version())
}

func act(p *shim.Params, action string) error {
	if p.Bundle == "" {
		var err error
		if p.Bundle, err = os.Getwd(); err != nil {
			return err
		}
	}
	// A value that is no number says as little as none.
	p.MaxVersion, _ = strconv.Atoi(os.Getenv("MAX_SHIM_VERSION"))
	switch action {
	case "start":
		return shim.Bootstrap(*p, os.Stdin, os.Stdout, func(socket *os.File, debug bool) (*os.Process, error) {
			return launch(p, socket, debug)
		})
	case "delete":
		return shim.Teardown(p.Bundle, p.ID, os.Stdout)
	case "":
		return serve(p)
	}
	return fmt.Errorf("unknown action %q", action)
}
