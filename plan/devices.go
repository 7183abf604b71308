package plan

import (
	"path"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultDevices are what config-linux.md ("Default Devices") gives every container; ptmx and
// console are made otherwise.
var defaultDevices = [...]Device{
	{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, Mode: 0o666},
	{Path: "/dev/random", Type: "c", Major: 1, Minor: 8, Mode: 0o666},
	{Path: "/dev/full", Type: "c", Major: 1, Minor: 7, Mode: 0o666},
	{Path: "/dev/tty", Type: "c", Major: 5, Minor: 0, Mode: 0o666},
	{Path: "/dev/zero", Type: "c", Major: 1, Minor: 5, Mode: 0o666},
	{Path: "/dev/urandom", Type: "c", Major: 1, Minor: 9, Mode: 0o666},
}

// ownDev tells whether /dev is the container's own to fill. A bind mount there is the host's, and
// is left as it is.
func ownDev(entries []mountEntry) bool {
	for i := range entries {
		if entries[i].target == "/dev" && entries[i].opts.has(unix.MS_BIND) {
			return false
		}
	}
	return true
}

func (b *builder) devices() error {
	for _, d := range defaultDevices {
		if !b.configured(d.Path) {
			b.add(b.device(d))
		}
	}
	for i, d := range b.linux.Devices {
		step, err := deviceStep(item("linux.devices", i), d)
		if err != nil {
			return err
		}
		if path.Clean(step.Path) == "/dev/ptmx" {
			continue // always the link to the container's own devpts
		}
		b.add(b.device(step))
	}
	b.add(
		Symlink{Path: "/dev/ptmx", Target: "pts/ptmx", Replace: true},
		Symlink{Path: "/dev/fd", Target: "/proc/self/fd", Keep: true},
		Symlink{Path: "/dev/stdin", Target: "/proc/self/fd/0", Keep: true},
		Symlink{Path: "/dev/stdout", Target: "/proc/self/fd/1", Keep: true},
		Symlink{Path: "/dev/stderr", Target: "/proc/self/fd/2", Keep: true},
	)
	if b.f.Kcore {
		b.add(Symlink{Path: "/dev/core", Target: "/proc/kcore", Keep: true})
	}
	return nil
}

// configured tells whether linux.devices has a device of its own at p.
func (b *builder) configured(p string) bool {
	for _, d := range b.linux.Devices {
		if path.Clean(d.Path) == p {
			return true
		}
	}
	return false
}

// device binds the host's node where mknod(2) is refused: in every user namespace but the initial
// one, except for pipes.
func (b *builder) device(d Device) Device {
	d.Bind = d.Type != "p" && (b.own(specs.UserNamespace) || b.f.InUserNS)
	return d
}

func deviceStep(field string, d specs.LinuxDevice) (Device, error) {
	step := Device{Path: d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor, Mode: 0o666}
	switch d.Type {
	case "c", "b":
	case "u": // unbuffered: the same on Linux
		step.Type = "c"
	case "p":
		step.Major, step.Minor = 0, 0
	default:
		return step, refuse(field+".type", "unknown device type "+strconv.Quote(d.Type))
	}
	if d.Path == "" || hasNUL(d.Path) {
		return step, refuse(field+".path", "not a path")
	}
	if d.FileMode != nil {
		step.Mode = uint32(*d.FileMode) & 0o7777
	}
	if d.UID != nil {
		step.UID = int64(*d.UID)
	}
	if d.GID != nil {
		step.GID = int64(*d.GID)
	}
	return step, nil
}
