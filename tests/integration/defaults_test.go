package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// The default configuration, fact by fact, as the program sees it. What is wanted is read from the
// configuration itself.

func TestPid1IsTheProgram(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "pid", run(e, harness.Shell("echo $$")), "1\n")
	wantEqual(t, "command line of pid 1", run(e, harness.Args("/bin/cat", "/proc/1/cmdline")), "/bin/cat\x00/proc/1/cmdline\x00")
	wantEqual(t, "processes", run(e, harness.Shell("cd /proc; echo [0-9]*")), "1\n")
}

func TestTheProgramLeadsItsSession(t *testing.T) {
	e := harness.New(t)
	stat := strings.Fields(run(e, harness.Args("/bin/cat", "/proc/self/stat")))
	wantEqual(t, "parent, process group, session", strings.Join(stat[3:6], " "), "0 1 1")
}

var namespaceFiles = map[specs.LinuxNamespaceType]string{
	"pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "user": "user", "time": "time",
}

func TestNamespacesAreNewWhereAskedForAndTheHostsOtherwise(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Shell("cd /proc/self/ns; for n in *; do echo $n $(readlink $n); done"))
	isNew := map[string]bool{}
	for _, n := range b.Spec.Linux.Namespaces {
		isNew[namespaceFiles[n.Type]] = true
	}
	inside := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(e.OK("run", "-b", b.Dir, e.ID("c"))), "\n") {
		name, link, _ := strings.Cut(line, " ")
		inside[name] = link
	}
	for _, name := range namespaceFiles {
		host, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if got := inside[name]; got == "" || (got != host) != isNew[name] {
			t.Errorf("%s namespace: inside %q, on the host %q; asked for a new one: %v", name, got, host, isNew[name])
		}
	}
}

func TestEveryMountIsThere(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/cat", "/proc/self/mountinfo"))
	seen := mountsOf(e.OK("run", "-b", b.Dir, e.ID("c")))
	if root := seen["/"]; !root.Has("ro") {
		t.Errorf("the root file system is not read-only: %+v", root)
	}
	for _, m := range b.Spec.Mounts {
		got, ok := seen[m.Destination]
		if !ok {
			t.Errorf("%s is not mounted", m.Destination)
			continue
		}
		kind := m.Type
		if kind == "cgroup" {
			kind = "tmpfs" // v1: a tmpfs with a mount per controller
			if harness.CgroupVersion() == "v2" {
				kind = "cgroup2"
			}
		}
		wantEqual(t, "type of "+m.Destination, got.Type, kind)
		for _, o := range []string{"ro", "nosuid", "nodev", "noexec"} {
			if o == "ro" && kind == "tmpfs" && !harness.IsRunack() {
				continue // runc 1.1 leaves the tmpfs above v1's controllers writable
			}
			if slices.Contains(m.Options, o) && !got.Has(o) {
				t.Errorf("%s has not %s: %+v", m.Destination, o, got)
			}
		}
	}
	wantContains(t, "options of /dev/pts", seen["/dev/pts"].Super, "gid=5", "mode=620", "ptmxmode=666")
	wantContains(t, "options of /dev", seen["/dev"].Super, "size=65536k", "mode=755")
}

// Nothing of the host's mount table is visible, and nothing propagates to it.
func TestTheHostsMountsAreGone(t *testing.T) {
	e := harness.New(t)
	table := run(e, harness.Args("/bin/cat", "/proc/self/mountinfo"))
	for _, line := range strings.Split(strings.TrimSpace(table), "\n") {
		place := strings.Fields(line)[4]
		if strings.HasPrefix(place, e.Dir) || strings.Contains(line, "shared:") {
			t.Errorf("a mount of the host, or one that propagates to it: %s", line)
		}
	}
}

func TestMountsInsideDoNotPropagateToTheHost(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Shell("mount -t tmpfs planted /mnt && grep -c planted /proc/self/mountinfo"), func(s *spec) {
		for _, set := range []*[]string{&s.Process.Capabilities.Bounding, &s.Process.Capabilities.Effective, &s.Process.Capabilities.Permitted} {
			*set = append(*set, "CAP_SYS_ADMIN")
		}
	})
	id := e.ID("c")
	wantEqual(t, "mounts inside", e.OK("run", "--keep", "-b", b.Dir, id), "1\n")
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(table), "planted") {
		t.Error("the container's mount reached the host")
	}
	e.OK("delete", id)
}

func TestMaskedPathsAreEmpty(t *testing.T) {
	e := harness.New(t)
	script := `for p in "$@"; do
		if [ -d "$p" ]; then [ -z "$(ls -A "$p")" ] || echo "$p has entries"
		elif [ -e "$p" ]; then [ -z "$(head -c 1 "$p")" ] || echo "$p can be read"; [ -c "$p" ] || echo "$p is no device"
		fi; done; echo done`
	b := e.Bundle()
	if len(b.Spec.Linux.MaskedPaths) < 5 {
		t.Fatalf("only %d masked paths by default", len(b.Spec.Linux.MaskedPaths))
	}
	b.Edit(harness.Args(append([]string{"/bin/sh", "-c", script, "sh"}, b.Spec.Linux.MaskedPaths...)...))
	wantEqual(t, "what can be seen", e.OK("run", "-b", b.Dir, e.ID("c")), "done\n")
}

func TestReadonlyPathsCannotBeWritten(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle()
	paths := b.Spec.Linux.ReadonlyPaths
	if len(paths) < 3 {
		t.Fatalf("only %d read-only paths by default", len(paths))
	}
	b.Edit(harness.Args("/bin/cat", "/proc/self/mountinfo"))
	seen := mountsOf(e.OK("run", "-b", b.Dir, e.ID("c")))
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			continue // this kernel has no such file
		}
		if m, ok := seen[p]; !ok || !m.HasItself("ro") {
			t.Errorf("%s is not read-only: %+v", p, m)
		}
	}
	b.Edit(harness.Shell("echo 1 >/proc/sys/kernel/panic"))
	r := e.Do("run", "-b", b.Dir, e.ID("w"))
	if r.Code == 0 || !strings.Contains(r.Stderr, "Read-only file system") {
		t.Errorf("writing below /proc/sys: %v", r)
	}
}

func TestTheRootIsReadOnlyOrNot(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Shell("echo >/file"))
	if r := e.Do("run", "-b", b.Dir, e.ID("c")); r.Code == 0 || !strings.Contains(r.Stderr, "Read-only file system") {
		t.Error(r)
	}
	b.Edit(harness.WritableRoot)
	e.OK("run", "-b", b.Dir, e.ID("c"))
	if _, err := os.Stat(filepath.Join(b.Rootfs, "file")); err != nil {
		t.Error(err)
	}
}

func TestTheDefaultDevices(t *testing.T) {
	e := harness.New(t)
	out := run(e, harness.Shell("cd /dev; for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' $d; done; "+
		"for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done"))
	wantEqual(t, "devices", out, `null character special file 1:3 666 0:0
zero character special file 1:5 666 0:0
full character special file 1:7 666 0:0
random character special file 1:8 666 0:0
urandom character special file 1:9 666 0:0
tty character special file 5:0 666 0:0
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx
`)
}

func TestTheDevicesWork(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "output", run(e, harness.Shell("echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c; echo x >/dev/full || echo full")),
		"3\n5\nfull\n")
}

// The cgroup refuses what is no default device, even to root with CAP_MKNOD.
func TestOtherDevicesAreRefused(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Shell("mknod /dev/mem c 1 1 && head -c 1 /dev/mem"), func(s *spec) {
		for _, set := range []*[]string{&s.Process.Capabilities.Bounding, &s.Process.Capabilities.Effective, &s.Process.Capabilities.Permitted} {
			*set = append(*set, "CAP_MKNOD", "CAP_SYS_RAWIO")
		}
	})
	if r := e.Do("run", "-b", b.Dir, e.ID("c")); r.Code == 0 || !strings.Contains(r.Stderr, "Operation not permitted") {
		t.Errorf("/dev/mem: %v", r)
	}
}

func TestCapabilitiesAreExactlyTheConfigurations(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Args("/bin/cat", "/proc/self/status"))
	status := e.OK("run", "-b", b.Dir, e.ID("c"))
	c := b.Spec.Process.Capabilities
	for key, names := range map[string][]string{
		"CapBnd": c.Bounding, "CapEff": c.Effective, "CapPrm": c.Permitted, "CapInh": c.Inheritable,
		"CapAmb": intersection(c.Ambient, c.Inheritable), // the kernel's rule; runc 1.1's own spec asks for more
	} {
		wantField(t, status, key, fmt.Sprintf("%016x", capMask(t, names)))
	}
}

func intersection(a, b []string) []string {
	var both []string
	for _, x := range a {
		if slices.Contains(b, x) {
			both = append(both, x)
		}
	}
	return both
}

// The numbers of the capabilities that the default configurations name (capability.h).
var capNumbers = map[string]int{"CAP_AUDIT_WRITE": 29, "CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10}

func capMask(t *testing.T, names []string) uint64 {
	t.Helper()
	var mask uint64
	for _, n := range names {
		bit, ok := capNumbers[n]
		if !ok {
			t.Fatalf("the test does not know %s", n)
		}
		mask |= 1 << bit
	}
	return mask
}

func TestNoCapabilitiesAtAll(t *testing.T) {
	e := harness.New(t)
	status := run(e, harness.Args("/bin/cat", "/proc/self/status"), func(s *spec) { s.Process.Capabilities = &specs.LinuxCapabilities{} })
	for _, key := range []string{"CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"} {
		wantField(t, status, key, "0000000000000000")
	}
}

func TestNoNewPrivileges(t *testing.T) {
	e := harness.New(t)
	for _, set := range []bool{true, false} {
		status := run(e, harness.Args("/bin/cat", "/proc/self/status"), func(s *spec) { s.Process.NoNewPrivileges = set })
		want := map[bool]string{true: "1", false: "0"}[set]
		wantField(t, status, "NoNewPrivs", want)
	}
}

func TestResourceLimits(t *testing.T) {
	e := harness.New(t)
	limits := run(e, harness.Probe("limits"), func(s *spec) {
		s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
			specs.POSIXRlimit{Type: "RLIMIT_STACK", Soft: 1 << 20, Hard: 2 << 20})
	})
	wantContains(t, "limits", limits, "7 1024 1024\n", "4 0 0\n", "3 1048576 2097152\n")
}

func TestTheHostname(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "hostname", run(e, harness.Args("/bin/hostname"), func(s *spec) { s.Hostname = "web-1" }), "web-1\n")
}

func TestTheUserAndItsGroups(t *testing.T) {
	e := harness.New(t)
	status := run(e, harness.Args("/bin/cat", "/proc/self/status"), func(s *spec) {
		s.Process.User = specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{7, 8}}
	})
	wantField(t, status, "Uid", "1000 1000 1000 1000")
	wantField(t, status, "Gid", "100 100 100 100")
	wantField(t, status, "Groups", "7 8")
	// Without privileges that the configuration does not give to a user other than root.
	wantField(t, status, "CapAmb", "0000000000000000")

	status = run(e, harness.Args("/bin/cat", "/proc/self/status"))
	wantField(t, status, "Uid", "0 0 0 0")
	wantField(t, status, "Groups", "")
}

func TestTheWorkingDirectory(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "cwd", run(e, harness.Args("/bin/pwd"), func(s *spec) { s.Process.Cwd = "/usr/bin" }), "/usr/bin\n")
	// One that is missing is made.
	wantEqual(t, "cwd", run(e, harness.Args("/bin/pwd"), harness.WritableRoot, func(s *spec) { s.Process.Cwd = "/new/dir" }), "/new/dir\n")
}

func TestTheUmask(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "umask", run(e, harness.Probe("umask")), "0022\n")
	umask := uint32(0o077)
	wantEqual(t, "umask", run(e, harness.Probe("umask"), func(s *spec) { s.Process.User.Umask = &umask }), "0077\n")
}

func TestTheEnvironmentIsTheConfigurationsAndHome(t *testing.T) {
	e := harness.New(t)
	e.Vars = []string{"LEAK=1", "NOTIFY=1"}
	b := e.Bundle(harness.Probe("env"), func(s *spec) { s.Process.Env = []string{"PATH=/bin", "A=b c", "EMPTY="} })
	got := strings.Fields(strings.ReplaceAll(e.OK("run", "-b", b.Dir, e.ID("c")), " ", "_"))
	slices.Sort(got)
	wantEqual(t, "environment", strings.Join(got, " "), "[A=b_c] [EMPTY=] [HOME=/root] [PATH=/bin]")
	b.Edit(func(s *spec) { s.Process.Env = []string{"HOME=/x"}; s.Process.User.UID = 1000 })
	wantEqual(t, "environment", e.OK("run", "-b", b.Dir, e.ID("c")), "[HOME=/x]\n")
}

func TestArgumentsArriveAsTheyAre(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "arguments", run(e, harness.Probe("args", "", "a b", "new\nline", "ünïcode", `"quoted"\`)),
		"[]\n[a b]\n[new\nline]\n[ünïcode]\n[\"quoted\"\\]\n")
}

func TestTheOOMScore(t *testing.T) {
	e := harness.New(t)
	score := 321
	wantEqual(t, "oom_score_adj", run(e, harness.Args("/bin/cat", "/proc/self/oom_score_adj"), func(s *spec) { s.Process.OOMScoreAdj = &score }), "321\n")
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "inherited oom_score_adj", run(e, harness.Args("/bin/cat", "/proc/self/oom_score_adj")), string(own))
}

func TestOnlyStandardDescriptorsAreOpen(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Probe("fds"))
	extra, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	wantEqual(t, "descriptors", e.Runtime("run", "-b", b.Dir, e.ID("c")).Files(extra, extra).OK(), "0\n1\n2\n")
	wantEqual(t, "descriptors", e.Runtime("run", "--preserve-fds", "2", "-b", b.Dir, e.ID("c")).Files(extra, extra, extra).OK(), "0\n1\n2\n3\n4\n")
	id, _ := detached(e)
	wantEqual(t, "descriptors of exec", e.Runtime("exec", id, "/bin/probe", "fds").Files(extra).OK(), "0\n1\n2\n")
	remove(e, id)
}

func TestTheLoopbackInterfaceIsUp(t *testing.T) {
	e := harness.New(t)
	wantContains(t, "ifconfig lo", run(e, harness.Args("/bin/ifconfig", "lo")), "127.0.0.1", "UP LOOPBACK RUNNING")
}

func TestTheContainerHasItsCgroupAndLimits(t *testing.T) {
	e := harness.New(t)
	memory, pids := int64(64<<20), int64(17)
	id := e.ID("c")
	path := e.Cgroup("c")
	b := e.Bundle(harness.Probe("wait"), harness.CgroupsPath(path), func(s *spec) {
		if harness.HasController("memory") {
			s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
		}
		if harness.HasController("pids") {
			s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
		}
	})
	pidFile := filepath.Join(e.Dir, "pid")
	e.OK("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id)
	member := e.Read(fmt.Sprintf("/proc/%d/cgroup", e.ReadPid(pidFile)))
	for _, line := range strings.Split(strings.TrimSpace(member), "\n") {
		f := strings.SplitN(line, ":", 3)
		if harness.CgroupVersion() == "v1" && f[0] == "0" || harness.CgroupVersion() == "v2" && f[0] != "0" {
			continue // a hierarchy that this view hides
		}
		wantEqual(t, "cgroup of hierarchy "+f[1], f[2], path)
	}
	if harness.HasController("memory") {
		wantEqual(t, "memory limit", strings.TrimSpace(e.Read(harness.ControlFile("memory", path, "memory.limit_in_bytes", "memory.max"))), "67108864")
	} else {
		t.Log("no memory controller in this view")
	}
	if harness.HasController("pids") {
		wantEqual(t, "pids limit", strings.TrimSpace(e.Read(harness.ControlFile("pids", path, "pids.max", "pids.max"))), "17")
	} else {
		t.Log("no pids controller in this view")
	}
	remove(e, id)
}

// The default path is the id below the runtime's own cgroup; nobody else's is touched.
func TestTheDefaultCgroupIsNamedAfterTheContainer(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	for _, line := range strings.Split(strings.TrimSpace(e.Read(fmt.Sprintf("/proc/%d/cgroup", pid))), "\n") {
		f := strings.SplitN(line, ":", 3)
		if harness.CgroupVersion() == "v1" && f[0] == "0" || harness.CgroupVersion() == "v2" && f[0] != "0" {
			continue
		}
		if filepath.Base(f[2]) != id {
			t.Errorf("cgroup %s, want one named %s", line, id)
		}
	}
	remove(e, id)
}

// Neither the runtime's binary nor the stage's copy can be reached through /proc/PID/exe.
func TestTheProgramIsAllThatRuns(t *testing.T) {
	e := harness.New(t)
	id, pid := detached(e)
	wantEqual(t, "exe", procExe(t, pid), "probe")
	procs := e.OK("exec", id, "sh", "-c", "for p in /proc/[0-9]*; do echo $(readlink $p/exe); done | sort -u")
	wantEqual(t, "programs", procs, "/bin/busybox\n/bin/probe\n")
	remove(e, id)
}
