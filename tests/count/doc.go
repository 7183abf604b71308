// Command count runs the suites of `make test` and adds them up. It owns the last line of a test
// run, `N passed, N failed, N skipped`, and the exit status that goes with it; it refuses to know
// what a suite is about.
//
//	count run -suite NAME -dir DIR -- COMMAND...   runs a command that writes a `go test -json`
//	                                               stream, keeps the stream as DIR/NAME.json
//	count sum DIR                                  adds up all streams in DIR
//
// `run` always leaves with 0, so that one failing suite does not hide the others: what the command
// said of itself is kept in the stream's last line and judged by `sum`.
//
// Counted are the leaves, tests and subtests that have no subtests of their own. A test above them
// counts by itself only where it failed or was skipped and none of its subtests did. Beyond
// failed tests these are failures: a package that does not build, a stream without its end (a
// crash, a kill), a command that failed without a failed test, a suite without a single test, and
// a skip without a reason.
package main
