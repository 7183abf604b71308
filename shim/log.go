package shim

import (
	"fmt"

	"github.com/sirupsen/logrus"
)

// warn logs something that somebody may have to look into.
func warn(id, format string, args ...any) {
	logrus.Warnf("container %s: %s", id, fmt.Sprintf(format, args...))
}

// defect logs what cannot happen.
func defect(who, what string) { logrus.Errorf("defect: %s: %s", who, what) }
