package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// options has a row for each option of a mount: what mountinfo must show with it, and what not. The
// empty words are options that leave no trace there.
var options = []struct{ given, shows, hides string }{
	{"ro", "ro", "rw"}, {"rw", "rw", "ro"}, {"ro,rw", "rw", "ro"}, {"rw,ro", "ro", "rw"},
	{"nosuid", "nosuid", ""}, {"nosuid,suid", "", "nosuid"},
	{"nodev", "nodev", ""}, {"nodev,dev", "", "nodev"},
	{"noexec", "noexec", ""}, {"noexec,exec", "", "noexec"},
	{"noatime", "noatime", "relatime"}, {"noatime,atime", "relatime", "noatime"},
	{"relatime", "relatime", "noatime"}, {"strictatime", "", "relatime"}, {"noatime,relatime,strictatime", "", "noatime"},
	{"nodiratime", "nodiratime", ""}, {"nodiratime,diratime", "", "nodiratime"},
	{"nosymfollow", "nosymfollow", ""}, {"nosymfollow,symfollow", "", "nosymfollow"},
	{"defaults", "rw", "nosuid"}, {"silent", "rw", ""}, {"silent,loud", "rw", ""},
	{"noiversion", "rw", ""}, {"norelatime", "relatime", ""}, {"strictatime,nostrictatime", "relatime", ""},
	{"rro", "ro", "rw"}, {"rro,rrw", "rw", "ro"}, {"rnosuid", "nosuid", ""}, {"rnosuid,rsuid", "", "nosuid"},
	{"rnodev", "nodev", ""}, {"rnodev,rdev", "", "nodev"}, {"rnoexec", "noexec", ""}, {"rnoexec,rexec", "", "noexec"},
	{"rnoatime", "noatime", ""}, {"rnoatime,ratime", "", "noatime"}, {"rrelatime", "relatime", ""},
	{"rnorelatime", "", "noatime"}, {"rstrictatime", "", "relatime"}, {"rnostrictatime", "relatime", ""},
	{"rnodiratime", "nodiratime", ""}, {"rnodiratime,rdiratime", "", "nodiratime"},
	{"rnosymfollow", "nosymfollow", ""}, {"rnosymfollow,rsymfollow", "", "nosymfollow"},
}

// onlyOnSuperblocks are options of the whole file system; a bind mount has none of its own.
var onlyOnSuperblocks = []struct{ given, shows, hides string }{
	{"sync", "sync", ""}, {"sync,async", "", "sync"}, {"dirsync", "dirsync", ""}, {"mand", "mand", ""}, {"mand,nomand", "", "mand"},
	{"lazytime", "lazytime", ""}, {"lazytime,nolazytime", "", "lazytime"}, {"iversion", "i_version", ""},
}

// TestEveryOptionOfAMount gives each option to a mount of its own in one container.
func TestEveryOptionOfAMount(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 knows neither all options nor their negations")
	var edits []harness.Edit
	source := dir(e, "source")
	hostMount(e, "tmpfs", "tmpfs", source, 0, "")
	for i, o := range options {
		list := strings.Split(o.given, ",")
		edits = append(edits,
			mount("tmpfs", "tmpfs", fmt.Sprintf("/tmp/new-%d", i), append(list, "size=4k", "mode=700")...),
			mount("bind", source, fmt.Sprintf("/tmp/bind-%d", i), append(list, "bind")...))
	}
	for i, o := range onlyOnSuperblocks {
		edits = append(edits, mount("tmpfs", "tmpfs", fmt.Sprintf("/tmp/super-%d", i), strings.Split(o.given, ",")...))
	}
	seen := mountsOf(e.Run(append(edits, mountinfo, harness.WritableRoot)...))
	check := func(place, given, shows, hides string) {
		m, ok := seen[place]
		switch {
		case !ok:
			t.Errorf("%s on %s: not mounted", given, place)
		case shows != "" && !m.Has(shows), hides != "" && m.HasItself(hides), hides != "" && hides != "rw" && hides != "ro" && m.Has(hides):
			t.Errorf("%s on %s: options %s and %s, want %q and not %q", given, place, m.Options, m.Super, shows, hides)
		}
	}
	for i, o := range options {
		check(fmt.Sprintf("/tmp/new-%d", i), o.given, o.shows, o.hides)
		check(fmt.Sprintf("/tmp/bind-%d", i), o.given, o.shows, o.hides)
	}
	for i, o := range onlyOnSuperblocks {
		if o.given == "iversion" || strings.HasPrefix(o.given, "mand") {
			continue // a tmpfs has no versions; and kernels since 5.15 know no mandatory locks
		}
		check(fmt.Sprintf("/tmp/super-%d", i), o.given, o.shows, o.hides)
	}
}

// TestEveryOptionOfFeaturesIsTested holds the tables above against what `features` offers.
func TestEveryOptionOfFeaturesIsTested(t *testing.T) {
	tested := map[string]string{
		"bind": "TestBind", "rbind": "TestRecursiveOptionsReachTheMountsBelow", "remount": "TestRemount",
		"tmpcopyup": "TestCopyUp", "idmap": "TestIDMappedMounts", "ridmap": "TestIDMappedMounts",
	}
	for _, word := range []string{"shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable"} {
		tested[word] = "TestPropagationOfMounts"
	}
	for _, o := range append(options, onlyOnSuperblocks...) {
		for _, word := range strings.Split(o.given, ",") {
			tested[word] = "TestEveryOptionOfAMount"
		}
	}
	e := harness.New(t)
	e.RunackOnly("has a list of its own")
	for _, word := range featuresOf(e).MountOptions {
		if tested[word] == "" {
			t.Errorf("%s is offered, and no test shows it", word)
		}
		delete(tested, word)
	}
	for word := range tested {
		t.Errorf("%s works, and is not offered", word)
	}
}

func TestBind(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the type bind alone makes no bind mount there")
	source := dir(e, "source/sub")
	hostMount(e, "tmpfs", "tmpfs", source, 0, "")
	e.File("source/sub/below", "below")
	e.File("source/file", "text\n")
	e.File("file", "a file\n")
	b := e.Bundle(sh("cat /mnt/file /etc/motd /etc/new/file /rel/x; ls -A /mnt/sub /rec/sub; echo more >>/mnt/file"), harness.WritableRoot,
		mount("none", e.Dir+"/source", "/mnt", "bind"),
		mount("bind", e.Dir+"/source", "/rec", "rbind"),          // a missing target becomes a directory
		mount("bind", e.Dir+"/file", "/etc/motd", "bind", "ro"),  // or a file
		mount("none", e.Dir+"/file", "/etc/new/file", "rbind"),   // in missing directories
		mount("bind", "beside/x", "rel/../rel/x", "bind", "rw"),  // relative to the bundle, and to the root
		mount("bind", e.Dir+"/file", "/etc/hostname", "private")) // the type is enough
	if err := os.MkdirAll(b.Dir+"/beside", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.Dir+"/beside/x", []byte("beside\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := e.OK("run", "-b", b.Dir, e.ID("c"))
	wantEqual(t, "what is seen", out, lines("text", "a file", "a file", "beside", "/mnt/sub:", "", "/rec/sub:", "below"))
	wantEqual(t, "the source", e.Read(e.Dir+"/source/file"), "text\nmore\n")
	if st, err := os.Stat(b.Rootfs + "/etc/new/file"); err != nil || st.Size() != 0 || st.Mode() != 0o644 {
		t.Errorf("the target that was made: %v, %v", st, err)
	}
}

func TestAFileOnADirectoryIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	file := e.File("file", "")
	e.Refused([]harness.Edit{mount("bind", file, "/mnt", "bind")}, "bind mount: /mnt: EISDIR (21)", file)
	e.Refused([]harness.Edit{mount("bind", e.Dir, "/etc/passwd", "bind")}, "bind mount: /etc/passwd: ENOTDIR (20)")
	e.Refused([]harness.Edit{mount("bind", e.Dir+"/nothing", "/mnt", "bind")}, "mounts[7].source", "ENOENT (2)")
	e.Refused([]harness.Edit{mount("tmpfs", "tmpfs", "/mnt", "size=lots")}, "mount: /mnt: EINVAL (22)", "size=lots")
	e.Refused([]harness.Edit{mount("nosuchfs", "none", "/mnt")}, "mount: /mnt: ENODEV (19)", "nosuchfs")
	e.Refused([]harness.Edit{mount("bind", e.Dir, "/mnt", "bind", "size=4k")}, "mounts[7].options", "size=4k")
}

// Options with r apply to the mounts below too, ro and the like to the mount alone.
func TestRecursiveOptionsReachTheMountsBelow(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 has the recursive options, but not rnosymfollow")
	source := dir(e, "tree")
	hostMount(e, "tmpfs", "tmpfs", source, 0, "")
	hostMount(e, "tmpfs", "tmpfs", source+"/sub", 0, "")
	words := []string{"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"}
	var edits []harness.Edit
	for _, w := range words {
		edits = append(edits, mount("bind", source, "/tmp/"+w, "rbind", w), mount("bind", source, "/tmp/r"+w, "rbind", "r"+w))
	}
	seen := mountsOf(e.Run(append(edits, mountinfo, harness.WritableRoot)...))
	for _, w := range words {
		if !seen["/tmp/"+w].HasItself(w) || seen["/tmp/"+w+"/sub"].HasItself(w) || seen["/tmp/"+w+"/sub"].Type != "tmpfs" {
			t.Errorf("%s: %+v and below %+v", w, seen["/tmp/"+w], seen["/tmp/"+w+"/sub"])
		}
		if !seen["/tmp/r"+w].HasItself(w) || !seen["/tmp/r"+w+"/sub"].HasItself(w) {
			t.Errorf("r%s: %+v and below %+v", w, seen["/tmp/r"+w], seen["/tmp/r"+w+"/sub"])
		}
	}
}

// A bind mount takes its source's flags over; a flag that is named changes, whatever the source has.
func TestFlagsOfTheSource(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 does not clear flags")
	source := dir(e, "source")
	hostMount(e, "tmpfs", "tmpfs", source, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOATIME, "")
	seen := mountsOf(e.Run(mountinfo, harness.WritableRoot,
		mount("bind", source, "/tmp/as-it-is", "bind"),
		mount("bind", source, "/tmp/ro", "bind", "ro", "nosuid", "nodev"),
		mount("bind", source, "/tmp/suid", "bind", "suid", "dev")))
	for place, want := range map[string]string{"as-it-is": "rw,nosuid,nodev,noatime", "ro": "ro,nosuid,nodev,noatime", "suid": "rw,noatime"} {
		wantEqual(t, "options of "+place, seen["/tmp/"+place].Options, want)
	}
}

// In a user namespace the kernel locks the flags of the host's mounts. Those that the configuration
// does not mention stay; one that it clears by name is refused, and not silently kept.
func TestLockedFlagsInAUserNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 fails wherever an access time mode is locked")
	source := dir(e, "source")
	hostMount(e, "tmpfs", "tmpfs", source, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, "mode=755")
	b := withUserNS(e, mountinfo, harness.WritableRoot, mount("bind", source, "/mnt", "bind", "ro"))
	m := mountsOf(e.OK("run", "-b", b.Dir, e.ID("c")))["/mnt"]
	wantEqual(t, "options", m.Options, "ro,nosuid,nodev,noexec,noatime")
	for _, o := range []string{"exec", "dev", "suid", "relatime"} {
		r := e.Do("run", "-b", withUserNS(e, mountinfo, mount("bind", source, "/mnt", "bind", o)).Dir, e.ID("r"))
		if r.Code == 0 {
			t.Errorf("%s: the flag cannot be cleared, and the container runs: %s", o, r)
			continue
		}
		harness.OneLine(t, r.Stderr, "/mnt: EPERM (1)", "locked")
	}
}

func TestRemount(t *testing.T) {
	e := harness.New(t)
	seen := mountsOf(e.Run(mountinfo, harness.WritableRoot,
		mount("tmpfs", "tmpfs", "/tmp/a", "size=4k"), mount("tmpfs", "tmpfs", "/tmp/a", "remount", "ro", "nodev", "size=8k"),
		mount("tmpfs", "tmpfs", "/tmp/b", "nosuid"), mount("", "", "/tmp/b", "remount", "bind", "ro", "noexec")))
	a, b := seen["/tmp/a"], seen["/tmp/b"]
	// Read-only is the mount's and not the file system's, as in runc: a tmpfs is filled until the end.
	if !a.HasItself("ro") || !strings.Contains(a.Super, "size=8k") || !a.HasItself("nodev") {
		t.Errorf("the remounted file system: %+v", a)
	}
	if !b.HasItself("ro") || !b.HasItself("noexec") || strings.Contains(b.Super, "ro,") {
		t.Errorf("the remounted mount: %+v", b)
	}
	if harness.IsRunack() {
		e.Refused([]harness.Edit{mount("tmpfs", "tmpfs", "/usr", "remount", "ro")}, "remount: /usr: EINVAL (22)", "no mount begins here")
	}
}

func TestCopyUp(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 loses the setgid bit")
	b := e.Bundle(sh("cat /home/file /home/sub/file; readlink /home/link; stat -c '%a %u:%g' /home/sub /home; echo new >/home/file"),
		harness.WritableRoot, caps("CAP_DAC_OVERRIDE"), mount("tmpfs", "tmpfs", "/home", "tmpcopyup"))
	for name, text := range map[string]string{"file": "one\n", "sub/file": "two\n"} {
		path := filepath.Join(b.Rootfs, "home", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Symlink("/elsewhere", b.Rootfs+"/home/link"), os.Chmod(b.Rootfs+"/home/sub", 0o2750),
		os.Chown(b.Rootfs+"/home/sub", 11, 12), os.Chmod(b.Rootfs+"/home/sub", os.ModeSetgid|0o750), os.Chmod(b.Rootfs+"/home", 0o711),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "the copy", e.OK("run", "-b", b.Dir, e.ID("c")), lines("one", "two", "/elsewhere", "2750 11:12", "711 0:0"))
	wantEqual(t, "the original", e.Read(b.Rootfs+"/home/file"), "one\n")
}

// Without the option mode a tmpfs takes the mode of the directory it covers.
func TestTheModeOfATmpfs(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 prefers the directory's mode to the option")
	b := e.Bundle(sh("stat -c '%a' /tmp /home /mnt /made"), harness.WritableRoot,
		mount("tmpfs", "tmpfs", "/tmp"), mount("tmpfs", "tmpfs", "/home"), mount("tmpfs", "tmpfs", "/mnt", "mode=0710"), mount("tmpfs", "tmpfs", "/made"))
	if err := os.Chmod(b.Rootfs+"/home", 0o750); err != nil {
		t.Fatal(err)
	}
	// A target that was made for it has no mode worth taking.
	wantEqual(t, "modes", e.OK("run", "-b", b.Dir, e.ID("c")), lines("1777", "750", "710", "1777"))
}

func TestFileSystemsOfTheKernel(t *testing.T) {
	e := harness.New(t)
	seen := mountsOf(e.Run(mountinfo, harness.WritableRoot,
		mount("proc", "proc", "/proc2", "nosuid", "noexec", "nodev", "hidepid=2"),
		mount("mqueue", "mqueue", "/queues", "nosuid"),
		mount("devpts", "devpts", "/pts", "newinstance", "ptmxmode=0600", "mode=0600", "max=4"),
		mount("ramfs", "ramfs", "/ram", "mode=700")))
	for place, want := range map[string]string{"/proc2": "proc hidepid=invisible", "/queues": "mqueue", "/pts": "devpts max=4", "/ram": "ramfs mode=700"} {
		fstype, option, _ := strings.Cut(want, " ")
		if m := seen[place]; m.Type != fstype || option != "" && !m.Has(option) {
			t.Errorf("%s: %+v, want %s", place, m, want)
		}
	}
}

// The mqueue is the IPC namespace's: what is made there has the container's limits.
func TestTheMessageQueues(t *testing.T) {
	e := harness.New(t)
	wantEqual(t, "queue", e.Run(sh("touch /dev/mqueue/q && head -c 7 /dev/mqueue/q; ls /dev/mqueue")), "QSIZE:0q\n")
	if _, err := os.Stat("/dev/mqueue/q"); err == nil {
		t.Error("the queue is the host's")
	}
}

// An overlay's lowerdir can be longer than the 255 bytes that fsconfig(2) takes.
func TestAnOverlayWithManyLayers(t *testing.T) {
	e := harness.New(t)
	base := dir(e, "layers")
	hostMount(e, "tmpfs", "tmpfs", base, 0, "")
	var layers []string
	for i := range 30 {
		layer := fmt.Sprintf("%s/layer-with-a-long-name-%02d", base, i)
		layers = append(layers, layer)
		if err := os.MkdirAll(layer, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("%s/file-%02d", layer, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	up, work := dir(e, "layers/up"), dir(e, "layers/work")
	b := e.Bundle(sh("ls /mnt | wc -l; echo upper >/mnt/written"),
		mount("overlay", "overlay", "/mnt", "lowerdir="+strings.Join(layers, ":"), "upperdir="+up, "workdir="+work))
	wantEqual(t, "files of all layers", e.OK("run", "-b", b.Dir, e.ID("c")), "30\n")
	wantEqual(t, "the upper layer", e.Read(up+"/written"), "upper\n")
}

// The mounts are made in the order of the configuration, also on each other.
func TestMountsOnMounts(t *testing.T) {
	e := harness.New(t)
	source := dir(e, "source")
	e.File("source/file", "bound\n")
	out := e.Run(sh("cat /mnt/a/file; ls -A /mnt"), mount("tmpfs", "tmpfs", "/mnt"), mount("bind", source, "/mnt/a", "bind", "ro"))
	wantEqual(t, "mounts", out, lines("bound", "a"))
	out = e.Run(sh("ls -A /mnt"), mount("bind", source, "/mnt", "bind"), mount("tmpfs", "tmpfs", "/mnt"))
	wantEqual(t, "the later one", out, "")
}

// A link in the way is followed, and "/" is the container's root on the way.
func TestTargetsThroughSymbolicLinks(t *testing.T) {
	e := harness.New(t)
	file := e.File("file", "text\n")
	b := e.Bundle(sh("cat /var/real/file /etc/there; ls -A /var/deep; grep -c runack-test /proc/self/mountinfo"), harness.WritableRoot,
		mount("bind", file, "/mnt/link/file", "bind"), mount("bind", file, "/etc/dangling", "bind"), mount("tmpfs", "tmpfs", "/mnt/up/x"))
	for name, target := range map[string]string{"mnt/link": "/var/real", "etc/dangling": "there", "mnt/up": "../../../../../var/deep"} {
		if err := os.Symlink(target, filepath.Join(b.Rootfs, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	wantContains(t, "output", r.Stdout, "text\ntext\nx\n")
	for _, path := range []string{"/var/real", "/var/deep"} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made on the host", path)
		}
		if _, err := os.Stat(b.Rootfs + path); err != nil {
			t.Errorf("not made in the root: %v", err)
		}
	}
}

func TestADestinationThatIsRelative(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(mountinfo, mount("tmpfs", "tmpfs", "mnt/"))
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	if m := mountsOf(r.Stdout)["/mnt"]; r.Code != 0 || m.Type != "tmpfs" {
		t.Errorf("not taken as relative to the root: %s", r)
	}
	if harness.IsRunack() {
		wantContains(t, "the warning", r.Stderr, `mounts[7].destination`, "is not absolute")
	}
}

// Where the mapped root has no right to the way, the runtime opens the source.
func TestSourcesThatTheMappedRootCannotReach(t *testing.T) {
	e := harness.New(t)
	e.File("closed/file", "behind a closed door\n")
	dir(e, "closed/sub")
	hostMount(e, "tmpfs", "tmpfs", e.Dir+"/closed/sub/mnt", 0, "")
	b := withUserNS(e, sh("cat /mnt/file; ls /rec"), harness.WritableRoot,
		mount("bind", e.Dir+"/closed/file", "/mnt/file", "bind"), mount("bind", e.Dir+"/closed/sub", "/rec", "rbind"))
	if err := os.Chmod(e.Dir+"/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "what is bound", e.OK("run", "-b", b.Dir, e.ID("c")), lines("behind a closed door", "mnt"))
}

// The root file system may lie behind a closed door too: docker's user-remapped roots do.
func TestARootThatTheMappedRootCannotReach(t *testing.T) {
	e := harness.New(t)
	b := e.BundleIn(dir(e, "closed/bundle"), userNS, sh("echo here; cat /proc/self/uid_map"))
	give(e, b.Rootfs, 100000)
	if err := os.Chmod(e.Dir+"/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	if harness.IsRunack() || r.Code == 0 {
		wantEqual(t, "output", strings.Join(strings.Fields(r.Stdout), " "), "here 0 100000 65536")
	}
}

func TestMountsOfAContainerWithoutAMountNamespaceAreTheRuntimes(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("refuses it")
	bare := func(s *spec) {
		harness.WithoutNamespace(specs.MountNamespace)(s)
		s.Mounts, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths, s.Root.Readonly = nil, nil, nil, false
	}
	wantEqual(t, "root", e.Run(bare, sh("ls /bin/probe; ls /")), lines("/bin/probe", "bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"))
	id, _ := e.Detached(bare)
	wantEqual(t, "root of an exec", e.OK("exec", id, "/bin/ls", "/bin/probe"), "/bin/probe\n")
	e.Remove(id)
	for field, edit := range map[string]harness.Edit{
		"linux.maskedPaths": func(s *spec) { s.Linux.MaskedPaths = []string{"/proc/kcore"} }, "linux.readonlyPaths": func(s *spec) { s.Linux.ReadonlyPaths = []string{"/proc/sys"} },
		"root.readonly": func(s *spec) { s.Root.Readonly = true }, "linux.rootfsPropagation": func(s *spec) { s.Linux.RootfsPropagation = "slave" },
	} {
		e.Refused([]harness.Edit{bare, edit}, field, "without a mount namespace")
	}
}
