package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// rootless is runack itself, called by an ordinary user.
type rootless struct {
	*harness.Env
	host host
	user []string
}

func (u rootless) on(t testing.TB) rootless { u.Env = u.Env.On(t); return u }

// cmd calls runack as the user.
func (u rootless) cmd(args ...string) *harness.Cmd {
	return u.host.in(u.Command(filepath.Join(u.Dir, "bin/runack"), args...).Through(u.user[0], u.user[1:]...))
}

// bundle makes a bundle with the configuration that `spec --rootless` writes for the user.
func (u rootless) bundle(edits ...harness.Edit) string {
	u.T.Helper()
	b := u.Bundle()
	dir := filepath.Join(u.Dir, "home", filepath.Base(b.Dir))
	if err := os.Mkdir(dir, 0o755); err != nil {
		u.T.Fatal(err)
	}
	if err := os.Chown(dir, ordinaryUID, ordinaryUID); err != nil {
		u.T.Fatal(err)
	}
	u.cmd("spec", "--rootless", "-b", dir).OK()
	var spec specs.Spec
	if err := json.Unmarshal([]byte(u.Read(filepath.Join(dir, "config.json"))), &spec); err != nil {
		u.T.Fatal(err)
	}
	spec.Process.Terminal = false
	spec.Root.Path = b.Rootfs
	for _, edit := range edits {
		edit(&spec)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		u.T.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		u.T.Fatal(err)
	}
	return dir
}

// refused runs a bundle that has to be refused in words.
func (u rootless) refused(bundle string, want ...string) {
	u.T.Helper()
	harness.OneLine(u.T, u.cmd("run", "-b", bundle, u.ID("r")).Fails(1), want...)
}

// clean fails a feature that leaves state in the user's directory.
func (u rootless) clean() {
	u.T.Helper()
	wantEqual(u.T, "containers left behind", u.cmd("list", "-q").OK(), "")
}

func newRootless(e *harness.Env, subuids bool) rootless {
	e.T.Helper()
	prepare, user := ordinary(e, subuids)
	u := rootless{Env: e, host: newHost(e, prepare), user: user}
	u.host.needsUserNamespaces(e, user)
	u.host.login(e)
	return u
}

func TestRootlessWithoutSubuids(t *testing.T) {
	e := harness.New(t)
	u := newRootless(e, false)
	version(t, "runack, rootless", lastLine(u.cmd("--version").OK()))
	run(t, []feature[rootless]{
		{"run", func(u rootless) {
			dir := u.bundle(harness.Shell("id -u; cat /proc/self/uid_map; exit 5"))
			r := u.cmd("run", "-b", dir, u.ID("c")).Do()
			wantCode(u.T, r, 5)
			wantEqual(u.T, "the map", strings.Join(strings.Fields(r.Stdout), " "), fmt.Sprintf("0 0 %d 1", ordinaryUID))
		}},
		{"create, start, exec, kill, delete", func(u rootless) {
			id := u.ID("c")
			u.cmd("create", "-b", u.bundle(harness.Probe("wait")), id).OK()
			u.cmd("start", id).OK()
			wantEqual(u.T, "exec", u.cmd("exec", id, "id", "-u").OK(), "0\n")
			state := u.host.in(u.Command("ls", fmt.Sprintf("/run/user/%d/runack", ordinaryUID))).OK()
			wantEqual(u.T, "state below XDG_RUNTIME_DIR", state, id+"\n")
			u.cmd("kill", id, "TERM").OK()
			u.cmd("delete", "-f", id).OK()
		}},
		{"what takes a cgroup is refused in words", func(u rootless) {
			id := u.ID("c")
			u.cmd("run", "-d", "-b", u.bundle(harness.Probe("wait")), id).OK()
			defer u.cmd("delete", "-f", id).OK()
			for _, verb := range [][]string{{"pause"}, {"ps"}, {"update", "--memory", "10000000"}} {
				harness.OneLine(u.T, u.cmd(append(verb, id)...).Fails(1), "the container has no cgroup of its own")
			}
			u.refused(u.bundle(func(s *specs.Spec) {
				limit := int64(1 << 24)
				s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
			}), "linux.resources.memory.limit", "no cgroup of its own")
			u.refused(u.bundle(harness.CgroupsPath("/"+u.ID("cg"))), "create cgroup", "EACCES")
		}},
		{"what a user may not do is refused in words", func(u rootless) {
			u.refused(u.bundle(harness.WithoutNamespace(specs.UserNamespace)), "linux.namespaces", "runack spec --rootless")
			u.refused(u.bundle(func(s *specs.Spec) { s.Process.User.UID = 5 }), "process.user.uid", "5 is not in linux.uidMappings")
			u.refused(u.bundle(func(s *specs.Spec) {
				s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 10}}
			}), "write id map", "newuidmap")
			u.refused(u.bundle(func(s *specs.Spec) {
				s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 1, HostID: 300000, Size: 10})
			}), "write id map", "newuidmap", "not allowed")
		}},
		{"no XDG_RUNTIME_DIR", func(u rootless) {
			c := u.host.in(u.Command(filepath.Join(u.Dir, "bin/runack"), "run", "-b", u.bundle(), u.ID("c")).
				Through("env", "-u", "XDG_RUNTIME_DIR").Through(u.user[0], u.user[1:]...))
			harness.OneLine(u.T, c.Fails(1), "/run/runack", "XDG_RUNTIME_DIR", "--root")
		}},
		{"in a user namespace that denies setgroups", func(u rootless) {
			dir := u.bundle(harness.Shell("id -u"), harness.WithoutNamespace(specs.UserNamespace), func(s *specs.Spec) {
				s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
			})
			c := u.host.in(u.Command(filepath.Join(u.Dir, "bin/runack"), "run", "-b", dir, u.ID("c")).
				Through("unshare", "--map-root-user", "--mount").Through(u.user[0], u.user[1:]...))
			wantEqual(u.T, "the user", c.OK(), "0\n")
		}},
	}, u.on, rootless.clean)
}

func TestRootlessWithSubuids(t *testing.T) {
	e := harness.New(t)
	program(t, "newuidmap")
	u := newRootless(e, true)
	version(t, "runack, rootless", lastLine(u.cmd("--version").OK()))
	wide := func(s *specs.Spec) {
		for _, list := range []*[]specs.LinuxIDMapping{&s.Linux.UIDMappings, &s.Linux.GIDMappings} {
			*list = append(*list, specs.LinuxIDMapping{ContainerID: 1, HostID: 300000, Size: 65536})
		}
	}
	run(t, []feature[rootless]{
		{"run with subordinate IDs", func(u rootless) {
			dir := u.bundle(wide, harness.Shell("id -u; id -G; cat /proc/self/uid_map"), func(s *specs.Spec) {
				s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{7}}
			})
			out := u.cmd("run", "-b", dir, u.ID("c")).OK()
			wantEqual(u.T, "ids", strings.Join(strings.Fields(out), " "), fmt.Sprintf("1000 1000 7 0 %d 1 1 300000 65536", ordinaryUID))
		}},
		{"exec -u with subordinate IDs", func(u rootless) {
			id := u.ID("c")
			u.cmd("run", "-d", "-b", u.bundle(wide, harness.Probe("wait")), id).OK()
			defer u.cmd("delete", "-f", id).OK()
			wantEqual(u.T, "the user", u.cmd("exec", "-u", "12:34", id, "sh", "-c", "id -u; id -g").OK(), "12\n34\n")
		}},
	}, u.on, rootless.clean)
}

func lastLine(text string) string {
	all := lines(text)
	return all[len(all)-1]
}
