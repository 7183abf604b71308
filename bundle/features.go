package bundle

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"runack/plan"
)

// Features answers `features`. Every list is one that validation or the plan works with, so that
// what is listed is accepted and what is accepted is listed. Which of it the machine has, and versions
// in Annotations, which is never nil, are for the caller to add.
func Features() *features.Features {
	yes := true
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         slices.Clone(hookPoints),
		MountOptions:  plan.MountOptions(),
		Linux: &features.Linux{
			Namespaces:      words(namespaceTypes),
			Capabilities:    slices.Clone(capabilityNames()),
			Cgroup:          &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
			Seccomp:         seccompFeatures(),
			Apparmor:        &features.Apparmor{Enabled: &yes},
			Selinux:         &features.Selinux{Enabled: &yes},
			IntelRdt:        &features.IntelRdt{Enabled: &yes, Schemata: &yes, Monitoring: &yes},
			MemoryPolicy:    &features.MemoryPolicy{Modes: words(memoryPolicyModes), Flags: words(memoryPolicyFlags)},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
			NetDevices:      &features.NetDevices{Enabled: &yes},
		},
		Annotations: map[string]string{},
		PotentiallyUnsafeConfigAnnotations: []string{
			"org.systemd.property.", // ends with a dot: a prefix
		},
	}
}

func seccompFeatures() *features.Seccomp {
	yes := true
	return &features.Seccomp{
		Enabled:    &yes,
		Actions:    words(seccompActions),
		Operators:  words(seccompOperators),
		Archs:      words(seccompArchs),
		KnownFlags: words(seccompFlags),
	}
}

// words turns a table of named strings into a sorted list.
func words[S ~string](table []S) []string {
	list := make([]string, 0, len(table))
	for _, w := range table {
		list = append(list, string(w))
	}
	slices.Sort(list)
	return list
}
