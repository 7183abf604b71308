package bundle

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What a filter can return with its actions: an errno (the kernel cuts it off at MAX_ERRNO), or 16
// bits for a tracer (seccomp(2)).
const (
	maxErrno     = 4095
	maxTraceData = 1<<16 - 1
	maxArguments = 6 // of a system call
)

// seccomp checks a profile's words and numbers. Which system calls the names mean, and which of
// the architectures and flags the machine has, is known when the profile is compiled.
func (c *checker) seccomp() error {
	s := c.linux.Seccomp
	if s == nil {
		return nil
	}
	if s.DefaultAction == "" {
		if len(s.Syscalls) > 0 {
			return refuse("linux.seccomp.defaultAction", "missing")
		}
		c.warn("linux.seccomp", "neither defaultAction nor syscalls: no filter is loaded")
		return nil
	}
	if s.DefaultAction == specs.ActNotify {
		return refuse("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY cannot be used as default action")
	}
	if reason := seccompAction(s.DefaultAction); reason != "" {
		return refuse("linux.seccomp.defaultAction", "%s", reason)
	}
	if reason := seccompErrno(s.DefaultAction, s.DefaultErrnoRet); reason != "" {
		return refuse("linux.seccomp.defaultErrnoRet", "%s", reason)
	}
	for i, a := range s.Architectures {
		if !slices.Contains(seccompArchs, a) {
			return refuse(item("linux.seccomp.architectures", i), "unknown architecture %q", a)
		}
	}
	for i, f := range s.Flags {
		if !slices.Contains(seccompFlags, f) {
			return refuse(item("linux.seccomp.flags", i), "unknown flag %q", f)
		}
	}
	notify := false
	for i := range s.Syscalls {
		if err := c.seccompRule(place{"linux.seccomp.syscalls", i}, &s.Syscalls[i]); err != nil {
			return err
		}
		notify = notify || s.Syscalls[i].Action == specs.ActNotify
	}
	return seccompListener(s, notify)
}

// seccompListener checks where the notifications go.
func seccompListener(s *specs.LinuxSeccomp, notify bool) error {
	if s.ListenerPath == "" {
		if notify {
			return refuse("linux.seccomp.listenerPath", "missing: SCMP_ACT_NOTIFY needs a listener")
		}
		if s.ListenerMetadata != "" {
			return refuse("linux.seccomp.listenerMetadata", "given without listenerPath")
		}
		return nil
	}
	return absolute("linux.seccomp.listenerPath", s.ListenerPath)
}

func (c *checker) seccompRule(at place, rule *specs.LinuxSyscall) error {
	if reason := seccompAction(rule.Action); reason != "" {
		return refuse(at.field("action"), "%s", reason)
	}
	if reason := seccompErrno(rule.Action, rule.ErrnoRet); reason != "" {
		return refuse(at.field("errnoRet"), "%s", reason)
	}
	if len(rule.Names) == 0 {
		c.warn(at.field("names"), "empty: the rule matches nothing")
	}
	for i, name := range rule.Names {
		if name == "" {
			return refuse(item(at.field("names"), i), "empty")
		}
		if hasNUL(name) {
			return noNUL(item(at.field("names"), i), name)
		}
		// As in runc: between the filter and the agent's first answer the process itself has to
		// write.
		if rule.Action == specs.ActNotify && name == "write" {
			return refuse(item(at.field("names"), i), "SCMP_ACT_NOTIFY cannot be used for the write syscall")
		}
	}
	for i, a := range rule.Args {
		if a.Index >= maxArguments {
			return refuse(item(at.field("args"), i)+".index", "%d: a system call has %d arguments", a.Index, maxArguments)
		}
		if !slices.Contains(seccompOperators, a.Op) {
			return refuse(item(at.field("args"), i)+".op", "unknown operator %q", a.Op)
		}
	}
	return nil
}

// seccompAction says what is wrong with an action, if anything is.
func seccompAction(action specs.LinuxSeccompAction) string {
	if action == "" {
		return "missing"
	}
	if !slices.Contains(seccompActions, action) {
		return fmt.Sprintf("unknown action %q", action)
	}
	return ""
}

// seccompErrno says what is wrong with the number that an action returns. As the specification
// demands, a number with an action that returns none is an error.
func seccompErrno(action specs.LinuxSeccompAction, ret *uint) string {
	if ret == nil {
		return ""
	}
	limit := uint(maxErrno)
	switch action {
	case specs.ActErrno:
	case specs.ActTrace:
		limit = maxTraceData
	default:
		return fmt.Sprintf("%s returns no errno", action)
	}
	if *ret > limit {
		return fmt.Sprintf("%d: must be at most %d", *ret, limit)
	}
	return ""
}
