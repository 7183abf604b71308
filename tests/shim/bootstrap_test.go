package shim

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"github.com/containerd/containerd/api/types"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"runack/tests/harness"
)

// containerd before 2.3 writes options, or nothing, and reads JSON (1.7 and later, which says so) or
// the bare address (1.6).
func TestStartInTheOlderForms(t *testing.T) {
	for name, row := range map[string]struct {
		env  []string
		want int // version in the answer; 0 for a bare address
	}{
		"1.6": {nil, 0},
		"1.7": {[]string{"MAX_SHIM_VERSION=2"}, 2},
		"2.0": {[]string{"MAX_SHIM_VERSION=3"}, 3},
		"4.0": {[]string{"MAX_SHIM_VERSION=4"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDaemon(t)
			b := d.Bundle(harness.Args("/bin/sleep", "1000"))
			id := d.ID("c")
			d.mkLog(b)
			opts, err := proto.Marshal(d.options(nil))
			if err != nil {
				t.Fatal(err)
			}
			answer := d.call(b, id, "start").Env(row.env...).Stdin(bytes.NewReader(opts)).OK()
			var params struct {
				Version  int
				Address  string
				Protocol string
			}
			if row.want == 0 {
				params.Address = answer
			} else if err := json.Unmarshal([]byte(answer), &params); err != nil {
				t.Fatalf("answer %q: %v", answer, err)
			}
			if params.Version != row.want || row.want > 0 && params.Protocol != "ttrpc" || !strings.HasPrefix(params.Address, "unix:///run/containerd/s/") {
				t.Errorf("answer %q", answer)
			}
			if got := d.text(filepath.Join(b.Dir, "address")); got != params.Address {
				t.Errorf("the file has address %q", got)
			}
			info, err := os.Stat(strings.TrimPrefix(params.Address, "unix://"))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("socket: %v, %v", info, err)
			}
			s := d.connect(params.Address)
			s.run(b, id, stdio{})
			s.finish(id)
			if _, err := os.Stat(strings.TrimPrefix(params.Address, "unix://")); !os.IsNotExist(err) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}

// Two containers of a group share a shim, one that ends when the last of them is deleted.
func TestGroups(t *testing.T) {
	for _, annotation := range []string{"io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"} {
		t.Run(annotation, func(t *testing.T) {
			d := newDaemon(t)
			grouped := func(s *specs.Spec) { s.Annotations = map[string]string{annotation: "pod"} }
			a, b := d.ID("a"), d.ID("b")
			bundleA := d.Bundle(harness.Args("/bin/sleep", "1000"), grouped)
			bundleB := d.Bundle(harness.Args("/bin/sleep", "1000"), grouped)
			first := d.start(bundleA, a)
			second := d.start(bundleB, b)
			if first.pid != second.pid || first.address != second.address {
				t.Fatalf("two shims: %d at %s, %d at %s", first.pid, first.address, second.pid, second.address)
			}
			first.run(bundleA, a, stdio{})
			second.run(bundleB, b, stdio{})
			first.signal(a, "", unix.SIGKILL)
			first.end(a, "")
			first.remove(a, "")
			// Not yet: b is there.
			if _, err := first.Shutdown(d.ctx(), &taskapi.ShutdownRequest{ID: a}); err != nil {
				t.Fatal(err)
			}
			if got := second.status(b, ""); got.String() != "RUNNING" {
				t.Errorf("b is %v", got)
			}
			second.finish(b)
		})
	}
}

func TestInfoAndVersion(t *testing.T) {
	d := newDaemon(t)
	opts, err := proto.Marshal(d.options(nil))
	if err != nil {
		t.Fatal(err)
	}
	var info types.RuntimeInfo
	if err := proto.Unmarshal([]byte(d.Command(shimPath(), "-info").Stdin(bytes.NewReader(opts)).OK()), &info); err != nil {
		t.Fatal(err)
	}
	var f features.Features
	if err := json.Unmarshal(info.Features.Value, &f); err != nil {
		t.Fatal(err)
	}
	if info.Name != "io.containerd.runack.v2" || f.OCIVersionMax == "" || info.Options.TypeUrl != "containerd.runc.v1.Options" {
		t.Errorf("info %v", &info)
	}
	if got := d.Command(shimPath(), "-v").OK(); !strings.Contains(got, "Version:") || !strings.Contains(got, "Revision:") {
		t.Errorf("-v prints %q", got)
	}
	d.Command(shimPath(), "-id", "x", "start").Fails(1)
	d.Command(shimPath(), "-namespace", "n", "-id", "x", "frobnicate").Fails(1)
}

// CRI hands the configuration of a runtime that it does not know over as TOML.
func TestOptions(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/sleep", "1000"))
	id := d.ID("c")
	s := d.start(b, id)
	root := filepath.Join(d.dir, "toml-root")
	create := func(o *runtimeoptions.Options) error {
		data, err := proto.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Create(d.ctx(), &taskapi.CreateTaskRequest{
			ID: id, Bundle: b.Dir, Options: &anypb.Any{TypeUrl: "runtimeoptions.v1.Options", Value: data},
		})
		return err
	}
	refused(t, codes.InvalidArgument, create(&runtimeoptions.Options{ConfigBody: []byte("Root = 7")}), "line 1")
	body := []byte("Root = \"" + root + "\"\nIoUid = 12\nBinaryName = \"/usr/bin/runc\"\nUnknown = true\n")
	for name, o := range map[string]*runtimeoptions.Options{
		"body": {ConfigBody: body},
		"path": {ConfigPath: d.File("options.toml", string(body))},
	} {
		if err := create(o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(root, d.namespace, id, "state.json")); err != nil {
			t.Errorf("%s: the option Root does not hold: %v", name, err)
		}
		s.remove(id, "")
	}
	s.quit()
}

// The pipes belong to the user that IoUid and IoGid name, so that a program that is not root can open
// /dev/stdout anew.
func TestIoUid(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Shell("echo opened >/dev/stdout"), harness.WritableRoot, func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 12, GID: 34}
	})
	id := d.ID("c")
	s := d.start(b, id)
	c := d.fifos("c", false)
	defer c.in.Close()
	_, err := s.Create(d.ctx(), &taskapi.CreateTaskRequest{
		ID: id, Bundle: b.Dir, Stdin: c.io.in, Stdout: c.io.out, Stderr: c.io.err,
		Options: d.options(func(o *runcoptions.Options) { o.IoUid, o.IoGid = 12, 34 }),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.begin(id, "")
	s.end(id, "")
	if out, errs := d.all(c, "out"), d.all(c, "err"); out != "opened\n" {
		t.Errorf("wrote %q; %s", out, errs)
	}
	s.remove(id, "")
	s.quit()
}

// A start that goes wrong says why on standard error, and leaves neither shim nor socket.
func TestAStartThatGoesWrong(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/true"))
	id := d.ID("c")
	d.mkLog(b)
	p := d.params(id)
	opts, err := proto.Marshal(&runcoptions.Options{ShimCgroup: "/no/such/cgroup"})
	if err != nil {
		t.Fatal(err)
	}
	p.Extensions = []*bootapi.Extension{{Value: &anypb.Any{TypeUrl: "containerd.runc.v1.Options", Value: opts}}}
	data, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	text := d.call(b, id, "start").Stdin(bytes.NewReader(data)).Fails(1)
	if !strings.Contains(text, "/no/such/cgroup: no such cgroup") {
		t.Errorf("it says %q", text)
	}
	sockets, err := filepath.Glob(filepath.Join(d.dir, strings.Repeat("[0-9a-f]", 64)))
	if err != nil || len(sockets) > 0 {
		t.Errorf("left: %v, %v", sockets, err)
	}
}
