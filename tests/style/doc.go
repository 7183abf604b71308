// Package style holds the tests of how the source tree is kept: what docs and reviews ask for and a
// machine can check. It owns no code of its own and refuses to judge what gofmt and the linters do.
package style
