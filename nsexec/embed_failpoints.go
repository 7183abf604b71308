//go:build failpoints

package nsexec

import _ "embed"

// stageBinary is the stage with failpoints (folder stage, -DFAILPOINTS).
//
//go:embed stage-failpoints.bin
var stageBinary []byte
