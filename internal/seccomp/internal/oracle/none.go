//go:build !cgo || !seccomp || !amd64

package main

import (
	"fmt"
	"os"
)

func run() {
	fmt.Fprintln(os.Stderr, "oracle: built without cgo, without tag seccomp, or for another architecture than amd64")
	os.Exit(1)
}
