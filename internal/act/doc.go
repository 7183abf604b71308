// Package act owns the list of what the runtime does to a host, as nsexec/stage/steps.def is the
// stage's list, and the one way to do any of it: Do keeps the time of it and, in a build with
// failpoints, lets a test interrupt it there. It refuses to know how anything is done.
package act
