// Package handshake owns what runtime and stage say to each other over the sync socket: the frame,
// the messages, their order, the errors, and the transcript. PROTOCOL.md is its specification,
// testdata/vectors its examples in bytes, and order.def the part of it that the C stage compiles.
//
// It refuses to import anything else of runack, to start goroutines, and to trust the peer: a bad
// frame is an error that names what was expected, what came and from which side, never a panic.
package handshake
