package faults

import (
	"testing"

	"runack/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
