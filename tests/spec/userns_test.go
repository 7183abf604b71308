package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"runack/tests/harness"
)

func maps(uids, gids []specs.LinuxIDMapping) harness.Edit {
	return func(s *spec) {
		harness.Namespace(specs.UserNamespace, "")(s)
		s.Linux.UIDMappings, s.Linux.GIDMappings = uids, gids
	}
}

// words has each line's blanks made one.
func words(text string) string {
	var out []string
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		out = append(out, strings.Join(strings.Fields(l), " "))
	}
	return strings.Join(out, "\n")
}

func TestTheMapsOfAUserNamespace(t *testing.T) {
	e := harness.New(t)
	many := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1}}
	want := []string{"0 100000 1"}
	// 340 lines are what the kernel takes, if they make less than a page.
	for i := range uint32(339) {
		many = append(many, specs.LinuxIDMapping{ContainerID: 2 + 2*i, HostID: 2000 + 2*i, Size: 1})
		want = append(want, fmt.Sprintf("%d %d 1", 2+2*i, 2000+2*i))
	}
	b := withUserNS(e, sh("cat /proc/self/uid_map; cat /proc/self/gid_map; cat /proc/self/setgroups"), maps(many, ids(0, 100000, 65536)))
	wantEqual(t, "maps", words(e.OK("run", "-b", b.Dir, e.ID("c"))), strings.Join(want, "\n")+"\n0 100000 65536\nallow")
	if harness.IsRunack() {
		for i := range many {
			many[i].HostID += 1000000
		}
		e.Refused([]harness.Edit{maps(many, ids(0, 100000, 65536))}, "write id map: 340 mappings make", "less than 4096")
	}
}

func TestUsersOfAUserNamespace(t *testing.T) {
	e := harness.New(t)
	b := withUserNS(e, harness.Probe("wait"), func(s *spec) { s.Process.User = specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7, 8}} })
	id, pidFile := e.ID("c"), e.Dir+"/pid"
	e.OK("run", "-d", "--pid-file", pidFile, "-b", b.Dir, id)
	outside := e.Read(fmt.Sprintf("/proc/%d/status", e.ReadPid(pidFile)))
	wantField(t, outside, "Uid", "100005 100005 100005 100005")
	wantField(t, outside, "Gid", "100006 100006 100006 100006")
	wantField(t, outside, "Groups", "100007 100008")
	wantField(t, e.OK("exec", "-u", "9:10", id, "/bin/cat", "/proc/self/status"), "Uid", "9 9 9 9")
	e.Remove(id)
	e.RunackOnly("says it in other words")
	e.Refused([]harness.Edit{userNS, func(s *spec) { s.Process.User.UID = 70000 }}, "process.user.uid", "70000")
	e.Refused([]harness.Edit{maps(ids(1, 100000, 5), ids(0, 100000, 5))}, "linux.uidMappings", "user 0")
	e.Refused([]harness.Edit{maps(nil, nil)}, "linux.uidMappings", "missing")
}

// As pods do: the second container joins the first one's user namespace, and has to agree about it.
func TestAUserNamespaceIsJoined(t *testing.T) {
	e := harness.New(t)
	first := withUserNS(e, harness.Probe("wait"))
	id, pidFile := e.ID("first"), e.Dir+"/pid"
	e.OK("run", "-d", "--pid-file", pidFile, "-b", first.Dir, id)
	path := fmt.Sprintf("/proc/%d/ns/user", e.ReadPid(pidFile))
	join := func(edits ...harness.Edit) *harness.Bundle {
		return withUserNS(e, append([]harness.Edit{harness.Namespace(specs.UserNamespace, path)}, edits...)...)
	}
	b := join(sh("cat /proc/self/uid_map; id -u"))
	wantEqual(t, "with the same maps", words(e.OK("run", "-b", b.Dir, e.ID("c"))), "0 100000 65536\n0")
	if harness.IsRunack() { // 1.1.5 wants maps, and believes them
		b = join(sh("id -u; stat -c %u /"), func(s *spec) { s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil })
		wantEqual(t, "without maps", e.OK("run", "-b", b.Dir, e.ID("c")), "0\n0\n")
		b = join(func(s *spec) { s.Linux.UIDMappings = ids(0, 200000, 65536) })
		harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "linux.uidMappings", "are not those of the user namespace to join")
		b = join(func(s *spec) { s.Process.User.UID = 70000 })
		harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "process.user.uid", "70000")
	}
	// Kept by a bind mount, as CRI-O pins it.
	pin := e.File("userns", "")
	hostBind(e, path, pin)
	b = withUserNS(e, sh("cat /proc/self/gid_map"), harness.Namespace(specs.UserNamespace, pin))
	wantEqual(t, "pinned", words(e.OK("run", "-b", b.Dir, e.ID("c"))), "0 100000 65536")
	e.Remove(id)
}

// File systems that show a namespace which the user namespace does not own: the host's are bound.
func TestAUserNamespaceWithTheHostsOtherNamespaces(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 fails to mount procfs and sysfs")
	b := withUserNS(e, sh("test -d /proc/"+strconv.Itoa(os.Getpid())+" && echo host; ls /sys/class/net | grep lo; cat /proc/self/mountinfo"),
		harness.WithoutNamespace(specs.PIDNamespace), harness.WithoutNamespace(specs.NetworkNamespace))
	out := e.OK("run", "-b", b.Dir, e.ID("c"))
	if !strings.HasPrefix(out, "host\nlo\n") {
		t.Errorf("/proc and /sys: %q", out[:min(len(out), 40)])
	}
	for place, m := range mountsOf(out) {
		if strings.HasPrefix(place, "/sys") && !m.HasItself("ro") {
			t.Errorf("%s can be written to: %+v", place, m)
		}
	}
}

func TestTheMessageQueuesOfTheHostInAUserNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 fails to mount the mqueue")
	host := mountsOf(e.Read("/proc/self/mountinfo"))["/dev/mqueue"]
	edits := []harness.Edit{mountinfo, harness.WithoutNamespace(specs.IPCNamespace)}
	r := e.Do("run", "-b", withUserNS(e, edits...).Dir, e.ID("c"))
	if host.Type != "mqueue" {
		harness.OneLine(t, r.Stderr, "mount: /dev/mqueue: ENOENT (2)", "instead of a new mqueue")
		return
	}
	if m := mountsOf(r.Stdout)["/dev/mqueue"]; r.Code != 0 || m.Type != "mqueue" {
		t.Error(r)
	}
}

// What the kernel lets a user do for himself, without any helper.
func TestAUserMapsHimself(t *testing.T) {
	e := harness.New(t)
	u := asNobody(e)
	b := u.bundle(sh("id -u; id -g; cat /proc/self/uid_map /proc/self/setgroups; touch /tmp/x && echo fine"), maps(ids(0, nobody, 1), ids(0, nobody, 1)))
	wantEqual(t, "output", words(u.run("run", "-b", b.Dir, e.ID("c")).OK()), words(lines("0", "0", "0 65534 1", "deny", "fine")))
}

// Below `unshare -r` the mount namespace belongs to the user namespace further up, and nobody may come
// back to it who has left it to open a source.
func TestSourcesBelowABareUserNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 clones sources in the host's mount namespace only")
	file := e.File("file", "bound\n")
	b := e.Bundle(sh("cat /mnt/file"), maps(ids(0, 0, 1), ids(0, 0, 1)), harness.WritableRoot, harness.WithoutMount("/dev/pts"),
		mount("bind", file, "/mnt/file", "bind"))
	for _, flags := range []string{"-r", "-rm"} {
		wantEqual(t, "unshare "+flags, e.Runtime("run", "-b", b.Dir, e.ID("c")).Through("unshare", flags).OK(), "bound\n")
	}
}

// More than himself takes newuidmap and newgidmap, which look into /etc/subuid.
func TestNewuidmapMapsWhatSubuidGrants(t *testing.T) {
	e := harness.New(t)
	u := asNobody(e)
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		madeIfMissing(t, file)
		hostBind(e, e.File(filepath.Base(file), "nobody:300000:65536\n"), file)
	}
	two := func(first uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{ContainerID: 0, HostID: nobody, Size: 1}, {ContainerID: 1, HostID: first, Size: 65535}}
	}
	b := u.bundle(sh("cat /proc/self/uid_map /proc/self/gid_map; id -u"), maps(two(300000), two(300000)), func(s *spec) { s.Process.User.UID = 33 })
	wantEqual(t, "output", words(u.run("run", "-b", b.Dir, e.ID("c")).OK()),
		"0 65534 1\n1 300000 65535\n0 65534 1\n1 300000 65535\n33")
	b.Edit(maps(two(400000), two(400000)))
	r := u.run("run", "-b", b.Dir, e.ID("d")).Do()
	if r.Code == 0 || !strings.Contains(r.Stderr, "newuidmap") {
		t.Errorf("ids that nobody granted: %s", r)
	}
}

// madeIfMissing is for a file of the host's that something is to be bound over, until the test ends.
func madeIfMissing(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o644)
	if os.IsExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	})
}

const nobody = 65534

// A user runs the runtime without any privilege.
type user struct{ e *harness.Env }

func asNobody(e *harness.Env) user {
	e.T.Helper()
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		e.T.Skip("the kernel has no user namespaces")
	}
	if harness.RuntimeName() == "crun" {
		e.T.Skip("needs a systemd session to be rootless")
	}
	for _, d := range []string{e.Root, e.Temp} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			e.T.Fatal(err)
		}
		if err := os.Chown(d, nobody, nobody); err != nil {
			e.T.Fatal(err)
		}
	}
	return user{e}
}

// bundle is the user's own, with what `spec --rootless` leaves out left out.
func (u user) bundle(edits ...harness.Edit) *harness.Bundle {
	u.e.T.Helper()
	b := u.e.Bundle(append([]harness.Edit{func(s *spec) {
		harness.WithoutNamespace(specs.NetworkNamespace)(s)
		s.Linux.Resources = nil
		s.Root.Readonly = false
		for i := range s.Mounts {
			m := &s.Mounts[i]
			switch m.Destination {
			case "/sys":
				*m = specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
			case "/dev/pts":
				m.Options = []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
			}
		}
	}}, edits...)...)
	give(u.e, b.Rootfs, nobody)
	return b
}

func (u user) run(args ...string) *harness.Cmd {
	return u.e.Runtime(args...).Attr(func(a *syscall.SysProcAttr) {
		a.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}).In("/")
}
