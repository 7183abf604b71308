package bundle

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxInterfaceName is IFNAMSIZ without the closing zero byte.
const maxInterfaceName = 15

func (c *checker) netDevices() error {
	if len(c.linux.NetDevices) == 0 {
		return nil
	}
	if !c.has(specs.NetworkNamespace) {
		return refuse("linux.netDevices", "given without a network namespace in linux.namespaces")
	}
	taken := make(map[string]string, len(c.linux.NetDevices))
	for _, name := range sortedKeys(c.linux.NetDevices) {
		at := entry("linux.netDevices", name)
		if !validInterface(name) {
			return refuse(at, "not the name of a network device")
		}
		inside := c.linux.NetDevices[name].Name
		if inside == "" {
			inside = name
		} else if !validInterface(inside) {
			return refuse(at+".name", "%q: not the name of a network device", inside)
		}
		if other, ok := taken[inside]; ok && !strings.Contains(inside, "%d") {
			return refuse(at+".name", "%q: linux.netDevices[%q] gets the same name", inside, other)
		}
		taken[inside] = name
	}
	return nil
}

// validInterface applies the kernel's dev_valid_name.
func validInterface(name string) bool {
	return name != "" && len(name) <= maxInterfaceName && name != "." && name != ".." &&
		!strings.ContainsAny(name, "/: \t\n\v\f\r\x00") && strings.IndexByte(name, 0xa0) < 0 // a space, byte by byte
}

func (c *checker) intelRdt() error {
	r := c.linux.IntelRdt
	if r == nil {
		return nil
	}
	if id := r.ClosID; id == "." || id == ".." || len(id) > 1 && strings.Contains(id, "/") {
		return refuse("linux.intelRdt.closID", "%q: must be the name of a directory, or /", id)
	}
	if err := oneLine("linux.intelRdt.closID", r.ClosID); err != nil {
		return err
	}
	if err := oneLine("linux.intelRdt.l3CacheSchema", r.L3CacheSchema); err != nil {
		return err
	}
	if r.L3CacheSchema != "" && !strings.HasPrefix(r.L3CacheSchema, "L3") {
		c.warn("linux.intelRdt.l3CacheSchema", "%q: should start with L3:", r.L3CacheSchema)
	}
	if err := oneLine("linux.intelRdt.memBwSchema", r.MemBwSchema); err != nil {
		return err
	}
	if r.MemBwSchema != "" && !strings.HasPrefix(r.MemBwSchema, "MB:") {
		return refuse("linux.intelRdt.memBwSchema", "%q: must start with MB:", r.MemBwSchema)
	}
	for i, s := range r.Schemata {
		if err := oneLine(item("linux.intelRdt.schemata", i), s); err != nil {
			return err
		}
	}
	return nil
}

// memoryPolicy applies the rules of set_mempolicy(2) for the modes, their nodes and their flags.
func (c *checker) memoryPolicy() error {
	p := c.linux.MemoryPolicy
	if p == nil {
		return nil
	}
	if p.Mode == "" {
		return refuse("linux.memoryPolicy.mode", "missing")
	}
	if !slices.Contains(memoryPolicyModes, p.Mode) {
		return refuse("linux.memoryPolicy.mode", "unknown mode %q", p.Mode)
	}
	nodes, reason := parseIDs(p.Nodes)
	if reason != "" {
		return refuse("linux.memoryPolicy.nodes", "%q: %s", p.Nodes, reason)
	}
	switch p.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		if nodes > 0 {
			return refuse("linux.memoryPolicy.nodes", "%q: %s takes none", p.Nodes, p.Mode)
		}
	case specs.MpolPreferred: // none means the local node
	default:
		if nodes == 0 {
			return refuse("linux.memoryPolicy.nodes", "missing: %s needs at least one", p.Mode)
		}
	}
	for i, f := range p.Flags {
		if !slices.Contains(memoryPolicyFlags, f) {
			return refuse(item("linux.memoryPolicy.flags", i), "unknown flag %q", f)
		}
	}
	if slices.Contains(p.Flags, specs.MpolFStaticNodes) && slices.Contains(p.Flags, specs.MpolFRelativeNodes) {
		return refuse("linux.memoryPolicy.flags", "%s and %s exclude each other", specs.MpolFStaticNodes, specs.MpolFRelativeNodes)
	}
	return nil
}

func (c *checker) personality() error {
	p := c.linux.Personality
	if p == nil {
		return nil
	}
	if !slices.Contains(personalityDomains, p.Domain) {
		return refuse("linux.personality.domain", "unknown domain %q", p.Domain)
	}
	return nil
}
