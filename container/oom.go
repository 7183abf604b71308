package container

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"strconv"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// What state adds to a container's own annotations where the kernel has killed for want of memory.
const (
	// OOMKills is how many processes of the container that were.
	OOMKills = "org.runack.oom.kills"
	// OOMKilled is "true" for a container that has stopped because init was one of them, and "assumed"
	// for one whose init has been reaped: only its parent was told what it died of.
	OOMKilled = "org.runack.oom.killed"
)

// withOOM gives the container's annotations, and what the cgroup has counted.
func (c *Container) withOOM(status Status) map[string]string {
	kills := c.oomKills()
	if kills == 0 {
		return c.rec.Annotations
	}
	out := maps.Clone(c.rec.Annotations)
	if out == nil {
		out = map[string]string{}
	}
	out[OOMKills] = strconv.FormatUint(kills, 10)
	if status == Stopped {
		if killed := c.initKilled(); killed != "" {
			out[OOMKilled] = killed
		}
	}
	return out
}

// initKilled gives the value of OOMKilled, "" for an init that did not die of SIGKILL. Others than its
// parent can read that as long as the parent has not reaped it.
func (c *Container) initKilled() string {
	const assumed = "assumed"
	if c.rec.Init == nil {
		return ""
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(c.rec.Init.Pid) + "/stat")
	if err != nil {
		return assumed
	}
	start, err := parseStartTime(stat)
	if err != nil || start != c.rec.Init.Start {
		return assumed // another process by now
	}
	// Field 52, the last one (proc_pid_stat(5)): the status as wait(2) gives it.
	fields := bytes.Fields(stat)
	status, err := strconv.ParseUint(string(fields[len(fields)-1]), 10, 32)
	switch {
	case err != nil:
		return assumed
	case unix.WaitStatus(status).Signal() == unix.SIGKILL:
		return "true"
	}
	return ""
}

// logOOM tells of an init that was killed for want of memory, by its exit code. It comes right after
// init's death: a scope of systemd's, and the count with it, is gone soon.
func (c *Container) logOOM(code int) {
	if kills := c.oomKills(); kills > 0 && code == 128+int(unix.SIGKILL) {
		logrus.Warn(c.wrap(fmt.Errorf("init was killed for want of memory (the cgroup counted %d OOM kill(s))", kills)))
	}
}

// oomKills counts the kills since the container was made. It counts nothing where the count cannot be
// had: in a cgroup that is gone, or that there never was.
func (c *Container) oomKills() uint64 {
	cg, err := c.cgroup()
	if err != nil || cg == nil {
		return 0
	}
	kills, err := cg.OOMKills()
	if err != nil {
		return 0
	}
	return kills - min(kills, c.rec.OOMBefore)
}
