package container

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/cgroupjoin"
	"runack/plan"
)

// TestOwnCgroups finds this process in each directory that is said to be its own.
func TestOwnCgroups(t *testing.T) {
	host, err := cgroupjoin.Detect()
	if err != nil {
		t.Fatal(err)
	}
	own, err := ownCgroups(host.Mounts)
	if err != nil {
		t.Fatal(err)
	}
	if len(own) == 0 {
		t.Skip("no cgroup hierarchy is mounted")
	}
	pid := strconv.Itoa(os.Getpid())
	for controller, dir := range own {
		data, err := os.ReadFile(dir + "/cgroup.procs")
		if err != nil {
			t.Errorf("%q: %v", controller, err)
			continue
		}
		if dir != host.Mounts[controller] && !slices.Contains(strings.Fields(string(data)), pid) {
			t.Errorf("%q: this process is not in %s", controller, dir)
		}
	}
}

func TestCreateFactsOfSources(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/there", 0o755); err != nil {
		t.Fatal(err)
	}
	spec := &specs.Spec{
		Linux: &specs.Linux{},
		Mounts: []specs.Mount{
			{Destination: "/a", Type: "bind", Source: dir + "/there"},
			{Destination: "/b", Type: "none", Source: "there", Options: []string{"rbind"}},
			{Destination: "/c", Type: "bind", Source: "/nonexistent"},
			{Destination: "/d", Type: "tmpfs", Source: "tmpfs"},
		},
	}
	for _, rootless := range []bool{false, true} {
		for _, userNS := range []bool{false, true} {
			spec.Linux.Namespaces = nil
			if userNS {
				spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace}}
			}
			f := plan.Facts{Rootless: rootless}
			err := createFacts(&f, spec, dir, dir)
			if rootless && !userNS {
				if !errors.Is(err, errNoUserNamespace) {
					t.Errorf("an ordinary user without a user namespace: %v", err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			// A user who maps himself can open what he could before; the host's root in a user
			// namespace is nobody to the host's directories.
			unreachable := userNS && !rootless
			want := map[string]plan.SourceFact{
				dir + "/there": {Unreachable: unreachable},
				"/nonexistent": {Missing: true, Unreachable: unreachable},
			}
			if len(f.Sources) != len(want) {
				t.Errorf("sources %v", f.Sources)
			}
			for path, w := range want {
				if f.Sources[path] != w {
					t.Errorf("rootless %v, userns %v: %s is %+v, want %+v", rootless, userNS, path, f.Sources[path], w)
				}
			}
			if f.Root.Unreachable != unreachable {
				t.Errorf("rootless %v, userns %v: root %+v", rootless, userNS, f.Root)
			}
		}
	}
}
