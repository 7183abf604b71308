package plan

import (
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// capabilityNames are linux/capability.h's, by number.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID",
	"CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
	"CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
	"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
}

// Capabilities lists the capabilities that the plan knows, by number, for `features`.
func Capabilities() []string { return slices.Clone(capabilityNames[:]) }

// capNames turns a mask into names.
func capNames(mask uint64) []string {
	var names []string
	for i, name := range capabilityNames {
		if mask>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return names
}

// capSets are the five sets of process.capabilities as masks.
type capSets struct {
	bounding uint64
	caps     Caps
}

// capabilities turns names into masks. What this kernel does not know, and what the runtime may not
// hand on, is left out with a warning: engines ask for all there is.
func (b *builder) capabilities(field string, c *specs.LinuxCapabilities) (capSets, error) {
	var s capSets
	unknown := map[string]struct{}{}
	var withheld uint64
	for _, set := range []struct {
		names []string
		mask  *uint64
	}{
		{c.Bounding, &s.bounding},
		{c.Effective, &s.caps.Effective},
		{c.Permitted, &s.caps.Permitted},
		{c.Inheritable, &s.caps.Inheritable},
		{c.Ambient, &s.caps.Ambient},
	} {
		for _, name := range set.names {
			n := slices.Index(capabilityNames[:], name)
			if n < 0 || b.f.LastCap > 0 && n > b.f.LastCap {
				unknown[name] = struct{}{}
				continue
			}
			bit := uint64(1) << n
			if bit&b.grantable() == 0 {
				withheld |= bit
				continue
			}
			*set.mask |= bit
		}
	}
	b.capWarnings(field, unknown, withheld)
	return s, b.capRules(field, &s)
}

// grantable are the capabilities that a process of the container can have. A user namespace of its
// own starts with all of them (user_namespaces(7)), whatever the runtime was left with.
func (b *builder) grantable() uint64 {
	if b.own(specs.UserNamespace) || b.f.BoundingCaps == 0 {
		return ^uint64(0)
	}
	return b.f.BoundingCaps
}

func (b *builder) capWarnings(field string, unknown map[string]struct{}, withheld uint64) {
	if len(unknown) > 0 {
		names := make([]string, 0, len(unknown))
		for name := range unknown {
			names = append(names, name)
		}
		slices.Sort(names)
		b.warn(field, "unknown to this kernel, ignored: "+strings.Join(names, ", "))
	}
	if withheld != 0 {
		b.warn(field, "missing from the runtime's bounding set, ignored: "+strings.Join(capNames(withheld), ", "))
	}
}

// capRules holds the sets against capset(2) and capabilities(7), so that the error names the
// capability instead of a bare EPERM. An ambient one that cannot be raised is left out, as runc does.
func (b *builder) capRules(field string, s *capSets) error {
	if more := s.caps.Effective &^ s.caps.Permitted; more != 0 {
		return refuse(field+".effective", "not in permitted: "+strings.Join(capNames(more), ", "))
	}
	if more := s.caps.Inheritable &^ s.bounding; more != 0 {
		return refuse(field+".inheritable", "not in bounding: "+strings.Join(capNames(more), ", "))
	}
	if more := s.caps.Ambient &^ (s.caps.Permitted & s.caps.Inheritable); more != 0 {
		b.warn(field+".ambient", "not both permitted and inheritable, ignored: "+strings.Join(capNames(more), ", "))
		s.caps.Ambient &^= more
	}
	return nil
}
