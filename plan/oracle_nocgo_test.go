//go:build !cgo

package plan

import "testing"

func TestLikeLibcontainer(t *testing.T) {
	t.Skip("libcontainer's specconv needs cgo: the comparison with it runs with CGO_ENABLED=1")
}
