package seccomp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Facts are what compiler and kernel have of what a profile can ask for.
type Facts struct {
	Libseccomp    string   // version
	Architectures []string // SCMP_ARCH_*
	Flags         []string // SECCOMP_FILTER_FLAG_*
}

// Ask asks the compiler which of the architectures it knows, and the kernel for the flags.
func Ask(archs, flags []string) (*Facts, error) {
	args := []string{"arch"}
	for _, a := range archs {
		args = append(args, requestArch(a))
	}
	out, err := runCompiler(nil, args...)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(out))
	if len(words) < 2 || words[0] != "libseccomp" {
		return nil, fmt.Errorf("%w: %q", errAnswer, out)
	}
	f := &Facts{Libseccomp: words[1]}
	for _, a := range archs {
		if slices.Contains(words[2:], requestArch(a)) {
			f.Architectures = append(f.Architectures, a)
		}
	}
	for _, flag := range flags {
		if flagSupported(specs.LinuxSeccompFlag(flag)) {
			f.Flags = append(f.Flags, flag)
		}
	}
	return f, nil
}
