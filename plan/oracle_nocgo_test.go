//go:build !cgo

package plan

import (
	"testing"

	"runack/internal/cgotest"
)

func TestLikeLibcontainer(t *testing.T) {
	cgotest.Run(t, "TestOptionsLikeLibcontainer", "TestDefaultsOption", "TestRandomOptionsLikeLibcontainer", "TestConfigLikeLibcontainer",
		"TestCgroupOwnerLikeLibcontainer", "TestListsLikeLibcontainer", "TestDefaultConfigIsLibcontainers")
}
