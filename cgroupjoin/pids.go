package cgroupjoin

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
)

// mainPath is the directory that stands for the cgroup where one has to: the devices hierarchy on
// v1, as with runc. It is "" where the container has none.
func (c *Cgroup) mainPath() string {
	if c.saved.Layout == V2 {
		return c.saved.Paths[""]
	}
	if p := c.saved.Paths["devices"]; p != "" {
		return p
	}
	for _, controller := range distinct(c.saved.Paths) {
		return c.saved.Paths[controller]
	}
	return ""
}

// Exists reports whether the cgroup is there.
func (c *Cgroup) Exists() bool {
	p := c.mainPath()
	return p != "" && unix.Access(p, unix.F_OK) == nil
}

// Pids lists the processes of the cgroup, and with all those of its sub-cgroups too. A process of a
// PID namespace that the runtime cannot see into comes as 0.
func (c *Cgroup) Pids(all bool) ([]int, error) {
	p := c.mainPath()
	if p == "" {
		return nil, &Error{Step: "list processes", Err: ErrNoCgroup}
	}
	get := cgroups.GetPids
	if all {
		get = cgroups.GetAllPids
	}
	pids, err := get(p)
	if err != nil {
		return nil, explain("list processes", err)
	}
	return pids, nil
}

// describe names processes for a message: "pid 12 (sleep), pid 13 (dd, state D)".
func describe(pids []int) string {
	const most = 8
	var parts []string
	for i, pid := range pids {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(pids)-most))
			break
		}
		name, state := procStat(pid)
		switch {
		case name == "":
			parts = append(parts, "pid "+strconv.Itoa(pid))
		case state == "D" || state == "Z":
			parts = append(parts, fmt.Sprintf("pid %d (%s, state %s)", pid, name, state))
		default:
			parts = append(parts, fmt.Sprintf("pid %d (%s)", pid, name))
		}
	}
	return strings.Join(parts, ", ")
}

// Survivors names processes that were killed and still do not end, and why where that can be told:
// one that the v1 freezer holds does not die, and the freezer may be that of a cgroup further up,
// which is not the container's to thaw.
func (c *Cgroup) Survivors(pids []int) string {
	text := "still there: " + describe(pids)
	if dir := c.frozenBy(); dir != "" {
		text += ", frozen by " + dir
	}
	return text
}

// procStat reads name and state of a process: "PID (NAME) STATE ..." (proc_pid_stat(5)). The name may
// contain anything, parentheses too.
func procStat(pid int) (name, state string) {
	text, open, end := readStat(pid)
	if end < 0 {
		return "", ""
	}
	if fields := strings.Fields(text[end+1:]); len(fields) > 0 {
		state = fields[0]
	}
	return text[open+1 : end], state
}

// statFields gives the fields of a process's stat from the state (field 3) on.
func statFields(pid int) []string {
	text, _, end := readStat(pid)
	if end < 0 {
		return nil
	}
	return strings.Fields(text[end+1:])
}

// readStat finds the parentheses around the name; end is -1 where there is no such process.
func readStat(pid int) (text string, open, end int) {
	data, err := smallfile.Read("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", -1, -1
	}
	text = string(data)
	open, end = strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return "", -1, -1
	}
	return text, open, end
}
