package container

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/bundle"
)

// An Override changes the process of a container's configuration into the one to exec, with runc's
// meaning: Terminal is taken as it is, the other fields where they are set.
type Override struct {
	Args           []string
	Cwd            string
	Env            []string // added
	Terminal       bool
	User           string // "UID" or "UID:GID"
	AdditionalGIDs []int64
	SELinuxLabel   string
	AppArmor       string
	NoNewPrivs     *bool
	Caps           []string // added to bounding, effective and permitted
}

// process gives the process to exec, checked.
func (o *ExecOptions) process(spec *specs.Spec) (*specs.Process, error) {
	switch {
	case o.Process != nil:
		return o.Process, bundle.ValidateProcess(o.Process)
	case o.ProcessFile != "":
		return bundle.LoadProcess(o.ProcessFile)
	case spec.Process == nil:
		return nil, errors.New("the container's configuration has no process")
	}
	p := *spec.Process
	if err := o.Override.apply(&p); err != nil {
		return nil, err
	}
	return &p, bundle.ValidateProcess(&p)
}

// apply changes p. Slices of the configuration are copied, never appended to in place.
func (v *Override) apply(p *specs.Process) error {
	p.Args = v.Args
	p.Terminal = v.Terminal
	p.ConsoleSize = nil // the size of another terminal
	p.Env = append(p.Env[:len(p.Env):len(p.Env)], v.Env...)
	set(&p.Cwd, v.Cwd)
	set(&p.ApparmorProfile, v.AppArmor)
	set(&p.SelinuxLabel, v.SELinuxLabel)
	if v.NoNewPrivs != nil {
		p.NoNewPrivileges = *v.NoNewPrivs
	}
	if len(v.Caps) > 0 {
		p.Capabilities = addCaps(p.Capabilities, v.Caps)
	}
	return v.applyUser(&p.User)
}

func set(field *string, value string) {
	if value != "" {
		*field = value
	}
}

func (v *Override) applyUser(u *specs.User) error {
	if v.User != "" {
		uid, gid, err := parseUser(v.User)
		if err != nil {
			return err
		}
		u.UID = uid
		if gid != nil {
			u.GID = *gid
		}
	}
	gids := u.AdditionalGids[:len(u.AdditionalGids):len(u.AdditionalGids)]
	for _, g := range v.AdditionalGIDs {
		if g < 0 || g > maxID {
			return fmt.Errorf("additional-gids: %d is not a group id", g)
		}
		gids = append(gids, uint32(g))
	}
	u.AdditionalGids = gids
	return nil
}

// maxID is the highest id: the next, (uid_t)-1, means "leave as it is" to setresuid(2).
const maxID = 1<<32 - 2

// parseUser reads UID or UID:GID, decimal digits and nothing else: a value that is read another
// way than its writer meant runs the process as somebody else (CVE-2026-30892).
func parseUser(s string) (uid uint32, gid *uint32, err error) {
	u, g, hasGID := strings.Cut(s, ":")
	if uid, err = parseID(u); err != nil {
		return 0, nil, fmt.Errorf("user %q: uid: %w", s, err)
	}
	if !hasGID {
		return uid, nil, nil
	}
	n, err := parseID(g)
	if err != nil {
		return 0, nil, fmt.Errorf("user %q: gid: %w", s, err)
	}
	return uid, &n, nil
}

var errNotAnID = errors.New("not a number from 0 to 4294967294")

func parseID(s string) (uint32, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNotAnID
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxID {
		return 0, errNotAnID
	}
	return uint32(n), nil
}

// addCaps adds capabilities as runc's exec --cap does: never inheritable ones (CVE-2022-29162), and
// ambient ones where the configuration has inheritable ones at all.
func addCaps(in *specs.LinuxCapabilities, add []string) *specs.LinuxCapabilities {
	var c specs.LinuxCapabilities
	if in != nil {
		c = *in
	}
	grow := func(set []string) []string { return append(set[:len(set):len(set)], add...) }
	c.Bounding, c.Effective, c.Permitted = grow(c.Bounding), grow(c.Effective), grow(c.Permitted)
	if c.Inheritable != nil {
		c.Ambient = grow(c.Ambient)
	}
	return &c
}

// ParseSubCgroups reads exec's --cgroup: one PATH for every hierarchy, or any number of
// CONTROLLER[,CONTROLLER...]:PATH. The result has the path of each controller, or one under "".
func ParseSubCgroups(args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	paths := make(map[string]string, len(args))
	for _, arg := range args {
		controllers, path, ok := strings.Cut(arg, ":")
		if !ok {
			if len(args) != 1 {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (missing <controller>: prefix)", arg)
			}
			paths[""] = arg
			continue
		}
		for c := range strings.SplitSeq(controllers, ",") {
			if c == "" {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (empty <controller> prefix)", arg)
			}
			if _, twice := paths[c]; twice {
				return nil, fmt.Errorf("invalid --cgroup argument(s): controller %s specified multiple times", c)
			}
			paths[c] = path
		}
	}
	return paths, nil
}
