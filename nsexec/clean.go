package nsexec

import (
	"os"

	"runack/internal/act"
)

// CleanAttr is all that a process started by Clean has.
type CleanAttr struct {
	Path  string
	Args  []string // argv; empty for Path alone
	Env   []string
	Dir   string
	Files []*os.File // 0..n-1; remain the caller's
}

// Clean starts a program of the runtime's side, such as a hook, with an empty signal mask and
// default dispositions: Go's fork passes blocked and ignored signals on, so the stage goes between
// and cleans up. Where execve fails the process prints "execve PATH: errno N" to its descriptor 2
// and exits with 126 or 127.
func Clean(a CleanAttr) (*os.Process, error) {
	stage, err := stagePath()
	if err != nil {
		return nil, err
	}
	args := append([]string{"runack-stage", "clean", a.Path}, a.Args...)
	env := append(act.StageEnv(), a.Env...) // never nil, which would mean ours
	return os.StartProcess(stage, args, &os.ProcAttr{Dir: a.Dir, Env: env, Files: a.Files})
}
