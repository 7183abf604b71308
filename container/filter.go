package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

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

// mayEndTheStage says whether the configuration has a filter that does not simply allow a system call
// that the stage makes under it: execve, the report of its failure, and without no_new_privs the
// drop of the capabilities in between.
func mayEndTheStage(spec *specs.Spec) bool {
	if spec.Linux == nil || spec.Linux.Seccomp == nil {
		return false
	}
	calls := []string{"execve", "write"}
	if !spec.Process.NoNewPrivileges {
		calls = append(calls, "capset", "prctl")
	}
	return slices.ContainsFunc(calls, func(call string) bool { return !allows(spec.Linux.Seccomp, call) })
}

// allows says whether a filter lets a system call through whatever its arguments are.
func allows(filter *specs.LinuxSeccomp, call string) bool {
	passes := func(a specs.LinuxSeccompAction) bool { return a == specs.ActAllow || a == specs.ActLog }
	allowed := passes(filter.DefaultAction)
	for _, rule := range filter.Syscalls {
		switch {
		case !slices.Contains(rule.Names, call):
		case !passes(rule.Action):
			return false
		case len(rule.Args) == 0:
			allowed = true
		}
	}
	return allowed
}
