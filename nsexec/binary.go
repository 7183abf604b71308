package nsexec

import (
	"sync"

	"runack/internal/sealed"
)

// stageFD is a sealed copy of the stage, made once a process.
var stageFD = sync.OnceValues(func() (int, error) { return sealed.Copy("stage", stageBinary) })

// stagePath is where the stage can be executed from.
func stagePath() (string, error) {
	fd, err := stageFD()
	if err != nil {
		return "", err
	}
	return sealed.Path(fd), nil
}
