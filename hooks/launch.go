package hooks

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

type waitStatus = syscall.WaitStatus

// launchAttr is all that a hook's process has; there is nothing it inherits beside.
type launchAttr struct {
	path  string
	args  []string // argv, with argv[0]
	env   []string
	dir   string
	files []*os.File // 0, 1, 2; remain ours
}

// launch starts a program with clean signals.
var launch = func(a launchAttr) (*os.Process, error) {
	return os.StartProcess(a.path, a.args, &os.ProcAttr{Dir: a.dir, Env: a.env, Files: a.files})
}

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
		e.Code, e.Err, e.Stderr = 0, unix.Errno(errno), ""
	}
}
