package container

import (
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"runack/bundle"
	"runack/internal/seccomp"
)

// Features answers `features`: what the configuration may say, less what this machine's kernel and
// the libseccomp inside do not have.
func Features() (*features.Features, error) {
	f := bundle.Features()
	s := f.Linux.Seccomp
	facts, err := seccomp.Ask(s.Archs, s.KnownFlags)
	if err != nil {
		return nil, err
	}
	s.Archs, s.SupportedFlags = facts.Architectures, facts.Flags
	f.Annotations["io.github.seccomp.libseccomp.version"] = facts.Libseccomp
	return f, nil
}
