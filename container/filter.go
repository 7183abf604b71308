package container

import (
	"errors"
	"fmt"
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
	return f, err
}
