package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

func propagation(word string) harness.Edit {
	return func(s *spec) { s.Linux.RootfsPropagation = word }
}

// What mountinfo shows of a peer group: shared mounts have "shared:N", slaves "master:N".
func TestThePropagationOfTheRoot(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 has none of shared and unbindable on the root, and takes any word")
	for word, want := range map[string]string{"": "", "private": "", "rprivate": "", "slave": "", "rslave": "", "shared": "shared:", "rshared": "shared:", "unbindable": "unbindable", "runbindable": "unbindable"} {
		m := mountsOf(e.Run(mountinfo, propagation(word)))["/"]
		if got := m.Propagation; want == "" && strings.Contains(got, "shared:") || !strings.Contains(got, want) {
			t.Errorf("rootfsPropagation %q: the root has %q", word, got)
		}
	}
	e.Refused([]harness.Edit{propagation("sideways")}, "linux.rootfsPropagation", "sideways")
}

// As a slave the container sees what the host mounts later; private it does not.
func TestMountsOfTheHostReachASlave(t *testing.T) {
	e := harness.New(t)
	source := dir(e, "source")
	hostMount(e, "tmpfs", "tmpfs", source, 0, "")
	if err := unix.Mount("", source, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	dir(e, "source/later")
	slave, _ := e.Detached(propagation("rslave"), mount("bind", source, "/mnt", "rbind", "rslave"))
	other, err := os.MkdirTemp(e.Dir, "")
	if err != nil {
		t.Fatal(err)
	}
	b := e.Bundle(harness.Probe("wait"), mount("bind", source, "/mnt", "rbind", "rprivate"))
	private := e.ID("p")
	e.OK("run", "-d", "-b", b.Dir, private)
	hostMount(e, "tmpfs", other, source+"/later", 0, "")
	wantContains(t, "mounts of the slave", e.OK("exec", slave, "/bin/cat", "/proc/self/mountinfo"), " /mnt/later ")
	if out := e.OK("exec", private, "/bin/cat", "/proc/self/mountinfo"); strings.Contains(out, " /mnt/later ") {
		t.Error("the private one sees it too")
	}
	e.Remove(slave)
	e.Remove(private)
}

// With rshared, a mount inside reaches the host: kubelet's Bidirectional.
func TestASharedMountReachesTheHost(t *testing.T) {
	e := harness.New(t)
	source := dir(e, "source")
	hostMount(e, "tmpfs", "tmpfs", source, 0, "")
	if err := unix.Mount("", source, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	dir(e, "source/up")
	e.Run(sh("mount -t tmpfs upwards /mnt/up"), caps("CAP_SYS_ADMIN"), propagation("rshared"), mount("bind", source, "/mnt", "rbind", "rshared"))
	if !strings.Contains(e.Read("/proc/self/mountinfo"), "upwards") {
		t.Error("the mount did not reach the host")
	} else if err := unix.Unmount(source+"/up", unix.MNT_DETACH); err != nil {
		t.Error(err)
	}
}

func TestPropagationOfMounts(t *testing.T) {
	e := harness.New(t)
	words := map[string]string{"shared": "shared:", "rshared": "shared:", "slave": "", "rslave": "", "private": "", "rprivate": "", "unbindable": "unbindable", "runbindable": "unbindable"}
	source := dir(e, "source")
	hostMount(e, "tmpfs", "tmpfs", source, 0, "")
	var edits []harness.Edit
	for word := range words {
		edits = append(edits, mount("tmpfs", "tmpfs", "/tmp/new-"+word, word), mount("bind", source, "/tmp/bind-"+word, "bind", word))
	}
	seen := mountsOf(e.Run(append(edits, mountinfo, harness.WritableRoot)...))
	for word, want := range words {
		for _, kind := range []string{"new-", "bind-"} {
			m := seen["/tmp/"+kind+word]
			if want == "" && strings.Contains(m.Propagation, "shared:") || !strings.Contains(m.Propagation, want) || m.Type != "tmpfs" {
				t.Errorf("%s on a %s mount: %+v", word, kind, m)
			}
		}
	}
}

func TestAReadOnlyRootWithMountsThatAreNot(t *testing.T) {
	e := harness.New(t)
	out := e.Run(sh("for d in / /tmp /dev /home; do touch $d/x 2>/dev/null && echo $d; done; true"), mount("tmpfs", "tmpfs", "/tmp"))
	wantEqual(t, "where one can write", out, lines("/tmp", "/dev"))
	out = e.Run(sh("for d in / /tmp /dev /home; do touch $d/x 2>/dev/null && echo $d; done; true"), mount("tmpfs", "tmpfs", "/tmp", "ro"),
		func(s *spec) {
			for i := range s.Mounts {
				if s.Mounts[i].Destination == "/dev" {
					s.Mounts[i].Options = append(s.Mounts[i].Options, "ro")
				}
			}
		})
	wantEqual(t, "where one can write", out, "")
}

func TestNoPivot(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(sh("ls /; cat /proc/self/mountinfo; cd /; cd ../../..; ls -d bin/probe"))
	out := e.OK("run", "--no-pivot", "-b", b.Dir, e.ID("c"))
	wantContains(t, "root", out, "bin\ndev\netc\n", "\nbin/probe\n")
	id := e.ID("d")
	b.Edit(harness.Probe("wait"))
	e.OK("run", "-d", "--no-pivot", "-b", b.Dir, id)
	wantEqual(t, "exec", e.OK("exec", id, "/bin/ls", "/bin/probe"), "/bin/probe\n")
	e.Remove(id)
	if harness.IsRunack() {
		b.Edit(propagation("rprivate"))
		harness.OneLine(t, e.Fails(1, "run", "--no-pivot", "-b", b.Dir, e.ID("p")), "linux.rootfsPropagation", "pivot_root")
	}
}

// What --no-pivot hides of the host's goes from the container's namespace and from no other, though a
// shared root leaves the two peers.
func TestNoPivotWithASharedRoot(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 takes the host's /proc off")
	own, proc := dir(e, "own"), dir(e, "deep")
	b := e.Bundle(sh("true"), propagation("shared"))
	hostMount(e, "", b.Rootfs, own, unix.MS_BIND, "")
	hostMount(e, "proc", "proc", proc, 0, "")
	b.Edit(func(s *spec) { s.Root.Path = own })
	e.OK("run", "--no-pivot", "-b", b.Dir, e.ID("c"))
	for _, p := range []string{"/proc", proc} {
		if _, err := os.Stat(filepath.Join(p, "self")); err != nil {
			t.Error(err)
		}
	}
}

// The root may be a mount point, a shared one, or an overlay.
func TestARootThatIsAMount(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(sh("touch /written && ls / | tr '\n' ' '"), harness.WritableRoot)
	for _, d := range []string{"up", "work", "merged"} {
		dir(e, d)
	}
	base := dir(e, "layers")
	hostMount(e, "tmpfs", "tmpfs", base, 0, "")
	up, work, merged := dir(e, "layers/up"), dir(e, "layers/work"), filepath.Join(e.Dir, "merged")
	hostMount(e, "overlay", "overlay", merged, 0, "lowerdir="+b.Rootfs+",upperdir="+up+",workdir="+work)
	if err := unix.Mount("", merged, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	b.Edit(func(s *spec) { s.Root.Path = merged })
	wantContains(t, "root", e.OK("run", "-b", b.Dir, e.ID("c")), "usr var written")
	if _, err := os.Stat(up + "/written"); err != nil {
		t.Error(err)
	}
}

func TestARootThatIsNoneIsRefused(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	b := e.Bundle()
	root := func(path string) { b.Edit(func(s *spec) { s.Root.Path = path }) }
	root("nothing")
	harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "root.path", "nothing")
	root("config.json")
	harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "root.path", "expected a directory, found a regular file")
	if err := os.Symlink("rootfs", b.Dir+"/link"); err != nil {
		t.Fatal(err)
	}
	root("link")
	harness.OneLine(t, e.Fails(1, "run", "-b", b.Dir, e.ID("c")), "root.path", "symbolic link")
}

func TestAnnotationsAreKept(t *testing.T) {
	e := harness.New(t)
	id, _ := e.Detached(func(s *spec) { s.Annotations = map[string]string{"com.example.key": "väl ue", "empty": ""} })
	wantContains(t, "state", e.OK("state", id), `"com.example.key": "väl ue"`, `"empty": ""`)
	e.Remove(id)
	if harness.IsRunack() {
		e.Refused([]harness.Edit{func(s *spec) { s.Annotations = map[string]string{"org.runack.init": "perhaps"} }}, "org.runack.init", "perhaps")
	}
}
