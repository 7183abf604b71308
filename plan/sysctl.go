package plan

import (
	"maps"
	"slices"
	"strings"
)

// sysctls adds the kernel parameters, sorted by key: JSON objects have no order.
func (b *builder) sysctls() error {
	for _, key := range sortedKeys(b.linux.Sysctl) {
		field := "linux.sysctl[" + key + "]"
		p, ok := sysctlPath(key)
		if !ok {
			return refuse(field, "not the name of a kernel parameter")
		}
		value := b.linux.Sysctl[key]
		if hasNUL(value) {
			return refuse(field, "contains a NUL byte")
		}
		b.add(Sysctl{Key: p, Value: value})
	}
	return nil
}

// sysctlPath turns a key into a path below /proc/sys. As with sysctl(8) the first of "." and "/" is
// the separator and the other one belongs to names: net.ipv4.conf.eth0/100.forwarding is
// net/ipv4/conf/eth0.100/forwarding. A part that is empty or climbs is refused, as it would lead
// away from the parameter that was checked.
func sysctlPath(key string) (string, bool) {
	p := key
	if first := strings.IndexAny(key, "./"); first >= 0 && key[first] == '.' {
		p = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return "", false
		}
	}
	return p, !hasNUL(key)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
