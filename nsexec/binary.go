package nsexec

import (
	"sync"

	"runack/internal/sealed"
)

// stageFD is a sealed copy of the stage, made once a process.
var stageFD = sync.OnceValues(func() (int, error) { return sealed.Copy("stage", stageBinary) })

// Prepare begins to make the copy, which takes 0.1 ms, beside what else a command does first.
func Prepare() { go stageFD() }

// stagePath is where the stage can be executed from.
func stagePath() (string, error) {
	fd, err := stageFD()
	if err != nil {
		return "", err
	}
	return sealed.Path(fd), nil
}
