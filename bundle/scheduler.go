package bundle

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The kernel's bounds of sched_setattr(2): real-time priorities, nice values, and the least runtime
// of SCHED_DEADLINE in nanoseconds.
const (
	rtPriorityMax     = 99
	niceMin           = -20
	niceMax           = 19
	deadlineRuntime   = 1 << 10
	deadlineSignedMax = 1<<63 - 1
)

// scheduler applies the rules of sched_setattr(2), so that the field is named here instead of an
// EINVAL coming from the stage.
func (c *checker) scheduler(p *specs.Process, at func(string) string) error {
	s := p.Scheduler
	if s == nil {
		return nil
	}
	at = under(at("scheduler"))
	if s.Policy == "" {
		return refuse(at("policy"), "missing")
	}
	if !slices.Contains(schedulerPolicies, s.Policy) {
		return refuse(at("policy"), "unknown policy %q", s.Policy)
	}
	for i, f := range s.Flags {
		if !slices.Contains(schedulerFlags, f) {
			return refuse(item(at("flags"), i), "unknown flag %q", f)
		}
	}
	if err := schedulerNice(s, at); err != nil {
		return err
	}
	if err := schedulerPriority(s, at); err != nil {
		return err
	}
	return schedulerDeadline(s, at)
}

func schedulerNice(s *specs.Scheduler, at func(string) string) error {
	if s.Policy != specs.SchedOther && s.Policy != specs.SchedBatch {
		return nil
	}
	if s.Nice < niceMin || s.Nice > niceMax {
		return refuse(at("nice"), "%d: must be from %d to %d with %s", s.Nice, niceMin, niceMax, s.Policy)
	}
	return nil
}

func schedulerPriority(s *specs.Scheduler, at func(string) string) error {
	realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	if !realtime {
		if s.Priority != 0 {
			return refuse(at("priority"), "%d: only SCHED_FIFO and SCHED_RR have a priority", s.Priority)
		}
		return nil
	}
	if slices.Contains(s.Flags, specs.SchedFlagKeepParams) {
		return nil // the kernel keeps the priority that the runtime has
	}
	if s.Priority < 1 || s.Priority > rtPriorityMax {
		return refuse(at("priority"), "%d: must be from 1 to %d with %s", s.Priority, rtPriorityMax, s.Policy)
	}
	return nil
}

func schedulerDeadline(s *specs.Scheduler, at func(string) string) error {
	if s.Policy != specs.SchedDeadline {
		for _, f := range []struct {
			name  string
			value uint64
		}{{"runtime", s.Runtime}, {"deadline", s.Deadline}, {"period", s.Period}} {
			if f.value != 0 {
				return refuse(at(f.name), "%d: only SCHED_DEADLINE has it", f.value)
			}
		}
		return nil
	}
	if slices.Contains(s.Flags, specs.SchedFlagKeepParams) {
		return nil
	}
	period := s.Period
	if period == 0 {
		period = s.Deadline
	}
	switch {
	case s.Runtime < deadlineRuntime:
		return refuse(at("runtime"), "%d: must be at least %d ns", s.Runtime, deadlineRuntime)
	case s.Deadline < s.Runtime:
		return refuse(at("deadline"), "%d: must not be smaller than runtime %d", s.Deadline, s.Runtime)
	case period < s.Deadline:
		return refuse(at("period"), "%d: must not be smaller than deadline %d", s.Period, s.Deadline)
	case period > deadlineSignedMax:
		return refuse(at("period"), "%d: too large", period)
	}
	return nil
}
