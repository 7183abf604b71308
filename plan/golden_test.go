package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the golden plans")

func readJSON[T any](t testing.TB, name string) *T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func loadSpec(t testing.TB, name string) *specs.Spec {
	return readJSON[specs.Spec](t, name+".config.json")
}

// hybridFacts are a host's with v1 controllers, two of them co-mounted, and a v2 hierarchy beside.
func hybridFacts() Facts {
	return Facts{
		CgroupVersion: "hybrid",
		CgroupMounts: map[string]string{
			"":             "/sys/fs/cgroup/unified",
			"cpu":          "/sys/fs/cgroup/cpu,cpuacct",
			"cpuacct":      "/sys/fs/cgroup/cpu,cpuacct",
			"memory":       "/sys/fs/cgroup/memory",
			"name=systemd": "/sys/fs/cgroup/systemd",
			"pids":         "/sys/fs/cgroup/pids",
		},
		CgroupPaths: map[string]string{
			"cpu":          "/sys/fs/cgroup/cpu,cpuacct/c1",
			"cpuacct":      "/sys/fs/cgroup/cpu,cpuacct/c1",
			"memory":       "/sys/fs/cgroup/memory/c1",
			"name=systemd": "/sys/fs/cgroup/systemd/c1",
		},
		OwnCgroups:   map[string]string{"pids": "/sys/fs/cgroup/pids/user.slice"},
		AppArmor:     true,
		LastCap:      40,
		BoundingCaps: 1<<41 - 1,
		Kcore:        true,
	}
}

func v2Facts() Facts {
	f := hybridFacts()
	f.CgroupVersion = "v2"
	f.CgroupMounts = map[string]string{"": "/sys/fs/cgroup"}
	f.CgroupPaths = map[string]string{"": "/sys/fs/cgroup/c1"}
	f.OwnCgroups = nil
	return f
}

// filter stands for a compiled program of one instruction.
var filter = &Seccomp{Program: "BgAAAAAA/38="}

func TestGolden(t *testing.T) {
	rootless := v2Facts()
	rootless.Rootless, rootless.SetgroupsDenied = true, true
	rootless.Sources = map[string]SourceFact{"/sys": {Unreachable: true}}
	for _, test := range []struct {
		name string
		make func() (*Plan, error)
	}{
		{"default-hybrid", func() (*Plan, error) {
			return Create(loadSpec(t, "default"), "/b", "/b/rootfs", hybridFacts(), Options{ID: "c1"})
		}},
		{"default-v2", func() (*Plan, error) {
			return Create(loadSpec(t, "default"), "/b", "/b/rootfs", v2Facts(), Options{ID: "c1"})
		}},
		{"docker-v2", func() (*Plan, error) {
			return Create(loadSpec(t, "docker"), "/b", "/var/lib/docker/overlay2/abc/merged", v2Facts(), Options{ID: "abc", Seccomp: filter})
		}},
		{"docker-hybrid", func() (*Plan, error) {
			return Create(loadSpec(t, "docker"), "/b", "/var/lib/docker/overlay2/abc/merged", hybridFacts(), Options{ID: "abc", Seccomp: filter})
		}},
		{"rootless-v2", func() (*Plan, error) {
			return Create(loadSpec(t, "rootless"), "/b", "/b/rootfs", rootless, Options{ID: "c1"})
		}},
		{"exec", func() (*Plan, error) {
			return Exec(loadSpec(t, "docker"), readJSON[specs.Process](t, "exec.process.json"), v2Facts(), Options{ID: "abc", PreserveFDs: 2, Seccomp: filter})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.make()
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := p.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			golden(t, test.name+".plan.txt", text.Bytes())
			data, err := json.MarshalIndent(p, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, test.name+".plan.json", append(data, '\n'))
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; read the change and run: go test ./plan -run TestGolden -update\ngot:\n%s", name, got)
	}
}
