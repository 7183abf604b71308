//go:build !failpoints

package act

// Failpoints tells whether this build has them. A release has none: all of this is compiled to
// nothing.
const Failpoints = false

// StageEnv is the environment of the stage: none.
func StageEnv() []string { return []string{} }

func failpoint(Act) error { return nil }

// Frame is passed by every frame that the runtime writes or has read; fd is the socket.
func Frame(step, message string, fd int) error { return nil }
