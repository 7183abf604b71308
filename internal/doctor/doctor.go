package doctor

// State is a verdict.
type State string

// The verdicts.
const (
	OK      State = "ok"
	Limited State = "limited" // containers run, without something or more slowly
	Missing State = "missing" // containers do not run
	Info    State = "info"    // good to know
)

// A Check is one thing that was looked at.
type Check struct {
	Group  string `json:"group"`
	Name   string `json:"name"`
	State  State  `json:"state"`
	Found  string `json:"found,omitempty"`
	Advice string `json:"advice,omitempty"` // what to do, where something is to be done
}

// Examine looks at this host as the calling process meets it, inside of whatever holds it: a seccomp
// filter or a container counts.
func Examine() []Check {
	var checks []Check
	for _, group := range []struct {
		name    string
		examine func() []Check
	}{
		{"kernel", kernel}, {"namespaces", namespaces}, {"cgroups", cgroups}, {"security", security},
		{"users", users}, {"speed", speed}, {"tools", tools},
	} {
		for _, c := range group.examine() {
			c.Group = group.name
			checks = append(checks, c)
		}
	}
	return checks
}

// Works tells whether containers can run.
func Works(checks []Check) bool {
	for _, c := range checks {
		if c.State == Missing {
			return false
		}
	}
	return true
}
