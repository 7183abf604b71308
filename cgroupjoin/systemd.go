package cgroupjoin

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	systemdDbus "github.com/coreos/go-systemd/v22/dbus"
	dbus "github.com/godbus/dbus/v5"
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/systemd"
	"golang.org/x/sys/unix"
)

// systemdTimeout bounds every conversation with systemd. The library waits 30 s for a job to end,
// but for ever for an answer on the bus.
var systemdTimeout = 60 * time.Second

// WaitForSystemd sets how long an answer is waited for. It is for the time before anything else.
func WaitForSystemd(d time.Duration) { systemdTimeout = d }

// silent: the last conversation came to its deadline. Those that follow, to clear up, are given a
// tenth of the time.
var silent atomic.Bool

// findSystemdPaths reads cgroupsPath as "slice:prefix:name" and asks the library where the scope
// will be.
func (c *Cgroup) findSystemdPaths(cfg Config) error {
	if err := c.parseUnit(cfg); err != nil {
		return err
	}
	if !systemd.IsRunningSystemd() {
		return &Error{Step: "use systemd", File: "/run/systemd/system", Err: fmt.Errorf("%w: %w", ErrNoSystemd, unix.ENOENT)}
	}
	lib, err := c.config()
	if err != nil {
		return err
	}
	return withDeadline("find cgroup", systemdTimeout, func() error {
		mgr, err := c.systemdManager(lib)
		if err != nil {
			return explain("find cgroup", err)
		}
		c.saved.Paths = mgr.GetPaths()
		return nil
	})
}

// parseUnit takes cgroupsPath apart. An empty one means the scope runc-ID.scope in systemd's default
// slice: the prefix is runc's, as scripts look for scopes by that name.
func (c *Cgroup) parseUnit(cfg Config) error {
	c.saved.Prefix, c.saved.Name = "runc", cfg.ID
	if cfg.Path == "" {
		return nil
	}
	parts := strings.Split(cfg.Path, ":")
	if len(parts) != 3 {
		return badPath(cfg.Path, `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups`)
	}
	// A slash would lead out of the slice's directory; systemd itself knows no unit of such a name.
	if strings.ContainsAny(cfg.Path, "/\x00\n") || parts[2] == "" {
		return badPath(cfg.Path, "is no name of a unit")
	}
	c.saved.Slice, c.saved.Prefix, c.saved.Name = parts[0], parts[1], parts[2]
	return nil
}

// unit is the name of the scope (or, where the name ends so, slice).
func (c *Cgroup) unit() string {
	if strings.HasSuffix(c.saved.Name, ".slice") {
		return c.saved.Name
	}
	return c.saved.Prefix + "-" + c.saved.Name + ".scope"
}

// SystemdIsRoots tells, in a user namespace, whether the systemd to talk to is not the manager of a user
// outside. Where that cannot be found out it is taken to be root's, as by runc.
func SystemdIsRoots() bool {
	uid, err := systemd.DetectUID()
	return err != nil || uid == 0
}

// isUnitExists: systemd refused to start a unit since there is one of its name.
func isUnitExists(err error) bool {
	var refusal dbus.Error
	return errors.As(err, &refusal) && refusal.Name == "org.freedesktop.systemd1.UnitExists"
}

func (c *Cgroup) systemdManager(cfg *cgroups.Cgroup) (cgroups.Manager, error) {
	props, err := systemdProperties(c.annotations)
	if err != nil {
		return nil, err
	}
	cfg.SystemdProps = props
	if c.saved.Layout == V2 {
		return systemd.NewUnifiedManager(cfg, c.saved.Paths[""])
	}
	return systemd.NewLegacyManager(cfg, c.saved.Paths)
}

const propertyPrefix = "org.systemd.property."

// systemdProperties turns annotations into unit properties, as runc does: values are in the text
// form of D-Bus variants, and a time in seconds (TimeoutStopSec) becomes one in microseconds.
func systemdProperties(annotations map[string]string) ([]systemdDbus.Property, error) {
	var props []systemdDbus.Property
	collect := true
	for key, text := range annotations {
		name, ok := strings.CutPrefix(key, propertyPrefix)
		if !ok {
			continue
		}
		if !isPropertyName(name) {
			return nil, badProperty(key, text, "is no name of a property")
		}
		value, err := dbus.ParseVariant(text, dbus.Signature{})
		if err != nil {
			return nil, badProperty(key, text, err.Error())
		}
		if base, ok := strings.CutSuffix(name, "Sec"); ok && endsInLower(base) {
			name = base + "USec"
			if value, err = microseconds(value); err != nil {
				return nil, badProperty(key, text, err.Error())
			}
		}
		collect = collect && name != "CollectMode"
		props = append(props, systemdDbus.Property{Name: name, Value: value})
	}
	if collect {
		// A scope that failed (its init was killed for want of memory) would stay and refuse the
		// next one of its name.
		props = append(props, systemdDbus.Property{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")})
	}
	return props, nil
}

func badProperty(key, text, why string) error {
	return &Error{Step: "use systemd", File: "annotation " + key, Value: text, Err: unix.EINVAL, Detail: why}
}

// isPropertyName: at least three characters, letters only. runc has the same rule.
func isPropertyName(s string) bool {
	if len(s) < 3 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return false
		}
	}
	return true
}

func endsInLower(s string) bool {
	return s != "" && s[len(s)-1] >= 'a' && s[len(s)-1] <= 'z'
}

func microseconds(v dbus.Variant) (dbus.Variant, error) {
	const million = 1000000
	var us uint64
	switch n := v.Value().(type) {
	case float64:
		us = uint64(n * million)
	case int64:
		us = uint64(n * million)
	case uint64:
		us = n * million
	case int32:
		us = uint64(n) * million
	case uint32:
		us = uint64(n) * million
	case int16:
		us = uint64(n) * million
	case uint16:
		us = uint64(n) * million
	case byte:
		us = uint64(n) * million
	default:
		return v, fmt.Errorf("not a number: %s", v)
	}
	return dbus.MakeVariant(us), nil
}

// withDeadline runs f, which talks to systemd, and gives up after d. Then f goes on by itself and
// whatever it brings is lost: the bus has no way to take a call back.
func withDeadline(step string, d time.Duration, f func() error) error {
	if silent.Load() {
		d /= 10
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		silent.Store(false)
		return err
	case <-timer.C:
		silent.Store(true)
		return &Error{Step: step, File: "systemd", Err: unix.ETIMEDOUT, Detail: "no answer in " + d.String()}
	}
}
