package container

import (
	"fmt"
	"os"

	"runack/handshake"
)

// deliverConsole hands the terminal's master of a console frame to whoever waits for it.
func deliverConsole(f *handshake.Frame, o *IO, p peers) error {
	if len(f.FDs) != 1 {
		f.CloseFDs()
		return fmt.Errorf("runtime: message %s: %d descriptors instead of 1", f.Type, len(f.FDs))
	}
	// The name goes along as the payload for a console socket; runc sends the same.
	master := os.NewFile(uintptr(f.FDs[0]), "/dev/ptmx")
	if o.Console != nil {
		return o.Console(master)
	}
	defer master.Close()
	if p.console == nil {
		return fmt.Errorf("runtime: message %s: nobody waits for a terminal", f.Type)
	}
	return p.console.send(master.Name(), master)
}
