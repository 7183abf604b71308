// Package spec runs real containers for everything that config.json can say on Linux: one file for
// each part of the specification, readable as sentences. docs/spec.md names these tests field by
// field. It refuses what depends on how the host's cgroups are laid out: that is tests/integration's,
// which runs in every view of them, while this package runs once.
package spec
