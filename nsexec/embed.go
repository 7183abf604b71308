//go:build !failpoints

package nsexec

import _ "embed"

// stageBinary is the static executable that the Makefile builds from folder stage.
//
//go:embed stage.bin
var stageBinary []byte
