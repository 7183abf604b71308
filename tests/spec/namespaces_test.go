package spec

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// kinds are the namespaces with their names below /proc/PID/ns.
var kinds = []struct {
	kind specs.LinuxNamespaceType
	file string
}{
	{specs.UserNamespace, "user"}, {specs.TimeNamespace, "time"}, {specs.PIDNamespace, "pid"}, {specs.NetworkNamespace, "net"},
	{specs.IPCNamespace, "ipc"}, {specs.UTSNamespace, "uts"}, {specs.CgroupNamespace, "cgroup"}, {specs.MountNamespace, "mnt"},
}

// A mix says for each kind whether the container stays in the host's, gets a new one, or joins.
type mix map[specs.LinuxNamespaceType]string

func (m mix) String() string {
	var b strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&b, "%s=%s ", k.file, m[k.kind])
	}
	return strings.TrimSpace(b.String())
}

// mixes are each kind alone in each way, and random combinations of all.
func mixes(random int) []mix {
	ways := []string{"host", "new", "join"}
	all := func(way string) mix {
		m := mix{}
		for _, k := range kinds {
			m[k.kind] = way
		}
		return m
	}
	list := []mix{all("host"), all("new"), all("join")}
	for _, k := range kinds {
		for _, way := range ways[1:] {
			m := all("host")
			m[k.kind] = way
			list = append(list, m)
		}
	}
	r := rand.New(rand.NewPCG(1, 3))
	for range random {
		m := mix{}
		for _, k := range kinds {
			m[k.kind] = ways[r.IntN(len(ways))]
		}
		if m[specs.UserNamespace] == "new" && m[specs.MountNamespace] == "join" {
			m[specs.MountNamespace] = "new" // a new user namespace owns nothing that there is already
		}
		list = append(list, m)
	}
	return list
}

// TestNamespacesInEveryMix joins those of another container, as pods do, and looks from outside at
// what became of init and of an exec.
func TestNamespacesInEveryMix(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 knows no time namespace")
	other, otherPid := otherNamespaces(e)
	random := 14
	if os.Getenv("RUNACK_SOAK") != "" {
		random = 1500
	}
	for i, m := range mixes(random) {
		e := e.On(t)
		ok := t.Run(m.String(), func(t *testing.T) { tryMix(e.On(t), m, otherPid, fmt.Sprint("mix", i)) })
		if !ok {
			break
		}
	}
	e.Remove(other)
}

// otherNamespaces is a container that has one of each to join, but for a mount namespace: that one
// would not show the next container's root file system.
func otherNamespaces(e *harness.Env) (id string, pid int) {
	e.T.Helper()
	b := withUserNS(e, harness.Probe("wait"),
		harness.Namespace(specs.TimeNamespace, ""), harness.Namespace(specs.CgroupNamespace, ""))
	id = e.ID("other")
	pidFile := filepath.Join(e.Dir, "other.pid")
	e.OK("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id)
	return id, e.ReadPid(pidFile)
}

// hostLike is a mount namespace to join in which everything of the host's is in its place. It
// belongs to the host's user namespace, or to that of pid.
func hostLike(e *harness.Env, pid int) (path string, end func()) {
	e.T.Helper()
	c := e.Command("unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo ready; exec sleep 600")
	if pid != 0 {
		c.Through("nsenter", "--user", "--target", fmt.Sprint(pid), "--")
	}
	p := c.Piped().Start()
	p.Expect("ready")
	return fmt.Sprintf("/proc/%d/ns/mnt", p.Pid), func() {
		p.Signal(unix.SIGKILL)
		p.Wait()
	}
}

func tryMix(e *harness.Env, m mix, other int, name string) {
	want := map[string]string{} // by file: the namespace, or empty for a new one
	b := withUserNS(e, harness.Probe("wait"), func(s *spec) {
		s.Hostname, s.Linux.Namespaces, s.Root.Readonly = "", nil, false
		if m[specs.UserNamespace] != "new" {
			s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
		}
		if m[specs.MountNamespace] != "new" {
			// These would be made in a mount namespace that outlives the container.
			s.Mounts, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil, nil
		}
	})
	if m[specs.UserNamespace] == "new" && m[specs.PIDNamespace] == "join" {
		// The kernel refuses a procfs of somebody else's PID namespace, as it does an mqueue of
		// somebody else's IPC namespace: see the test of it.
		b.Edit(harness.WithoutMount("/proc"), func(s *spec) { s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil })
	}
	if m[specs.UserNamespace] != "host" && m[specs.IPCNamespace] != "new" {
		b.Edit(harness.WithoutMount("/dev/mqueue"))
	}
	if m[specs.UserNamespace] == "host" {
		give(e, b.Rootfs, 0)
	} else if m[specs.MountNamespace] == "host" {
		makeDevices(e, b.Rootfs) // there neither mknod(2) nor a mount is allowed
	}
	for _, k := range kinds {
		path := fmt.Sprintf("/proc/%d/ns/%s", other, k.file)
		switch m[k.kind] {
		case "host":
			want[k.file] = nsOf(e.T, os.Getpid(), k.file)
			continue
		case "new":
			path = ""
		case "join":
			if k.kind == specs.MountNamespace {
				owner := 0
				if m[specs.UserNamespace] == "join" {
					owner = other
				}
				var end func()
				path, end = hostLike(e, owner)
				defer end()
			}
			link, err := os.Readlink(path)
			if err != nil {
				e.T.Fatal(err)
			}
			want[k.file] = link
		}
		b.Edit(harness.Namespace(k.kind, path))
	}
	id, pidFile := e.ID(name), filepath.Join(e.Dir, name)
	e.OK("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id)
	checkMix(e, "init", e.ReadPid(pidFile), want)
	e.OK("exec", "-d", "--pid-file", pidFile+".exec", id, "/bin/probe", "wait")
	inside := e.ReadPid(pidFile + ".exec")
	for _, k := range kinds {
		wantEqual(e.T, k.file+" namespace of the exec", nsOf(e.T, inside, k.file), nsOf(e.T, e.ReadPid(pidFile), k.file))
	}
	if err := unix.Kill(inside, unix.SIGKILL); err != nil {
		e.T.Error(err)
	}
	e.WaitExit(inside)
	e.Remove(id)
}

// makeDevices has the image bring the default devices.
func makeDevices(e *harness.Env, rootfs string) {
	e.T.Helper()
	for name, number := range map[string][2]uint32{
		"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9}, "tty": {5, 0},
	} {
		path := filepath.Join(rootfs, "dev", name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(number[0], number[1]))); err != nil {
			e.T.Fatalf("%s: %v", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			e.T.Fatal(err)
		}
	}
}

func checkMix(e *harness.Env, who string, pid int, want map[string]string) {
	e.T.Helper()
	for _, k := range kinds {
		got, host := nsOf(e.T, pid, k.file), nsOf(e.T, os.Getpid(), k.file)
		if w := want[k.file]; w == "" && got == host || w != "" && got != w {
			e.T.Errorf("%s: %s namespace %s, want %q (empty: a new one); the host's is %s", who, k.file, got, w, host)
		}
	}
}

func TestANamespaceKeptByABindMountIsJoined(t *testing.T) {
	e := harness.New(t)
	id, pid := e.Detached(func(s *spec) { s.Hostname = "kept" })
	place := e.File("uts", "")
	hostBind(e, fmt.Sprintf("/proc/%d/ns/uts", pid), place)
	e.Remove(id)
	got := e.Run(harness.Args("/bin/hostname"), harness.Namespace(specs.UTSNamespace, place), func(s *spec) { s.Hostname = "" })
	wantEqual(t, "hostname", got, "kept\n")
}

// hostBind is hostMount for a file.

func hostBind(e *harness.Env, source, target string) {
	e.T.Helper()
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		e.T.Fatalf("bind %s on %s: %v", source, target, err)
	}
	e.T.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			e.T.Errorf("unmount %s: %v", target, err)
		}
	})
}

func TestANamespaceThatIsNoneIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	file := e.File("file", "")
	e.Refused([]harness.Edit{harness.Namespace(specs.NetworkNamespace, file)}, "network "+file, "EINVAL (22)")
	e.Refused([]harness.Edit{harness.Namespace(specs.NetworkNamespace, e.Dir+"/none")}, "network "+e.Dir+"/none", "ENOENT (2)")
	_, pid := e.Detached()
	// The right kind of file, and not of the kind that was asked for.
	wrong := fmt.Sprintf("/proc/%d/ns/uts", pid)
	e.Refused([]harness.Edit{harness.Namespace(specs.IPCNamespace, wrong)}, "ipc "+wrong, "EINVAL (22)")
	e.Refused([]harness.Edit{func(s *spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "uts", Path: wrong})
	}}, "linux.namespaces[", "already")
	e.Remove(e.ID("d"))
}

// The interface lo is up in a new network namespace, and left alone in one that is joined.
func TestAJoinedNetworkNamespaceIsLeftAsItIs(t *testing.T) {
	e := harness.New(t)
	p := e.Command("unshare", "--net", "sh", "-c", "echo ready; exec sleep 600").Piped().Start()
	p.Expect("ready")
	got := e.Run(harness.Args("/bin/ifconfig", "lo"), harness.Namespace(specs.NetworkNamespace, fmt.Sprintf("/proc/%d/ns/net", p.Pid)))
	if slices.Contains(strings.Fields(got), "UP") {
		t.Errorf("lo was brought up: %s", got)
	}
	p.Signal(unix.SIGKILL)
	p.Wait()
}

// In a PID namespace that is joined, init is no pid 1, and its end ends the container all the same.
func TestAJoinedPIDNamespaceSharesItsProcesses(t *testing.T) {
	e := harness.New(t)
	id, pid := e.Detached()
	b := e.Bundle(sh("cat /proc/1/cmdline; echo; echo $$"), harness.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", pid)))
	out := e.OK("run", "-b", b.Dir, e.ID("c"))
	if !strings.HasPrefix(out, "/bin/probe\x00wait\x00\n") || strings.HasSuffix(out, "\n1\n") {
		t.Errorf("not in the other's PID namespace: %q", out)
	}
	wantEqual(t, "the other container", e.OK("exec", id, "/bin/echo", "lives"), "lives\n")
	e.Remove(id)
}

func TestAProcfsOfSomebodyElsesPIDNamespaceIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	id, pid := e.Detached()
	e.Refused([]harness.Edit{userNS, harness.Namespace(specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", pid))},
		"mount: /proc: EPERM (1)", "belongs to a more privileged user namespace")
	e.Remove(id)
}

// With the host's PID namespace /proc shows the host's processes, and delete kills what is left.
func TestTheHostsPIDNamespace(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(sh("test -d /proc/"+fmt.Sprint(os.Getpid())+" && echo seen"), harness.WithoutNamespace(specs.PIDNamespace))
	wantEqual(t, "the test's own process", e.OK("run", "-b", b.Dir, e.ID("c")), "seen\n")
}
