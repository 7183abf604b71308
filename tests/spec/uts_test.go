package spec

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

func TestHostnameAndDomainname(t *testing.T) {
	e := harness.New(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("n", 64)
	out := e.Run(sh("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname"), func(s *spec) { s.Hostname, s.Domainname = long, "example.org" })
	if harness.IsRunack() {
		wantEqual(t, "names", out, long+"\nexample.org\n") // 1.1.5 does not know domainname
	}
	wantEqual(t, "no name of its own", e.Run(harness.Args("/bin/hostname"), func(s *spec) { s.Hostname = "" }), host+"\n")
	// In a namespace that is joined, too.
	id, pid := e.Detached(func(s *spec) { s.Hostname = "first" })
	e.Run(sh("true"), harness.Namespace(specs.UTSNamespace, fmt.Sprintf("/proc/%d/ns/uts", pid)), func(s *spec) { s.Hostname = "second" })
	wantEqual(t, "the shared name", e.OK("exec", id, "/bin/hostname"), "second\n")
	e.Remove(id)
	now, err := os.Hostname()
	if err != nil || now != host {
		t.Errorf("the host is called %s now, %v", now, err)
	}
	e.RunackOnly("says it in other words")
	for field, edit := range map[string]harness.Edit{
		"hostname": func(s *spec) { s.Hostname = "x" }, "domainname": func(s *spec) { s.Hostname, s.Domainname = "", "x" },
	} {
		e.Refused([]harness.Edit{edit, harness.WithoutNamespace(specs.UTSNamespace)}, "config.json: "+field, "uts namespace")
	}
	e.Refused([]harness.Edit{func(s *spec) { s.Hostname = long + "n" }}, "hostname", "65 bytes")
}
