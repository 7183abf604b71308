// Package stagewire owns the tests of the C stage's readers (frames and JSON): it compiles the
// programs of nsexec/stage/test under the sanitizers, runs the handshake's test vectors through
// them, and asks C and Go the same questions. It is a package of its own because Go refuses folders
// with C files that cgo does not compile. It refuses to be imported.
package stagewire
