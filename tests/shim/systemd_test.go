package shim

import (
	"fmt"
	"os"
	"strings"
	"testing"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"runack/tests/harness"
)

// With SystemdCgroup a container lives in a scope of systemd's, whichever form the option comes in. The
// virtual machine has a systemd.
func TestSystemdCgroup(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Skip("systemd does not run this host")
	}
	for name, options := range map[string]func(*daemon) *anypb.Any{
		"as runc's options": func(d *daemon) *anypb.Any {
			return d.options(func(o *runcoptions.Options) { o.SystemdCgroup = true })
		},
		"as TOML": func(d *daemon) *anypb.Any {
			body := fmt.Appendf(nil, "SystemdCgroup = true\nRoot = %q\n", d.root)
			data, err := proto.Marshal(&runtimeoptions.Options{ConfigBody: body})
			if err != nil {
				t.Fatal(err)
			}
			return &anypb.Any{TypeUrl: "runtimeoptions.v1.Options", Value: data}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			d.liveInScope(options(d))
		})
	}
}

// liveInScope takes a container from create to delete and looks at its scope on the way.
func (d *daemon) liveInScope(options *anypb.Any) {
	t := d.T
	t.Helper()
	id := d.ID("c")
	unit := "runack-test-" + id + ".scope"
	unitState := func() string {
		t.Helper()
		return d.Command("systemctl", "show", "--value", "-p", "LoadState", "-p", "ActiveState", unit).OK()
	}
	b := d.Bundle(harness.Args("/bin/sleep", "100000"), memoryLimit(64<<20), harness.CgroupsPath("system.slice:runack-test:"+id))
	s := d.start(b, id)
	resp, err := s.Create(s.ctx(), &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	s.begin(id, "")
	if got := unitState(); got != "loaded\nactive\n" {
		t.Errorf("the unit is %q", got)
	}
	path := strings.TrimSpace(d.Read(fmt.Sprintf("/proc/%d/cgroup", resp.Pid)))
	if path != "0::/system.slice/"+unit {
		t.Errorf("init is in %s", path)
	}
	s.add(id, "e", stdio{}, "/bin/sleep", "100000")
	exec := s.begin(id, "e")
	if got := strings.TrimSpace(d.Read(fmt.Sprintf("/proc/%d/cgroup", exec))); got != path {
		t.Errorf("an exec is in %s, init in %s", got, path)
	}
	const memory = 96 << 20
	_, err = s.Update(s.ctx(), &taskapi.UpdateTaskRequest{ID: id, Resources: &anypb.Any{
		TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources",
		Value:   []byte(fmt.Sprintf(`{"memory":{"limit":%d,"swap":%[1]d}}`, memory)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	d.Command("systemctl", "daemon-reload").OK() // it must not undo the update
	if got := strings.TrimSpace(d.Read("/sys/fs/cgroup/system.slice/" + unit + "/memory.max")); got != fmt.Sprint(memory) {
		t.Errorf("memory.max is %s", got)
	}
	s.finish(id)
	if got := unitState(); got != "not-found\ninactive\n" {
		t.Errorf("after delete the unit is %q", got)
	}
}
