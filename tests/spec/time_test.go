package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// offsets are what a time namespace of the container's own is ahead by.
func offsets(monotonic, boottime int64) harness.Edit {
	return func(s *spec) {
		harness.Namespace(specs.TimeNamespace, "")(s)
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{
			"monotonic": {Secs: monotonic, Nanosecs: 5}, "boottime": {Secs: boottime, Nanosecs: 999999999},
		}
	}
}

func TestTheClocksOfATimeNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 knows no time namespace")
	show := "cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime"
	check := func(what, out string, host int64) {
		t.Helper()
		l := strings.Split(strings.TrimSpace(out), "\n")
		if len(l) != 3 {
			t.Fatalf("%s: %q", what, out)
		}
		wantEqual(t, what, strings.Join(strings.Fields(l[0]+" "+l[1]), " "), "monotonic 86400 5 boottime 1000000 999999999")
		var up int64
		if _, err := fmt.Sscan(l[2], &up); err != nil || up < host+1000000 || up > host+1000100 {
			t.Errorf("%s: up for %d s, the host for %d: %v", what, up, host, err)
		}
	}
	var host int64
	if _, err := fmt.Sscan(e.Read("/proc/uptime"), &host); err != nil {
		t.Fatal(err)
	}
	check("init", e.Run(sh(show), offsets(86400, 1000000)), host)
	b := withUserNS(e, sh(show), offsets(86400, 1000000))
	check("with a user namespace", e.OK("run", "-b", b.Dir, e.ID("u")), host)
	id, _ := e.Detached(offsets(86400, 1000000))
	check("exec", e.OK("exec", id, "/bin/sh", "-c", show), host)
	e.Remove(id)
	e.Refused([]harness.Edit{offsets(-1<<40, 0)}, "write time offsets", "ERANGE (34)")
	e.Refused([]harness.Edit{offsets(1, 1), harness.WithoutNamespace(specs.TimeNamespace)}, "linux.timeOffsets", "time namespace")
}
