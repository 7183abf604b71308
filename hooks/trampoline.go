package hooks

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

type waitStatus = syscall.WaitStatus

// notExecuted turns the trampoline's last words (nsexec/stage/clean.c) into the errno they stand for:
// the hook's program never ran. A hook that says the same by itself is believed.
func (e *Error) notExecuted() {
	var errno int
	if e.Code != 126 && e.Code != 127 {
		return
	}
	rest, ok := strings.CutPrefix(e.Stderr, "execve "+e.Path+": ")
	if !ok {
		return
	}
	if n, err := fmt.Sscanf(rest, "errno %d\n", &errno); n == 1 && err == nil {
		e.Code, e.Err, e.Stderr = 0, &stepError{"execute", unix.Errno(errno)}, ""
	}
}
