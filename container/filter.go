package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/bundle"
	"runack/internal/seccomp"
	"runack/plan"
)

// filterCache is the directory of compiled filters in the store's root. No ID has such a name.
const filterCache = "@seccomp"

// filter compiles the seccomp profile of a configuration; nil where it has none.
func (s *Store) filter(spec *specs.Spec) (*plan.Seccomp, error) {
	if !plan.NeedsSeccomp(spec) {
		return nil, nil
	}
	f, err := seccomp.Filter(spec.Linux.Seccomp, filepath.Join(s.Root, filterCache))
	var field *plan.Error
	if errors.As(err, &field) {
		return nil, fmt.Errorf("%s: %w", bundle.ConfigFile, err)
	}
	if err == nil && f.Listener && os.Geteuid() != 0 {
		// The listener is taken out of a process that no user may look into, and whose filter need
		// not let it pass anything on by itself.
		return nil, fmt.Errorf("%s: linux.seccomp.syscalls: SCMP_ACT_NOTIFY needs root, of the host or of a user namespace that the runtime runs in", bundle.ConfigFile)
	}
	return f, err
}
