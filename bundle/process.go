package bundle

import (
	"math"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// noID is (uid_t)-1, which the kernel takes for "leave as it is" (setresuid(2)).
const noID = math.MaxUint32

// The kernel's bounds of /proc/PID/oom_score_adj.
const (
	oomScoreMin = -1000
	oomScoreMax = 1000
)

func (c *checker) version() error {
	v := c.spec.Version
	if v == "" {
		return refuse("ociVersion", "missing")
	}
	major, minor, ok := parseVersion(v)
	if !ok {
		return refuse("ociVersion", "%q: not a semantic version", v)
	}
	if major != specs.VersionMajor {
		return refuse("ociVersion", "%q: only versions %d.x are supported", v, specs.VersionMajor)
	}
	if minor > specs.VersionMinor {
		c.warn("ociVersion", "%s is newer than %s: what it added is ignored", v, specs.Version)
	}
	return nil
}

func (c *checker) root() error {
	if c.spec.Root == nil {
		return refuse("root", "missing")
	}
	if c.spec.Root.Path == "" {
		return refuse("root.path", "missing")
	}
	return noNUL("root.path", c.spec.Root.Path)
}

func (c *checker) containerProcess() error {
	if c.spec.Process == nil {
		return refuse("process", "missing")
	}
	return c.process(c.spec.Process, "process")
}

// process checks what does not depend on the rest of the configuration. prefix is the path of p.
func (c *checker) process(p *specs.Process, prefix string) error {
	at := under(prefix)
	if p.Cwd == "" {
		return refuse(at("cwd"), "missing")
	}
	if err := absolute(at("cwd"), p.Cwd); err != nil {
		return err
	}
	if len(p.Args) == 0 {
		return refuse(at("args"), "must have at least one entry")
	}
	if err := allNoNUL(at("args"), p.Args); err != nil {
		return err
	}
	if err := environment(at("env"), p.Env); err != nil {
		return err
	}
	for _, check := range []func(*specs.Process, func(string) string) error{
		c.terminal, c.user, c.rlimits, c.capabilities, c.labels, c.oomScore, c.scheduler, c.ioPriority, c.affinity,
	} {
		if err := check(p, at); err != nil {
			return err
		}
	}
	return nil
}

// environment refuses entries that are not NAME=VALUE. The entry is not quoted: it may be a secret.
func environment(path string, env []string) error {
	for i, e := range env {
		switch eq := strings.IndexByte(e, '='); {
		case eq < 0:
			return refuse(item(path, i), "must be NAME=VALUE, and has no '='")
		case eq == 0:
			return refuse(item(path, i), "must be NAME=VALUE, and has no name")
		}
		if hasNUL(e) {
			return noNUL(item(path, i), e)
		}
	}
	return nil
}

// terminal checks consoleSize, which a configuration without a terminal may fill at will.
func (c *checker) terminal(p *specs.Process, at func(string) string) error {
	if !p.Terminal || p.ConsoleSize == nil {
		return nil
	}
	if p.ConsoleSize.Height > math.MaxUint16 {
		return refuse(at("consoleSize.height"), "%d: a terminal has at most %d rows", p.ConsoleSize.Height, math.MaxUint16)
	}
	if p.ConsoleSize.Width > math.MaxUint16 {
		return refuse(at("consoleSize.width"), "%d: a terminal has at most %d columns", p.ConsoleSize.Width, math.MaxUint16)
	}
	return nil
}

func (c *checker) user(p *specs.Process, at func(string) string) error {
	if p.User.UID == noID {
		return refuse(at("user.uid"), "%d is not a user id", p.User.UID)
	}
	if p.User.GID == noID {
		return refuse(at("user.gid"), "%d is not a group id", p.User.GID)
	}
	for i, gid := range p.User.AdditionalGids {
		if gid == noID {
			return refuse(item(at("user.additionalGids"), i), "%d is not a group id", gid)
		}
	}
	if m := p.User.Umask; m != nil && *m > 0o777 {
		c.warn(at("user.umask"), "%#o: bits above 0777 are ignored", *m)
	}
	return nil
}

func (c *checker) rlimits(p *specs.Process, at func(string) string) error {
	seen := make(map[string]int, len(p.Rlimits))
	for i, r := range p.Rlimits {
		at := place{at("rlimits"), i}
		if !knownRlimit(r.Type) {
			return refuse(at.field("type"), "unknown limit %q", r.Type)
		}
		if first, ok := seen[r.Type]; ok {
			return refuse(at.field("type"), "%s is set by rlimits[%d] already", r.Type, first)
		}
		seen[r.Type] = i
		if r.Soft > r.Hard {
			return refuse(at.field("soft"), "%d is larger than the hard limit %d", r.Soft, r.Hard)
		}
	}
	return nil
}

// capabilities refuses sets that the kernel takes for an attempt to gain more (capset(2)). A
// capability that is unknown, or that the runtime may not hand on, is no error: the specification
// wants the container to start with fewer than it asked for, and the plan, which knows the kernel's,
// warns.
func (c *checker) capabilities(p *specs.Process, at func(string) string) error {
	if p.Capabilities == nil {
		return nil
	}
	permitted, bounding := capabilitySet(p.Capabilities.Permitted), capabilitySet(p.Capabilities.Bounding)
	if name := missingFrom(permitted, p.Capabilities.Effective); name != "" {
		return refuse(at("capabilities.effective"), "%s is not in permitted", name)
	}
	if name := missingFrom(bounding, p.Capabilities.Inheritable); name != "" {
		return refuse(at("capabilities.inheritable"), "%s is not in bounding", name)
	}
	return nil
}

// capabilitySet has a bit for each known capability.
func capabilitySet(names []string) uint64 {
	var set uint64
	for _, name := range names {
		if n, ok := capabilityNumber(name); ok {
			set |= 1 << n
		}
	}
	return set
}

// missingFrom gives the first known capability of names that set lacks.
func missingFrom(set uint64, names []string) string {
	for _, name := range names {
		if n, ok := capabilityNumber(name); ok && set&(1<<n) == 0 {
			return name
		}
	}
	return ""
}

func (c *checker) labels(p *specs.Process, at func(string) string) error {
	if err := oneLine(at("apparmorProfile"), p.ApparmorProfile); err != nil {
		return err
	}
	return oneLine(at("selinuxLabel"), p.SelinuxLabel)
}

func (c *checker) oomScore(p *specs.Process, at func(string) string) error {
	if s := p.OOMScoreAdj; s != nil && (*s < oomScoreMin || *s > oomScoreMax) {
		return refuse(at("oomScoreAdj"), "%d: must be from %d to %d", *s, oomScoreMin, oomScoreMax)
	}
	return nil
}

func (c *checker) ioPriority(p *specs.Process, at func(string) string) error {
	if p.IOPriority == nil {
		return nil
	}
	if !knownIOClass(p.IOPriority.Class) {
		return refuse(at("ioPriority.class"), "unknown class %q", p.IOPriority.Class)
	}
	if n := p.IOPriority.Priority; n < 0 || n > 7 {
		return refuse(at("ioPriority.priority"), "%d: must be from 0 to 7", n)
	}
	return nil
}

func (c *checker) affinity(p *specs.Process, at func(string) string) error {
	if p.ExecCPUAffinity == nil {
		return nil
	}
	if err := idList(at("execCPUAffinity.initial"), p.ExecCPUAffinity.Initial); err != nil {
		return err
	}
	return idList(at("execCPUAffinity.final"), p.ExecCPUAffinity.Final)
}

// processIDs checks the process's ids against the mappings of a new user namespace.
func (c *checker) processIDs() error {
	if !c.makes(specs.UserNamespace) {
		return nil
	}
	return c.processMapped(c.linux.UIDMappings, c.linux.GIDMappings, "linux.uidMappings", "linux.gidMappings")
}

// processMapped refuses ids of the process that have no place in the maps; where says, for the
// message, what the maps are.
func (c *checker) processMapped(uids, gids []specs.LinuxIDMapping, whereUIDs, whereGIDs string) error {
	if c.spec.Process == nil {
		return nil
	}
	u := c.spec.Process.User
	if !mapped(uids, u.UID) {
		return refuse("process.user.uid", "%d is not in %s", u.UID, whereUIDs)
	}
	if !mapped(gids, u.GID) {
		return refuse("process.user.gid", "%d is not in %s", u.GID, whereGIDs)
	}
	for i, gid := range u.AdditionalGids {
		if !mapped(gids, gid) {
			return refuse(item("process.user.additionalGids", i), "%d is not in %s", gid, whereGIDs)
		}
	}
	return nil
}
