// Package hooks runs the OCI hooks of the runtime's namespaces: prestart, createRuntime, poststart and
// poststop. It owns how a hook is started, fed, timed and reported. It refuses createContainer and
// startContainer, which belong to the container's namespaces and are run by the stage, and it does
// not decide what a failure means for the container: the caller has the lifecycle.
//
// # What a hook gets
//
//   - exactly its path, args and env: no PATH lookup, nothing of our environment, and argv[0] is the
//     path where args is empty;
//   - the container's state on stdin, through a pipe. It need not read it: a state of any size is
//     written beside the hook, and what is not read is dropped when the hook ends;
//   - an empty signal mask and default dispositions, whatever the runtime was started with. Go's
//     fork passes blocked and ignored signals on, so a hook is started through the stage binary;
//   - no descriptor beside 0, 1 and 2, and the working directory of the runtime unless Options say
//     otherwise.
//
// # What is waited for
//
// The hook's own end, not its output's. What it has written by then is kept (the last KeepOutput
// bytes of each stream); a grandchild that keeps stderr open is not waited for, and its later
// output is lost. At its timeout the hook gets SIGKILL: the process alone, not its descendants, as
// with runc, since hooks start daemons on purpose.
//
// # Failures
//
// Runtime-spec 1.3 (runtime.md, lifecycle): after a failing prestart, createRuntime or poststart hook the
// runtime reports an error and stops the container; the hooks behind it do not run. A failing
// poststop hook is only worth a warning, and the others run. Run does that; Options.Policy changes
// it for those who follow other versions (runc 1.5 stops at the first failing poststop hook as well).
package hooks
