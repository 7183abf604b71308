//go:build !cgo

package cgroupjoin

import (
	"os"
	"testing"

	"runack/internal/cgotest"
)

func TestLikeLibcontainer(t *testing.T) {
	if os.Getenv("RUNACK_VIEW") != "" {
		t.Skip("a conversion has nothing to do with the view")
	}
	cgotest.Run(t, "TestSpecconv")
}
