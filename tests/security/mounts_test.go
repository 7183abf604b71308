package security

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

// What an image, a volume, or another container that shares a volume can do to the mounts.

// Names of mounts that lead out of the root, in every way that a link can.
func TestCVE_2019_18837(t *testing.T) {
	e := harness.New(t)
	for name, target := range map[string]string{
		"absolute":     "%s",
		"climbing":     "../../../../../../../../../..%s",
		"twice":        "/first",
		"through-proc": "/proc/self/root%s",
		"through-cwd":  "/proc/1/cwd%s",
		"dangling":     "%s/new/deep",
		"loop":         "/mnt/loop",
	} {
		v := newVictim(e)
		if strings.Contains(target, "%s") {
			target = fmt.Sprintf(target, v.path)
		}
		b := e.Bundle(sh("cat /proc/self/mountinfo"), harness.WritableRoot, everyCapability,
			mount("tmpfs", "tmpfs", "/mnt/"+name), mount("bind", e.File("source", "planted\n"), "/mnt/"+name+"/file", "bind"),
			mount("bind", mkdir(t, filepath.Join(e.Dir, "sourcedir")), "/mnt/"+name+"/dir/deep", "bind"),
			func(s *spec) { s.Process.Cwd = "/mnt/" + name + "/cwd" },
			func(s *spec) {
				s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/mnt/" + name + "/device", Type: "c", Major: 1, Minor: 3})
				s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/mnt/"+name+"/file")
				s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/mnt/"+name+"/dir")
			})
		link(t, b, "mnt/"+name, target)
		link(t, b, "first", v.path)
		before := e.Read("/proc/self/mountinfo")
		r := e.Do("run", "-b", b.Dir, e.ID("c")) // it may run: the links have a meaning inside
		v.check()
		wantEqual(t, name+": the host's mounts", e.Read("/proc/self/mountinfo"), before)
		if r.Code != 0 && harness.IsRunack() {
			harness.OneLine(t, r.Stderr, "/mnt/"+name)
		}
	}
}

// A container that shares a volume exchanges a directory of it and a link out of the root, while
// another one is made that mounts into the volume.
func TestCVE_2021_30465(t *testing.T) { raceMounts(t, false) }

// The same race, with the runtime making the directories and files that are missing.
func TestCVE_2024_45310(t *testing.T) { raceMounts(t, true) }

func raceMounts(t *testing.T, missing bool) {
	e := harness.New(t)
	v := newVictim(e)
	volume := mkdir(t, filepath.Join(e.Dir, "volume"))
	mkdir(t, volume+"/a")
	if !missing {
		mkdir(t, volume+"/a/target")
	}
	if err := os.Symlink(v.path, volume+"/b"); err != nil {
		t.Fatal(err)
	}
	target := "/volume/a/target"
	if missing {
		target = "/volume/a/new/target"
	}
	planted := e.File("planted", "planted\n")
	b := e.Bundle(sh("cat /proc/self/mountinfo; echo planted >"+target+"/from-inside"), harness.WritableRoot, everyCapability,
		mount("bind", volume, "/volume", "bind"),
		mount("tmpfs", "tmpfs", target), mount("bind", planted, "/volume/a/file", "bind"),
		func(s *spec) {
			s.Process.Cwd = "/volume/a/cwd"
			s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/volume/a/device", Type: "c", Major: 1, Minor: 3})
			s.Linux.MaskedPaths = []string{"/volume/a/file"}
			s.Linux.ReadonlyPaths = []string{"/volume/a"}
		})
	stop := exchange(t, volume+"/a", volume+"/b")
	defer stop()
	done, met := 0, 0
	for range rounds(25) {
		r := e.Do("run", "-b", b.Dir, e.ID("c"))
		if r.Code == 0 {
			done++
		}
		// What a link led to is a place inside the root, of the same name.
		if _, err := os.Stat(b.Rootfs + v.path); err == nil {
			met++
		}
		v.check()
	}
	stop()
	t.Logf("%d of the containers ran; %d times the link had been met", done, met)
	if met == 0 {
		t.Error("no round met the link, so this showed nothing")
	}
}

// An image or a volume brings a /proc of its own, so that labels and limits are written to files that
// mean nothing, or to files of the attacker's choice.
func TestCVE_2019_16884(t *testing.T) { fakeProc(t, "tmpfs over /proc", withFakeProc("/proc")) }

// crun's name for it: the check of the label was done on a path.
func TestCVE_2019_19921(t *testing.T) {
	fakeProc(t, "volume over /proc/self/attr", withFakeProc("/proc/self/attr"))
	fakeProc(t, "volume over /proc/sys", withFakeProc("/proc/sys"))
	fakeProc(t, "volume over /proc/1", withFakeProc("/proc/1/attr"))
}

// The way back: /proc itself is a link.
func TestCVE_2023_27561(t *testing.T) {
	fakeProc(t, "/proc is a link", func(e *harness.Env, b *harness.Bundle) {
		mkdir(t, b.Rootfs+"/fake/self/attr")
		link(t, b, "proc", "fake")
	})
	fakeProc(t, "/proc is an absolute link to a volume", func(e *harness.Env, b *harness.Bundle) {
		b.Edit(func(s *spec) {
			s.Mounts = append([]specs.Mount{{Type: "bind", Source: mkdir(t, filepath.Join(e.Dir, "fake")), Destination: "/volume", Options: []string{"bind"}}}, s.Mounts...)
		})
		link(t, b, "proc", "/volume")
	})
}

// AppArmor was lost in this way: names that lead to /proc through a link of the image.
func TestCVE_2023_28642(t *testing.T) {
	fakeProc(t, "a link to /proc/self/attr", func(e *harness.Env, b *harness.Bundle) {
		link(t, b, "attr", "/proc/self/attr")
		withFakeProc("/attr")(e, b)
	})
	fakeProc(t, "a link to /proc", func(e *harness.Env, b *harness.Bundle) {
		link(t, b, "p", "proc")
		withFakeProc("/p")(e, b)
	})
	fakeProc(t, "a link to what is below", func(e *harness.Env, b *harness.Bundle) {
		link(t, b, "p", "/proc/sys/..")
		withFakeProc("/p/self")(e, b)
	})
}

func withFakeProc(target string) func(*harness.Env, *harness.Bundle) {
	return func(e *harness.Env, b *harness.Bundle) {
		source := filepath.Join(e.Dir, "fake-proc")
		_ = os.MkdirAll(source+"/self/attr", 0o755)
		b.Edit(mount("bind", source, target, "bind"))
	}
}

// fakeProc has a sysctl written and a path masked; neither may go to the fake, and the program may
// not see it.
func fakeProc(t *testing.T, what string, attack func(*harness.Env, *harness.Bundle)) {
	t.Helper()
	t.Run(what, func(t *testing.T) {
		e := harness.New(t)
		b := e.Bundle(sh("test -e /proc/self/stat || echo reached"), harness.WritableRoot, func(s *spec) {
			s.Linux.Sysctl = map[string]string{"kernel.msgmax": "4711"}
		})
		attack(e, b)
		refused(e, what, b, "/p")
	})
}

// Every write below /proc goes through a procfs that no name leads to, also when the name is
// exchanged meanwhile (youki's is CVE-2025-62596).
func TestCVE_2025_52881(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(sh("cat /proc/sys/kernel/msgmax"), func(s *spec) { s.Linux.Sysctl = map[string]string{"kernel.msgmax": "4711"} })
	fake := mkdir(t, b.Rootfs+"/fake/sys/kernel") + "/msgmax"
	if err := os.WriteFile(fake, []byte("untouched\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	mkdir(t, b.Rootfs+"/fake/self/attr")
	link(t, b, "procs", "fake")
	host := e.Read("/proc/sys/kernel/msgmax")
	stop := exchange(t, b.Rootfs+"/proc", b.Rootfs+"/procs")
	defer stop()
	done := 0
	for range rounds(25) {
		if r := e.Do("run", "-b", b.Dir, e.ID("c")); r.Code == 0 {
			done++
			if r.Stdout != "4711\n" && r.Stdout != "untouched\n" && r.Stdout != "" {
				t.Errorf("the program sees %q", r.Stdout)
			}
		}
		wantEqual(t, "the fake", e.Read(fake), "untouched\n")
		wantEqual(t, "the host's", e.Read("/proc/sys/kernel/msgmax"), host)
	}
	t.Logf("%d of the containers ran", done)
}

func TestCVE_2025_62596(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(sh("reached"), everyCapability, func(s *spec) {
		s.Linux.Sysctl = map[string]string{"kernel.msgmax": "4711"}
		// A procfs whose files are others': /proc/sys/kernel bound over by what a volume brings.
		s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: mkdir(t, filepath.Join(e.Dir, "kernel")), Destination: "/proc/sys/kernel", Options: []string{"bind"}})
	})
	refused(e, "a volume over /proc/sys/kernel", b, "/proc")
}

// The list of devices is what is allowed beyond nothing, never what is denied beyond everything.
func TestGHSA_g54h_m393_cpwq(t *testing.T) {
	e := harness.New(t)
	attack := "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem; mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg | head -n 1; " +
		"for n in 0 1 2 16; do mknod /tmp/disk$n b 254 $n && head -c 1 /tmp/disk$n; mknod /tmp/loop$n b 7 $n && head -c 1 /tmp/loop$n; done; true"
	rule := func(allow bool, kind, access string, major int64) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: access, Major: &major}
	}
	for what, rules := range map[string][]specs.LinuxDeviceCgroup{
		"no list":         nil,
		"an empty list":   {},
		"one denial":      {rule(false, "c", "rwm", 4)},
		"one allowance":   {rule(true, "c", "rwm", 10)},
		"denials of some": {rule(false, "b", "w", 8), rule(false, "c", "r", 1)},
	} {
		b := e.Bundle(sh(attack), everyCapability, mount("tmpfs", "tmpfs", "/tmp"), func(s *spec) { s.Linux.Resources = &specs.LinuxResources{Devices: rules} })
		r := e.Do("run", "-b", b.Dir, e.ID("c"))
		if r.Stdout != "" {
			t.Errorf("%s: read %q from a device of the host", what, r.Stdout)
		}
		if !strings.Contains(r.Stderr, "Operation not permitted") {
			t.Errorf("%s: %s", what, r)
		}
	}
}

// Without a cgroup namespace /sys/fs/cgroup is the host's: it must not be writable, below a bind
// mount of /sys neither.
func TestCVE_2023_25809(t *testing.T) {
	e := harness.New(t)
	check := func(what, table string) {
		t.Helper()
		seen := harness.ReadMounts(table)
		n := 0
		for place, m := range seen {
			if place == "/sys/fs/cgroup" || strings.HasPrefix(place, "/sys/fs/cgroup/") {
				n++
				if m.Order < seen["/sys/fs/cgroup"].Order {
					continue // covered by the mount on /sys/fs/cgroup
				}
				if !m.HasItself("ro") && !(m.Type == "tmpfs" && !harness.IsRunack()) {
					t.Errorf("%s: %s can be written to: %+v", what, place, m)
				}
			}
		}
		if n == 0 {
			t.Errorf("%s: nothing is mounted there", what)
		}
	}
	show := harness.Args("/bin/cat", "/proc/self/mountinfo")
	hosts := harness.WithoutNamespace(specs.CgroupNamespace)
	check("by default", e.Run(show, hosts))
	check("with a user namespace", e.OK("run", "-b", userNS(e.Bundle(show, hosts)).Dir, e.ID("u")))
	bindSys := func(s *spec) {
		for i := range s.Mounts {
			if s.Mounts[i].Destination == "/sys" {
				s.Mounts[i] = specs.Mount{Destination: "/sys", Type: "none", Source: "/sys", Options: []string{"rbind", "nosuid", "noexec", "nodev", "ro"}}
			}
		}
	}
	// As `spec --rootless` writes it: the bind mount of /sys is read-only by itself, and what is below
	// is covered by the cgroup mount.
	check("with the host's /sys", e.OK("run", "-b", userNS(e.Bundle(show, hosts, bindSys)).Dir, e.ID("s")))
}

// /dev/null of the image is what files are masked with, unless somebody looks.
func TestCVE_2025_31133(t *testing.T) {
	e := harness.New(t)
	host := e.Read("/proc/sys/kernel/core_pattern")
	for name, attack := range map[string]func(b *harness.Bundle){
		"a link to what is masked": func(b *harness.Bundle) { link(t, b, "dev/null", "/proc/sys/kernel/core_pattern") },
		"a file":                   func(b *harness.Bundle) { write(t, b, "dev/null", "reached\n") },
		"another device":           func(b *harness.Bundle) { mknod(t, b, "dev/null", 1, 5) },
		"a directory":              func(b *harness.Bundle) { mkdir(t, b.Rootfs+"/dev/null") },
	} {
		// No /dev is mounted, so that the image's own serves.
		b := e.Bundle(sh("echo reached; echo '|/evil' >/proc/sys/kernel/core_pattern; head -c 9 /proc/timer_list"), everyCapability, harness.WritableRoot,
			harness.WithoutMount("/dev"), harness.WithoutMount("/dev/pts"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"))
		attack(b)
		refused(e, name, b, "/dev/null")
		wantEqual(t, "the host's core_pattern", e.Read("/proc/sys/kernel/core_pattern"), host)
	}
}

// The same as a race (youki's is this one): the name changes between the look and the mount.
func TestCVE_2025_62161(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(sh("head -c 9 /proc/timer_list; stat -c %t:%T /proc/timer_list"), everyCapability, harness.WritableRoot,
		harness.WithoutMount("/dev"), harness.WithoutMount("/dev/pts"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"))
	mknod(t, b, "dev/null", 1, 3)
	link(t, b, "dev/other", "/proc/sys/kernel/core_pattern")
	// The runtime looks at the name several times, and has to find the device each time to get to the
	// masks: so the false one is there for moments only.
	stop := flash(t, b.Rootfs+"/dev/null", b.Rootfs+"/dev/other")
	defer stop()
	done, wrong := 0, 0
	for range rounds(30) {
		r := e.Do("run", "-b", b.Dir, e.ID("c"))
		if r.Code != 0 {
			wrong++
			continue
		}
		done++
		if !strings.HasSuffix(r.Stdout, "1:3\n") {
			t.Errorf("masked by something else: %q", r.Stdout)
		}
	}
	t.Logf("%d masked by the null device, %d refused", done, wrong)
	if done == 0 {
		t.Error("no container ran, so the masks were not seen")
	}
}

func write(t testing.TB, b *harness.Bundle, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.Rootfs, name), []byte(text), 0o777); err != nil {
		t.Fatal(err)
	}
}

func mknod(t testing.TB, b *harness.Bundle, name string, major, minor uint32) {
	t.Helper()
	path := filepath.Join(b.Rootfs, name)
	if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(major, minor))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
}

// The terminal that goes over /dev/console comes from the kernel and not from a name.
func TestCVE_2025_52565(t *testing.T) {
	e := harness.New(t)
	v := newVictim(e)
	b := e.Bundle(sh("tty; stat -c %t /dev/console; cat /dev/console </dev/null"), everyCapability, harness.WritableRoot, harness.WithoutMount("/dev"),
		harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"), func(s *spec) { s.Process.Terminal = true })
	socket := filepath.Join(e.Dir, "console.sock")
	listener := listen(t, socket)
	defer listener.Close()
	attack := func(name string) (refusal string) {
		r := e.Do("run", "-d", "--console-socket", socket, "-b", b.Dir, e.ID("c"))
		v.check()
		if r.Code == 0 {
			e.OK("delete", "-f", e.ID("c"))
		}
		t.Logf("%s: exit code %d", name, r.Code)
		return r.Stderr
	}
	link(t, b, "dev/console", v.path+"/file")
	wantContains(t, "the refusal", attack("/dev/console is a link to a file of the host's"), "/dev/console")
	link(t, b, "dev/console", "/proc/sysrq-trigger")
	wantContains(t, "the refusal", attack("/dev/console is a link into /proc"), "/dev/console")
	if err := os.Remove(b.Rootfs + "/dev/console"); err != nil {
		t.Fatal(err)
	}
	write(t, b, "dev/console", "")
	link(t, b, "dev/other", "/proc/sysrq-trigger")
	stop := exchange(t, b.Rootfs+"/dev/console", b.Rootfs+"/dev/other")
	for range rounds(10) {
		attack("/dev/console is exchanged")
	}
	stop()
}

// The image's /dev is a link, and no file system is mounted there.
func TestCVE_2026_41579(t *testing.T) { devIsALink(t, "%s") }

// The same with a name that climbs.
func TestCVE_2026_47766(t *testing.T) { devIsALink(t, "../../../../../../../../../..%s") }

func devIsALink(t *testing.T, target string) {
	e := harness.New(t)
	v := newVictim(e)
	b := e.Bundle(sh("ls /"), harness.WritableRoot, everyCapability, harness.WithoutMount("/dev"), harness.WithoutMount("/dev/pts"),
		harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"))
	link(t, b, "dev", fmt.Sprintf(target, v.path))
	_ = e.Do("run", "-b", b.Dir, e.ID("c")) // it may run, with its devices at that name below its own root
	v.check()
	// With a terminal, whose console would be made there too.
	socket := filepath.Join(e.Dir, "console.sock")
	listener := listen(t, socket)
	defer listener.Close()
	b.Edit(func(s *spec) { s.Process.Terminal = true })
	if r := e.Do("run", "-d", "--console-socket", socket, "-b", b.Dir, e.ID("t")); r.Code == 0 {
		e.OK("delete", "-f", e.ID("t"))
	}
	v.check()
}

// There is no fresh /dev, and the image's names in it are links.
func TestCVE_2026_88264(t *testing.T) {
	devicesAreLinks(t, "null", "zero", "full", "random", "urandom", "tty")
}

// The links that the runtime makes, and those that it replaces.
func TestCVE_2026_88265(t *testing.T) {
	devicesAreLinks(t, "ptmx", "fd", "stdin", "stdout", "stderr", "core", "console")
}

func devicesAreLinks(t *testing.T, names ...string) {
	e := harness.New(t)
	v := newVictim(e)
	targets := []string{v.path + "/file", v.path + "/new", "../../../../../.." + v.path + "/new"}
	for i, name := range names {
		some := targets[i%len(targets):][:1]
		if os.Getenv("RUNACK_SOAK") != "" {
			some = targets
		}
		for _, target := range some {
			b := e.Bundle(sh("echo x >/dev/"+name+"; ls -l /dev"), harness.WritableRoot, everyCapability, harness.WithoutMount("/dev"),
				harness.WithoutMount("/dev/pts"), harness.WithoutMount("/dev/shm"), harness.WithoutMount("/dev/mqueue"))
			link(t, b, "dev/"+name, target)
			_ = e.Do("run", "-b", b.Dir, e.ID("c")) // it may run: the name is the image's own affair
			v.check()
		}
	}
}

// Bundles that a checkpoint names: while there is no restore, there is nothing to attack.
func TestCVE_2026_119101(t *testing.T) { noRestore(t) }

// The second name of the same.
func TestCVE_2026_115520(t *testing.T) { noRestore(t) }

func noRestore(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("has a restore")
	if r := e.Do("restore", e.ID("c")); r.Code == 0 || !strings.Contains(r.Stderr, "restore is not supported") {
		t.Fatalf("there is a restore now, and nobody has attacked it: %s", r)
	}
}

// What the host mounted read-only, or without set-user-ID programs, is not the container's root to
// change, though it has all capabilities over its user namespace; also where the runtime had to open
// the source for it, and where the mount is id-mapped.
func TestFlagsOfTheHostsMountsStayLocked(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 fails wherever an access time mode is locked")
	closed := mkdir(t, filepath.Join(e.Dir, "closed"))
	source := mkdir(t, closed+"/source")
	if err := unix.Mount("tmpfs", source, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(source, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string][]string{"bind": {"bind"}, "id-mapped": {"bind", "idmap"}} {
		b := userNS(e.Bundle(everyCapability, harness.WritableRoot, mount("bind", source, "/mnt", options...),
			sh("for o in rw suid dev exec rw,suid,dev,exec; do mount -o remount,bind,$o /mnt && echo reached $o; done; grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6")))
		out := strings.Replace(e.OK("run", "-b", b.Dir, e.ID("c")), ",idmapped", "", 1)
		wantEqual(t, name, out, "ro,nosuid,nodev,noexec,relatime\n")
	}
}
