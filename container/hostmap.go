package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/plan"
)

// procFile is a file of a process that this runtime started and has not reaped, so that the pid
// cannot have become another's.
func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// writeIDMaps writes the id maps of a new user namespace (user_namespaces(7)).
func writeIDMaps(pid int, p *plan.Plan) error {
	if len(p.UIDMappings) == 0 && len(p.GIDMappings) == 0 {
		return nil
	}
	if err := writeIDMap(pid, "uid_map", "newuidmap", os.Geteuid(), p.UIDMappings); err != nil {
		return err
	}
	if err := writeSetgroups(pid, p.GIDMappings); err != nil {
		return err
	}
	return writeIDMap(pid, "gid_map", "newgidmap", os.Getegid(), p.GIDMappings)
}

// writeIDMap writes one map: by itself where the kernel lets us, which is as root, or as a user who
// maps nothing but himself; else through the setuid helpers of shadow, which look into /etc/subuid.
func writeIDMap(pid int, file, helper string, own int, maps []specs.LinuxIDMapping) error {
	// user_namespaces(7): one write, of less than a page. That binds before the number of lines does.
	if n := len(mapText(maps)); n >= os.Getpagesize() {
		return fmt.Errorf("write id map: %d mappings make %d bytes, and the kernel takes less than %d", len(maps), n, os.Getpagesize())
	}
	if os.Geteuid() == 0 || mapsOnly(maps, own) {
		return writeOnce("write id map", procFile(pid, file), mapText(maps))
	}
	args := []string{strconv.Itoa(pid)}
	for _, m := range maps {
		args = append(args, fmt.Sprint(m.ContainerID), fmt.Sprint(m.HostID), fmt.Sprint(m.Size))
	}
	path, err := exec.LookPath(helper)
	if err != nil {
		return fmt.Errorf("write id map: %s: more than one's own id needs this helper (package uidmap)", helper)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("write id map: %s %s: %w: %s", helper, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// mapsOnly: one id, the caller's own.
func mapsOnly(maps []specs.LinuxIDMapping, own int) bool {
	return len(maps) == 1 && maps[0].Size == 1 && int(maps[0].HostID) == own
}

func mapText(maps []specs.LinuxIDMapping) string {
	var b strings.Builder
	for _, m := range maps {
		fmt.Fprintf(&b, "%d %d %d\n", m.ContainerID, m.HostID, m.Size)
	}
	return b.String()
}

// writeSetgroups gives up setgroups(2), which the kernel asks of an unprivileged user before the
// gid map: a group can take rights away, so leaving one could give them. newgidmap does it itself.
func writeSetgroups(pid int, gids []specs.LinuxIDMapping) error {
	if os.Geteuid() == 0 || !mapsOnly(gids, os.Getegid()) {
		return nil
	}
	return writeOnce("write setgroups", procFile(pid, "setgroups"), "deny")
}

// writeOnce writes with one write(2), as files of procfs want.
func writeOnce(step, path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return failed(step, path, err)
	}
	defer file.Close()
	_, err = file.WriteString(text)
	return failed(step, path+" "+strconv.Quote(shortened(text)), err)
}

// shortened cuts what would make a message unreadable.
func shortened(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}

// writeOOMScoreAdj sets how readily the kernel kills the process for memory. A user without
// privilege may not lower it and need not: runc leaves it then too.
func writeOOMScoreAdj(pid int, p *plan.Plan) error {
	if p.OOMScoreAdj == nil {
		return nil
	}
	err := writeOnce("set oom score", procFile(pid, "oom_score_adj"), strconv.Itoa(*p.OOMScoreAdj))
	if os.Geteuid() != 0 && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) {
		return nil
	}
	return err
}

// setRlimits sets the process's resource limits from outside: raising a hard limit takes a
// privilege that the stage has given up inside a user namespace. It has to come before the stage
// changes its user: without CAP_SYS_RESOURCE prlimit(2) wants the ids to be the caller's.
func setRlimits(pid int, limits []plan.Rlimit) error {
	for _, l := range limits {
		err := unix.Prlimit(pid, l.Type, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil)
		if err != nil {
			return failed("set rlimit", fmt.Sprintf("%s to %d:%d", l.Name, l.Soft, l.Hard), err)
		}
	}
	return nil
}

// setAffinity binds the process to the given CPUs until its plan says otherwise; none leaves it as
// it is. It comes before the join, whose cost then falls on these CPUs.
func setAffinity(pid int, cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return failed("set CPU affinity", fmt.Sprint(cpus), unix.SchedSetaffinity(pid, &set))
}
