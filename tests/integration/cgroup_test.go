package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// A container is not put where somebody else is. The words are runc's.
func TestCgroupThatIsNotEmptyIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runc 1.1 warns, and refuses since 1.2 only")
	cgroup := e.Cgroup("c")
	id, _ := detached(e, harness.CgroupsPath(cgroup))
	b := e.Bundle(harness.Args("/bin/true"), harness.CgroupsPath(cgroup))
	harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("second")), "container's cgroup is not empty")
	wantStatus(e, id, "running")
	e.OK("exec", id, "/bin/true") // nothing was done to its cgroup
	remove(e, id)
}

// Nor where it would stop before it began.
func TestCgroupThatIsFrozenIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runc 1.1 waits for ever")
	needFreezer(e)
	outer := e.Cgroup("outer")
	id, _ := detached(e, harness.CgroupsPath(outer))
	e.OK("pause", id)
	b := e.Bundle(harness.Args("/bin/true"), harness.CgroupsPath(outer+"/inner"))
	stderr := e.Fails(1, "run", "-b", b.Dir, e.ID("second"))
	harness.OneLine(t, stderr, "container's cgroup unexpectedly frozen")
	if _, err := os.Stat(harness.ControlFile("devices", outer+"/inner", "tasks", "cgroup.procs")); err == nil {
		t.Error("a cgroup was left behind")
	}
	remove(e, id)
}

// A cgroup further up that is frozen later on: the container is not paused, but what is started in it
// would not run. It is refused, and not waited for.
func TestCgroupThatIsFrozenFurtherUp(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runc waits for ever")
	needFreezer(e)
	above := e.Cgroup("above")
	outer, _ := detached(e, harness.CgroupsPath(above))
	b := e.Bundle(harness.Probe("wait"), harness.CgroupsPath(above+"/created"))
	created, running := e.ID("created"), e.ID("running")
	e.OK("create", "-b", b.Dir, created)
	b.Edit(harness.CgroupsPath(above + "/running"))
	e.OK("run", "-d", "-b", b.Dir, running)
	e.OK("pause", outer)
	wantStatus(e, running, "running")
	for _, args := range [][]string{{"start", created}, {"exec", running, "/bin/true"}} {
		r := e.Do(args...)
		if r.Code == 0 {
			t.Errorf("not refused: %s", r)
		}
		harness.OneLine(t, r.Stderr, "container's cgroup unexpectedly frozen")
	}
	e.OK("resume", outer)
	e.OK("start", created)
	e.OK("exec", running, "/bin/true")
	for _, id := range []string{created, running, outer} {
		remove(e, id)
	}
}

// kind, docker in docker, systemd inside: an init that moves to a sub-cgroup and hands controllers on.
// v2 then answers EBUSY to whoever wants to be in the container's own cgroup: an exec goes to init's.
func TestCgroupOfExecIsInitsPresentOne(t *testing.T) {
	e := harness.New(t)
	if harness.CgroupVersion() != "v2" {
		t.Skipf("only v2 keeps processes out of inner cgroups; this is %s", harness.CgroupVersion())
	}
	controllers, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	domain := slices.IndexFunc([]string{"memory", "io", "hugetlb"}, func(c string) bool {
		return slices.Contains(strings.Fields(string(controllers)), c)
	})
	if domain < 0 {
		t.Skipf("no domain controller here: %s", controllers)
	}
	controller := []string{"memory", "io", "hugetlb"}[domain]
	b := e.Bundle(harness.Shell(`cd /sys/fs/cgroup && mkdir init && echo 0 >init/cgroup.procs &&
		echo +`+controller+` >cgroup.subtree_control && echo moved && exec /bin/probe wait`),
		writableCgroup, harness.CgroupsPath(e.Cgroup("c")))
	id := e.ID("c")
	e.Runtime("run", "-d", "-b", b.Dir, id).Piped().Start().Expect("moved")
	for range again(200, 20) {
		wantEqual(t, "cgroup of the exec'd process", e.OK("exec", id, "grep", "^0:", "/proc/self/cgroup"), "0::/init\n")
	}
	parallel(t, 8, again(200, 20), func(int) error {
		r, err := e.Runtime("exec", id, "/bin/true").Try()
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("%s", r)
		}
		return err
	})
	remove(e, id)
}

func writableCgroup(s *spec) {
	for i := range s.Mounts {
		if m := &s.Mounts[i]; m.Type == "cgroup" {
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
		}
	}
	if !slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace }) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
}

// A v2 cgroup belongs to the container's user, as far as that is safe, where the container can make
// use of it: with a user namespace, a cgroup namespace and a writable mount.
func TestCgroupIsDelegatedToTheUserNamespace(t *testing.T) {
	e := harness.New(t)
	if harness.CgroupVersion() != "v2" {
		t.Skipf("only v2 delegates; this is %s", harness.CgroupVersion())
	}
	cgroup := e.Cgroup("c")
	id, pid := detached(e, harness.CgroupsPath(cgroup), writableCgroup, func(s *spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
		s.Linux.GIDMappings = s.Linux.UIDMappings
	})
	dir := filepath.Join("/sys/fs/cgroup", cgroup)
	for file, want := range map[string]uint32{".": 100000, "cgroup.procs": 100000, "cgroup.subtree_control": 100000, "cgroup.freeze": 0, "cgroup.kill": 0} {
		if got := ownerOf(t, filepath.Join(dir, file)); got != want {
			t.Errorf("%s belongs to %d, want %d", file, got, want)
		}
	}
	wantEqual(t, "a sub-cgroup by the container's root", e.OK("exec", id, "sh", "-c",
		"mkdir /sys/fs/cgroup/sub && echo $$ >/sys/fs/cgroup/sub/cgroup.procs && grep ^0: /proc/self/cgroup"), "0::/sub\n")
	// So does that of a container that joins the user namespace.
	joining := e.Cgroup("joining")
	second := e.ID("second")
	b := e.Bundle(harness.Probe("wait"), harness.CgroupsPath(joining), writableCgroup,
		harness.Namespace(specs.UserNamespace, fmt.Sprintf("/proc/%d/ns/user", pid)))
	e.OK("run", "-d", "-b", b.Dir, second)
	if got := ownerOf(t, filepath.Join("/sys/fs/cgroup", joining, "cgroup.procs")); got != 100000 {
		t.Errorf("the cgroup of a container that joins the user namespace belongs to %d", got)
	}
	remove(e, second)
	remove(e, id)
}

func ownerOf(t testing.TB, file string) uint32 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

// A limit that the kernel refuses is told with file, value and errno; container and cgroup are gone.
func TestCgroupLimitsThatAreRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's own")
	cpus := func(v string) harness.Edit {
		return resources(func(r *specs.LinuxResources) { r.CPU = &specs.LinuxCPU{Cpus: v} })
	}
	for _, row := range []struct {
		name, controller string
		edit             harness.Edit
		want             []string
	}{
		{"CPUs that are not there", "cpuset", cpus("4095"), []string{`"4095"`, "cpuset.cpus", " ("}},
		{"a page size that is not there", "", resources(func(r *specs.LinuxResources) {
			r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}
		}), []string{"hugetlb.3MB", "ENOENT (2)"}},
		{"a path out of the hierarchy", "", harness.CgroupsPath("/../../etc"), []string{"/../../etc", "EINVAL (22)"}},
		{"a system without systemd", "", harness.CgroupsPath("a:b"), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := e.On(t)
			if row.controller != "" {
				needController(e, row.controller)
			}
			b := e.Bundle(harness.Args("/bin/true"), harness.CgroupsPath(e.Cgroup("c")), row.edit)
			args := []string{"run", "-b", b.Dir, e.ID("c")}
			if row.want == nil {
				if _, err := os.Stat("/run/systemd/system"); err == nil {
					t.Skip("systemd runs here")
				}
				args = append([]string{"--systemd-cgroup"}, args...)
				row.want = []string{"systemd not running on this host"}
				b.Edit(harness.CgroupsPath("a.slice:b:c"))
			}
			harness.OneLine(t, e.Fails(1, args...), append(row.want, ": runtime: ")...)
			e.AssertClean()
		})
	}
}
