package cgroupjoin

import (
	"fmt"

	devices "github.com/opencontainers/cgroups/devices/config"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A defaultDevice is allowed to every container, whatever its configuration says. The list is
// runc's, mknod of everything included: containers have come to rely on it, and a node that may be
// made but not opened gives nothing away.
type defaultDevice struct {
	path         string // a linux.devices entry of this path takes the rule's place
	kind         devices.Type
	major, minor int64
	access       devices.Permissions
}

var defaultDevices = []defaultDevice{
	{"", devices.CharDevice, devices.Wildcard, devices.Wildcard, "m"},
	{"", devices.BlockDevice, devices.Wildcard, devices.Wildcard, "m"},
	{"/dev/null", devices.CharDevice, 1, 3, "rwm"},
	{"/dev/random", devices.CharDevice, 1, 8, "rwm"},
	{"/dev/full", devices.CharDevice, 1, 7, "rwm"},
	{"/dev/tty", devices.CharDevice, 5, 0, "rwm"},
	{"/dev/zero", devices.CharDevice, 1, 5, "rwm"},
	{"/dev/urandom", devices.CharDevice, 1, 9, "rwm"},
	{"", devices.CharDevice, 136, devices.Wildcard, "rwm"}, // /dev/pts/*
	{"", devices.CharDevice, 5, 2, "rwm"},                  // /dev/ptmx
	{"", devices.CharDevice, 10, 200, "rwm"},               // /dev/net/tun
}

// defaultRules are the rules that follow the configuration's own.
func defaultRules(linuxDevices []specs.LinuxDevice) []*devices.Rule {
	rules := make([]*devices.Rule, 0, len(defaultDevices))
next:
	for _, d := range defaultDevices {
		for i := range linuxDevices {
			if d.path != "" && linuxDevices[i].Path == d.path {
				continue next
			}
		}
		rules = append(rules, &devices.Rule{
			Type: d.kind, Major: d.major, Minor: d.minor, Permissions: d.access, Allow: true,
		})
	}
	return rules
}

// deviceRules turns linux.resources.devices into the library's form. Whatever no rule mentions is
// denied: the library starts from "deny all", with or without such a rule at the head of the list.
func deviceRules(in []specs.LinuxDeviceCgroup) ([]*devices.Rule, error) {
	var rules []*devices.Rule
	for i := range in {
		d := &in[i]
		rule := &devices.Rule{
			Type: devices.WildcardDevice, Major: devices.Wildcard, Minor: devices.Wildcard,
			Permissions: devices.Permissions(d.Access), Allow: d.Allow,
		}
		switch d.Type {
		case "", "a":
		case "b":
			rule.Type = devices.BlockDevice
		case "c":
			rule.Type = devices.CharDevice
		default:
			return nil, badDevice(i, fmt.Sprintf("invalid cgroup device type %q", d.Type))
		}
		if d.Access == "" {
			return nil, badDevice(i, fmt.Sprintf("device access at %d field cannot be empty", i))
		}
		if d.Major != nil {
			rule.Major = *d.Major
		}
		if d.Minor != nil {
			rule.Minor = *d.Minor
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func badDevice(i int, why string) error {
	return &Error{Step: "set limit", File: fmt.Sprintf("linux.resources.devices[%d]", i), Err: unix.EINVAL, Detail: why}
}
