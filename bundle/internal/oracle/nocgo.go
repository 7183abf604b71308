//go:build !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "oracle: built without cgo, which libcontainer's specconv needs")
	os.Exit(1)
}
