package bundle

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A support says which parts of the specification that validation knows the other rooms carry out.
// It has what is still to come, and nothing else: a part that is done for good is not listed.
type support struct {
	netDevices bool
}

// supported is the one place where a part is switched on, for Load and for Features alike, together
// with the code that carries it out.
var supported = support{}

// check refuses what is not carried out yet: a container without it would be another than
// the one that was asked for.
func (s support) check(spec *specs.Spec) error {
	if spec.Linux == nil {
		return nil
	}
	const text = "not supported by this version"
	if !s.netDevices && len(spec.Linux.NetDevices) > 0 {
		return refuse("linux.netDevices", text)
	}
	return nil
}
