package spec

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

func sysctl(key, value string) harness.Edit {
	return func(s *spec) { s.Linux.Sysctl = map[string]string{key: value} }
}

func TestKernelParametersOfTheContainersNamespaces(t *testing.T) {
	e := harness.New(t)
	set := map[string]string{
		"kernel.msgmax": "4711", "kernel/shm_rmid_forced": "1", "fs.mqueue.msg_max": "17",
		"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "1", "kernel.domainname": "example.org",
	}
	var files []string
	for key := range set {
		files = append(files, "/proc/sys/"+strings.ReplaceAll(key, ".", "/"))
	}
	out := e.Run(harness.Args(append([]string{"/bin/grep", "-H", "."}, files...)...), func(s *spec) { s.Linux.Sysctl = set })
	for key, value := range set {
		path := "/proc/sys/" + strings.ReplaceAll(key, ".", "/")
		wantContains(t, "parameters", out, path+":"+value+"\n")
		if host, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(host)) == value && !strings.Contains(key, "forward") {
			t.Errorf("%s is %s on the host too", key, value)
		}
	}
}

// runc's checks: a parameter must belong to a namespace that is the container's own.
func TestKernelParametersOfTheHostAreRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	for _, row := range []struct {
		key, why string
		edit     harness.Edit
	}{
		{"vm.swappiness", "belongs to no namespace", nil},
		{"kernel.hostname", "use that", nil},
		{"kernel.shmmax", "needs the container's own ipc namespace", harness.WithoutNamespace(specs.IPCNamespace)},
		{"fs.mqueue.msg_max", "needs the container's own ipc namespace", harness.WithoutNamespace(specs.IPCNamespace)},
		{"net.ipv4.ip_forward", "needs the container's own network namespace", harness.WithoutNamespace(specs.NetworkNamespace)},
		{"net.ipv4.ip_forward", "not allowed in host network namespace", harness.Namespace(specs.NetworkNamespace, "/proc/self/ns/net")},
		{"net.ipv4.ip_forward", "not allowed in host network namespace", harness.Namespace(specs.NetworkNamespace, fmt.Sprintf("/proc/%d/ns/net", os.Getpid()))},
		{"user.max_user_namespaces", "needs the container's own user namespace", nil},
		{"net/../vm/swappiness", "not the name of a kernel parameter", nil},
	} {
		edits := []harness.Edit{sysctl(row.key, "1")}
		if row.edit != nil {
			edits = append(edits, row.edit)
		}
		if row.key == "kernel.shmmax" || row.key == "fs.mqueue.msg_max" {
			edits = append(edits, harness.WithoutMount("/dev/mqueue"))
		}
		e.Refused(edits, "linux.sysctl", row.key, row.why)
	}
}

// What the kernel refuses is told with its name and value.
func TestAParameterThatTheKernelRefuses(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	e.Refused([]harness.Edit{sysctl("net.ipv4.nothing", "1")}, "write sysctl: sys/net/ipv4/nothing: ENOENT (2)")
	e.Refused([]harness.Edit{sysctl("kernel.msgmax", "many")}, "write sysctl: sys/kernel/msgmax: EINVAL (22)", "many")
}
