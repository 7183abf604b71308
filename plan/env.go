package plan

import (
	"slices"
	"strconv"
	"strings"
)

// environment is a process's environment, made ready for execve(2).
type environment struct {
	vars    []string
	path    string // PATH's value, "" without one
	hasHome bool
}

// readEnvironment checks env and removes what a later entry of the same name overrides. An empty
// HOME counts as none: the user's is added later.
func readEnvironment(field string, env []string) (environment, error) {
	var e environment
	e.vars = make([]string, 0, len(env)+3)
	seen := make(map[string]struct{}, len(env))
	for i := len(env) - 1; i >= 0; i-- {
		name, value, ok := strings.Cut(env[i], "=")
		switch {
		case !ok:
			return e, refuse(item(field, i), "no '='")
		case name == "":
			return e, refuse(item(field, i), "no name before '='")
		case hasNUL(env[i]):
			return e, refuse(item(field, i), "contains a NUL byte")
		}
		if _, dup := seen[name]; dup {
			continue
		}
		seen[name] = struct{}{}
		switch name {
		case "PATH":
			e.path = value
		case "HOME":
			if value == "" {
				continue
			}
			e.hasHome = true
		}
		e.vars = append(e.vars, env[i])
	}
	slices.Reverse(e.vars)
	return e, nil
}

// set replaces or appends a variable.
func (e *environment) set(name, value string) {
	entry := name + "=" + value
	for i, v := range e.vars {
		if strings.HasPrefix(v, name+"=") {
			e.vars[i] = entry
			return
		}
	}
	e.vars = append(e.vars, entry)
}

// activate adds the variables of socket activation (sd_listen_fds(3)). The stage puts its own pid
// in place of LISTEN_PID's, which must be that of the process that gets the descriptors.
func (e *environment) activate(fds int, names string) {
	if fds == 0 {
		return
	}
	e.set("LISTEN_FDS", strconv.Itoa(fds))
	e.set("LISTEN_PID", "1")
	if names != "" {
		e.set("LISTEN_FDNAMES", names)
	}
}
