// Package processes runs real containers for what happens to processes: how they are started, waited
// for, signalled, given terminals and descriptors, and reaped; docs/processes.md is about the same. It
// refuses what depends on how the host's cgroups are laid out, and runs once.
package processes
