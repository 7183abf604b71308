package integration

import "github.com/opencontainers/runtime-spec/specs-go"

// spec is short for what every edit gets.
type spec = specs.Spec
