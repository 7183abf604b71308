// Command table turns the results of tests/clients into the page docs/clients.md: for each client
// its versions, and for each feature whether it was seen to work. It owns the page's form; it
// refuses to judge: that is what `count sum` does.
//
//	table build/results/clients.json >docs/clients.md
//
// A client says which it is in a line "client: NAME: VERSIONS" of its test's log; the names of the
// subtests are the features.
package main
