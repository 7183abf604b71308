package bundle

import (
	"math"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The kernel's dev_t has 12 bits for the major and 20 for the minor number; mknod(2) cuts off the
// rest, and would make another device.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

// devices checks the device nodes to be made.
func (c *checker) devices() error {
	seen := make(map[string]int, len(c.linux.Devices))
	for i := range c.linux.Devices {
		d := &c.linux.Devices[i]
		at := place{"linux.devices", i}
		if err := device(at, d); err != nil {
			return err
		}
		place := path.Clean(d.Path)
		if first, ok := seen[place]; ok && !sameDevice(d, &c.linux.Devices[first]) {
			return refuse(at.field("path"), "%q: linux.devices[%d] is another device at the same path", d.Path, first)
		}
		seen[place] = i
		if d.FileMode != nil && uint32(*d.FileMode)&^0o177777 != 0 {
			c.warn(at.field("fileMode"), "%d: bits above the file type are ignored", uint32(*d.FileMode))
		}
	}
	return nil
}

func device(at place, d *specs.LinuxDevice) error {
	switch d.Type {
	case "c", "u", "b", "p":
	case "":
		return refuse(at.field("type"), "missing")
	default:
		return refuse(at.field("type"), "unknown type %q: must be c, u, b or p", d.Type)
	}
	if d.Path == "" || d.Path[0] != '/' || hasNUL(d.Path) {
		return absolute(at.field("path"), d.Path)
	}
	if path.Clean(d.Path) == "/" {
		return refuse(at.field("path"), "%q: the container's root cannot be a device", d.Path)
	}
	if d.Type != "p" {
		if d.Major < 0 || d.Major > maxMajor {
			return refuse(at.field("major"), "%d: must be from 0 to %d", d.Major, maxMajor)
		}
		if d.Minor < 0 || d.Minor > maxMinor {
			return refuse(at.field("minor"), "%d: must be from 0 to %d", d.Minor, maxMinor)
		}
	}
	if d.UID != nil && *d.UID == noID {
		return refuse(at.field("uid"), "%d is not a user id", *d.UID)
	}
	if d.GID != nil && *d.GID == noID {
		return refuse(at.field("gid"), "%d is not a group id", *d.GID)
	}
	return nil
}

// sameDevice tells whether two entries would make the same node.
func sameDevice(a, b *specs.LinuxDevice) bool {
	kind := func(t string) string {
		if t == "u" { // an unbuffered character device: no difference on Linux
			return "c"
		}
		return t
	}
	if kind(a.Type) != kind(b.Type) {
		return false
	}
	return a.Type == "p" || a.Major == b.Major && a.Minor == b.Minor
}

// deviceRules checks the list of allowed devices. -1 stands for all numbers, as in runc.
func deviceRules(path string, rules []specs.LinuxDeviceCgroup) error {
	for i, d := range rules {
		at := place{path, i}
		switch d.Type {
		case "", "a", "b", "c":
		default:
			return refuse(at.field("type"), "unknown type %q: must be a, b or c", d.Type)
		}
		if d.Access == "" {
			return refuse(at.field("access"), "missing: must be some of r, w and m")
		}
		for _, r := range d.Access {
			if r != 'r' && r != 'w' && r != 'm' {
				return refuse(at.field("access"), "%q: must be some of r, w and m", d.Access)
			}
		}
		if !ruleNumber(d.Major) {
			return refuse(at.field("major"), ruleNumberText, *d.Major, uint32(math.MaxUint32))
		}
		if !ruleNumber(d.Minor) {
			return refuse(at.field("minor"), ruleNumberText, *d.Minor, uint32(math.MaxUint32))
		}
	}
	return nil
}

const ruleNumberText = "%d: must be from -1 (all) to %d"

func ruleNumber(n *int64) bool { return n == nil || *n >= -1 && *n <= math.MaxUint32 }
