package spec

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go/features"

	"runack/tests/harness"
)

// features is what the runtime says of itself.
func featuresOf(e *harness.Env) features.Features {
	e.T.Helper()
	var f features.Features
	if err := json.Unmarshal([]byte(e.OK("features")), &f); err != nil {
		e.T.Fatal(err)
	}
	return f
}
