package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	stats1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	stats2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"runack/tests/harness"
)

func TestPauseAndResume(t *testing.T) {
	if !harness.HasController("freezer") && harness.CgroupVersion() == "v1" {
		t.Skip("this view of the host has no freezer")
	}
	s, id := sleeper(t)
	if _, err := s.Pause(s.ctx(), &taskapi.PauseRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	if got := s.status(id, ""); got.String() != "PAUSED" {
		t.Errorf("after pause: %v", got)
	}
	_, err := s.Pause(s.ctx(), &taskapi.PauseRequest{ID: id})
	refused(t, codes.FailedPrecondition, err)
	s.add(id, "e", stdio{}, "/bin/true")
	_, err = s.Start(s.ctx(), &taskapi.StartRequest{ID: id, ExecID: "e"})
	refused(t, codes.Unknown, err, "paused")
	if _, err := s.Resume(s.ctx(), &taskapi.ResumeRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	if got := s.status(id, ""); got.String() != "RUNNING" {
		t.Errorf("after resume: %v", got)
	}
	log := s.awaitTopic("/tasks/resumed", 1)
	if got := fmt.Sprint(topics(log)); got != "[create start paused exec-added resumed]" {
		t.Errorf("events %v", got)
	}
	// A paused container is killed like any other.
	if _, err := s.Pause(s.ctx(), &taskapi.PauseRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	s.finish(id)
}

func TestPids(t *testing.T) {
	s, id := sleeper(t)
	s.add(id, "e", stdio{}, "/bin/sleep", "100000")
	exec := s.begin(id, "e")
	resp, err := s.Pids(s.ctx(), &taskapi.PidsRequest{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range resp.Processes {
		if int(p.Pid) != exec {
			continue
		}
		var details runcoptions.ProcessDetails
		if err := proto.Unmarshal(p.Info.GetValue(), &details); err != nil || details.ExecID != "e" || p.Info.TypeUrl != "containerd.runc.v1.ProcessDetails" {
			t.Errorf("the exec's details: %v, %v", p.Info, err)
		}
		found = true
	}
	if len(resp.Processes) != 2 || !found {
		t.Errorf("processes %v, the exec is %d", resp.Processes, exec)
	}
	s.finish(id)
}

func TestUpdateAndStats(t *testing.T) {
	if !harness.HasController("memory") {
		t.Skip("this view of the host has no memory controller")
	}
	s, id := sleeper(t)
	const memory = 64 << 20
	_, err := s.Update(s.ctx(), &taskapi.UpdateTaskRequest{ID: id, Resources: &anypb.Any{
		TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources",
		Value:   []byte(fmt.Sprintf(`{"memory":{"limit":%d}}`, memory)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Stats(s.ctx(), &taskapi.StatsRequest{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	var limit, pids uint64
	switch name := resp.Stats.TypeUrl; name {
	case "io.containerd.cgroups.v1.Metrics":
		var m stats1.Metrics
		if err := proto.Unmarshal(resp.Stats.Value, &m); err != nil {
			t.Fatal(err)
		}
		limit, pids = m.Memory.Usage.Limit, m.Pids.Current
		if m.Memory.PgFault == 0 || m.CPU.Usage.Total == 0 {
			t.Errorf("counters are missing: %v", &m)
		}
	case "io.containerd.cgroups.v2.Metrics":
		var m stats2.Metrics
		if err := proto.Unmarshal(resp.Stats.Value, &m); err != nil {
			t.Fatal(err)
		}
		limit, pids = m.Memory.UsageLimit, m.Pids.Current
		if m.Memory.Pgfault == 0 || m.CPU.UsageUsec == 0 {
			t.Errorf("counters are missing: %v", &m)
		}
	default:
		t.Fatalf("metrics of type %s", name)
	}
	if limit != memory || harness.HasController("pids") && pids != 1 {
		t.Errorf("memory limit %d, want %d; %d pids, want 1", limit, memory, pids)
	}
	s.finish(id)
}

// overlay is a mount over lower that writes to u below upper.
func overlay(lower, upper string) *types.Mount {
	return &types.Mount{Type: "overlay", Source: "overlay", Options: []string{
		"lowerdir=" + lower, "upperdir=" + upper + "/u", "workdir=" + upper + "/w",
	}}
}

// runOver takes a container whose root file system is mounts from create to delete, and wants its output.
func (s *shim) runOver(b *harness.Bundle, id string, mounts []*types.Mount, want string) {
	s.T.Helper()
	path, uri := s.output("out")
	_, err := s.Create(s.ctx(), &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Rootfs: mounts, Options: s.options(nil), Stdout: uri})
	if err != nil {
		s.T.Fatal(err)
	}
	s.begin(id, "")
	s.end(id, "")
	if got := s.text(path); got != want {
		s.T.Errorf("wrote %q", got)
	}
	s.remove(id, "")
}

// The root file system comes as mounts, and goes with the task.
func TestRootfsMounts(t *testing.T) {
	d := newDaemon(t)
	source := d.Bundle()
	b := d.Bundle(harness.Shell("echo hello >/tmp/file && cat /tmp/file"), harness.WritableRoot)
	upper, work := d.dir+"/upper", d.dir+"/work"
	for _, dir := range []string{upper, work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	id := d.ID("c")
	s := d.start(b, id)
	// Both are there at once, one over the other.
	mounts := []*types.Mount{{Type: "tmpfs", Source: "tmpfs", Options: []string{"size=1m", "nosuid"}}}
	lower := source.Rootfs
	if err := unix.Mount("runack-test", d.dir+"/upper", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(upper, unix.MNT_DETACH) }()
	for _, dir := range []string{upper + "/u", upper + "/w"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mounts = append(mounts, overlay(lower, upper))
	s.runOver(b, id, mounts, "hello\n")
	if got := d.text(upper + "/u/tmp/file"); got != "hello\n" {
		t.Errorf("the upper layer has %q", got)
	}
	// One that cannot be mounted takes those before it away again.
	mounts[1].Type = "nosuchfs"
	_, err := s.Create(d.ctx(), &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Rootfs: mounts, Options: d.options(nil)})
	refused(t, codes.Unknown, err, "mount 2 of 2")
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(table), b.Dir) {
		t.Errorf("left mounted: %s, %v", table, err)
	}
	s.quit()
}

// For a container with a user namespace containerd 2 asks for ID-mapped layers: root's files are its
// root's, and on the disk only what it makes is the mapped user's.
func TestIDMappedRootfs(t *testing.T) {
	const host, size = 100000, 65536
	userNS := func(s *specs.Spec) {
		ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: host, Size: size}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids, ids
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	}
	maps := []string{fmt.Sprintf("uidmap=0:%d:%d", host, size), fmt.Sprintf("gidmap=0:%d:%d", host, size)}
	for _, row := range []struct {
		name  string
		mount func(lower, upper string) *types.Mount
	}{
		{"overlay", overlay},
		{"bind", func(lower, _ string) *types.Mount {
			return &types.Mount{Type: "bind", Source: lower, Options: []string{"rbind", "rw"}}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDaemon(t)
			lower := d.Bundle().Rootfs
			b := d.Bundle(harness.Shell("stat -c '%u %g' /bin/busybox && echo >/tmp/file && stat -c '%u' /tmp/file"), harness.WritableRoot, userNS)
			upper := d.dir + "/upper"
			if err := os.Mkdir(upper, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("runack-test", upper, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = unix.Unmount(upper, unix.MNT_DETACH) }()
			for _, dir := range []string{upper + "/u", upper + "/w"} {
				if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, host, host)); err != nil {
					t.Fatal(err)
				}
			}
			m := row.mount(lower, upper)
			m.Options = append(m.Options, maps...)
			id := d.ID("c")
			s := d.start(b, id)
			s.runOver(b, id, []*types.Mount{m}, "0 0\n0\n")
			table, err := os.ReadFile("/proc/self/mounts")
			if err != nil || strings.Contains(string(table), b.Dir) || strings.Contains(string(table), "runack-layers") {
				t.Errorf("left mounted: %s, %v", table, err)
			}
			s.quit()
		})
	}
}

// The paths of many layers are more than mount(2) takes.
func TestRootfsOfManyLayers(t *testing.T) {
	d := newDaemon(t)
	top := d.Bundle().Rootfs
	b := d.Bundle(harness.Args("/bin/cat", "/layer-0", "/layer-99"))
	layers := filepath.Join(d.dir, strings.Repeat("long", 20))
	lower := []string{}
	for n := range 100 {
		dir := filepath.Join(layers, fmt.Sprint(n), "fs")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("layer-", n)), []byte(fmt.Sprintln(n)), 0o644); err != nil {
			t.Fatal(err)
		}
		lower = append(lower, dir)
	}
	base := filepath.Join(layers, "base")
	if err := os.Rename(top, base); err != nil {
		t.Fatal(err)
	}
	lower = append(lower, base)
	id := d.ID("c")
	s := d.start(b, id)
	path, uri := d.output("out")
	_, err := s.Create(d.ctx(), &taskapi.CreateTaskRequest{
		ID: id, Bundle: b.Dir, Options: d.options(nil), Stdout: uri,
		Rootfs: []*types.Mount{{Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + strings.Join(lower, ":")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.begin(id, "")
	s.end(id, "")
	if got := d.text(path); got != "0\n99\n" {
		t.Errorf("wrote %q", got)
	}
	s.remove(id, "")
	s.quit()
}

// The version 3 of the API is the same under another name.
func TestTaskServiceVersion3(t *testing.T) {
	s, id := sleeper(t)
	var resp taskapi.StateResponse
	if err := s.client.Call(s.ctx(), "containerd.task.v3.Task", "State", &taskapi.StateRequest{ID: id}, &resp); err != nil {
		t.Fatal(err)
	}
	if resp.Status.String() != "RUNNING" {
		t.Errorf("state %v", &resp)
	}
	s.finish(id)
}
