package processes

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

type spec = specs.Spec

// What all packages of tests share, by shorter names.
var (
	wantField    = harness.WantField
	wantEqual    = harness.WantEqual
	wantContains = harness.WantContains
	amount       = harness.Amount
	parallel     = harness.Parallel
	field        = harness.Field
)

// detached starts a container that waits for SIGTERM, and returns its id and the pid of its init.
func detached(e *harness.Env, edits ...harness.Edit) (id string, pid int) {
	e.T.Helper()
	return e.Detached(edits...)
}

func remove(e *harness.Env, id string) { e.T.Helper(); e.Remove(id) }
