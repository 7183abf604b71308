package plan

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	attrRO    = unix.MOUNT_ATTR_RDONLY
	noSuidDev = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
)

// rootfsPart gives the steps between root and mounted that are not about /dev.
func rootfsPart(p *Plan) []Step {
	var part []Step
	on := false
	for _, s := range p.Steps {
		switch s.(type) {
		case Root:
			on = true
			continue
		case SyncMounted:
			return part
		case Device:
			continue
		}
		if l, ok := s.(Symlink); ok && strings.HasPrefix(l.Path, "/dev/") {
			continue
		}
		if on {
			part = append(part, s)
		}
	}
	return part
}

func TestMounts(t *testing.T) {
	for _, test := range []struct {
		name  string
		mount specs.Mount
		also  func(*specs.Spec)
		f     Facts
		want  []Step
	}{
		{"proc", specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev"}}, nil, Facts{},
			[]Step{Mount{Target: "/proc", Type: "proc", Source: "proc", Set: noSuidDev}}},
		{"read-only is the super block's and the mount's", specs.Mount{Destination: "/sys", Type: "sysfs", Source: "s", Options: []string{"ro"}}, nil, Facts{},
			[]Step{Mount{Target: "/sys", Type: "sysfs", Source: "s", Set: attrRO, SBFlags: unix.MS_RDONLY}}},
		{"but later for a tmpfs", specs.Mount{Destination: "/t", Type: "tmpfs", Source: "s", Options: []string{"ro", "size=1k"}}, nil, Facts{},
			[]Step{Mount{Target: "/t", Type: "tmpfs", Source: "s", Options: []string{"size=1k"}}}},
		{"and for /dev of any type", specs.Mount{Destination: "/dev/", Type: "devtmpfs", Source: "s", Options: []string{"ro"}}, nil, Facts{},
			[]Step{Mount{Target: "/dev", Type: "devtmpfs", Source: "s"}}},
		{"super block flags", specs.Mount{Destination: "/x", Type: "ext4", Source: "/dev/vda", Options: []string{"sync", "dirsync", "lazytime", "mand", "iversion", "silent", "noatime", "data=ordered"}}, nil, Facts{},
			[]Step{Mount{Target: "/x", Type: "ext4", Source: "/dev/vda", Set: unix.MOUNT_ATTR_NOATIME, SBFlags: unix.MS_SYNCHRONOUS | unix.MS_DIRSYNC | unix.MS_LAZYTIME | unix.MS_MANDLOCK | unix.MS_I_VERSION | unix.MS_SILENT, Options: []string{"data=ordered"}}}},
		{"recursive attributes and propagation of a new mount", specs.Mount{Destination: "/x", Type: "tmpfs", Source: "s", Options: []string{"rro", "shared", "unbindable"}}, nil, Facts{},
			[]Step{Mount{Target: "/x", Type: "tmpfs", Source: "s", RecSet: attrRO, Propagation: []uint64{unix.MS_SHARED, unix.MS_UNBINDABLE}}}},
		{"copy up", specs.Mount{Destination: "/x", Type: "tmpfs", Source: "s", Options: []string{"tmpcopyup"}}, nil, Facts{},
			[]Step{Mount{Target: "/x", Type: "tmpfs", Source: "s", CopyUp: true}}},
		{"label", specs.Mount{Destination: "/x", Type: "tmpfs", Source: "s"}, func(s *specs.Spec) { s.Linux.MountLabel = "u:r:t:s0:c1,c2" }, Facts{SELinux: true},
			[]Step{Mount{Target: "/x", Type: "tmpfs", Source: "s", Label: "u:r:t:s0:c1,c2"}}},
		{"no label for proc", specs.Mount{Destination: "/proc", Type: "proc", Source: "s"}, func(s *specs.Spec) { s.Linux.MountLabel = "l" }, Facts{SELinux: true},
			[]Step{Mount{Target: "/proc", Type: "proc", Source: "s"}}},
		{"relative destination", specs.Mount{Destination: "a/../b", Type: "tmpfs", Source: "s"}, nil, Facts{},
			[]Step{Mount{Target: "/b", Type: "tmpfs", Source: "s"}}},
		{"destination below the root's own path", specs.Mount{Destination: "/b/rootfs/c", Type: "tmpfs", Source: "s"}, nil, Facts{},
			[]Step{Mount{Target: "/c", Type: "tmpfs", Source: "s"}}},
		{"a longer name is not below it", specs.Mount{Destination: "/b/rootfs2/c", Type: "tmpfs", Source: "s"}, nil, Facts{},
			[]Step{Mount{Target: "/b/rootfs2/c", Type: "tmpfs", Source: "s"}}},
		{"lxcfs", specs.Mount{Destination: "/proc/cpuinfo", Source: "/l", Options: []string{"bind"}}, nil, Facts{},
			[]Step{Bind{Target: "/proc/cpuinfo", Source: "/l"}}},
		{"bind", specs.Mount{Destination: "/x", Type: "none", Source: "/s", Options: []string{"rbind", "rslave"}}, nil, Facts{},
			[]Step{Bind{Target: "/x", Source: "/s", Recursive: true, Propagation: []uint64{unix.MS_SLAVE | unix.MS_REC}}}},
		{"bind by type", specs.Mount{Destination: "/x", Type: "bind", Source: "/s"}, nil, Facts{},
			[]Step{Bind{Target: "/x", Source: "/s"}}},
		{"bind of a bundle's file", specs.Mount{Destination: "/x", Source: "s/../f", Options: []string{"bind", "ro"}}, nil, Facts{},
			[]Step{Bind{Target: "/x", Source: "/b/f", Set: attrRO, Clear: plainAttrs &^ attrRO}}},
		{"bind procfs on /proc", specs.Mount{Destination: "/proc", Source: "/proc", Options: []string{"rbind"}}, nil, Facts{},
			[]Step{Bind{Target: "/proc", Source: "/proc", Recursive: true}}},
		{"bind with recursive attributes", specs.Mount{Destination: "/x", Source: "/s", Options: []string{"rbind", "rro", "rsuid", "ratime"}}, nil, Facts{},
			[]Step{Bind{Target: "/x", Source: "/s", Recursive: true, RecSet: attrRO, RecClear: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR__ATIME}}},
		{"remount the mount", specs.Mount{Destination: "/x", Options: []string{"remount", "bind", "ro", "nosuid"}}, nil, Facts{},
			[]Step{Remount{Target: "/x", Bind: true, Set: attrRO | unix.MOUNT_ATTR_NOSUID, Clear: plainAttrs &^ (attrRO | unix.MOUNT_ATTR_NOSUID)}}},
		{"remount the file system", specs.Mount{Destination: "/x", Type: "ext4", Options: []string{"remount", "ro", "noatime", "commit=5"}}, nil, Facts{},
			[]Step{Remount{Target: "/x", SBFlags: unix.MS_RDONLY, Options: []string{"commit=5"}, Set: attrRO | unix.MOUNT_ATTR_NOATIME, Clear: plainAttrs&^attrRO | unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NODIRATIME}}},
		{"remount keeps the time mode", specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"remount", "size=2k"}}, nil, Facts{},
			[]Step{Remount{Target: "/x", Options: []string{"size=2k"}, Clear: plainAttrs}}},
		{"sysfs that a user namespace may be refused", specs.Mount{Destination: "/sys", Type: "sysfs", Source: "s"}, userNS, Facts{},
			[]Step{Mount{Target: "/sys", Type: "sysfs", Source: "s", Refused: "bind", Instead: "/sys"}}},
		{"sysfs inside somebody's user namespace", specs.Mount{Destination: "/sys", Type: "sysfs", Source: "s"}, nil, Facts{InUserNS: true},
			[]Step{Mount{Target: "/sys", Type: "sysfs", Source: "s", Refused: "bind", Instead: "/sys"}}},
		{"proc of the host's processes", specs.Mount{Destination: "/proc", Type: "proc", Source: "s"},
			func(s *specs.Spec) { userNS(s); without(s, specs.PIDNamespace) }, Facts{},
			[]Step{Mount{Target: "/proc", Type: "proc", Source: "s", Refused: "bind", Instead: "/proc"}}},
		{"the host's proc is no substitute for one's own", specs.Mount{Destination: "/proc", Type: "proc", Source: "s"}, userNS, Facts{},
			[]Step{Mount{Target: "/proc", Type: "proc", Source: "s"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustCreate(t, with(func(s *specs.Spec) {
				s.Mounts = []specs.Mount{test.mount}
				if test.also != nil {
					test.also(s)
				}
			}), test.f, Options{})
			if got := rootfsPart(p); !reflect.DeepEqual(got, test.want) {
				t.Errorf("\n got %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestLateReadonly(t *testing.T) {
	p := mustCreate(t, with(mounts(
		specs.Mount{Destination: "/dev", Type: "tmpfs", Options: []string{"ro"}},
		specs.Mount{Destination: "/t", Type: "tmpfs", Options: []string{"ro"}},
		specs.Mount{Destination: "/rw", Type: "tmpfs", Options: []string{"ro", "rw"}},
		specs.Mount{Destination: "/s", Type: "sysfs", Options: []string{"ro"}},
		specs.Mount{Destination: "/cg", Type: "cgroup", Options: []string{"ro"}},
	)), Facts{}, Options{})
	want := []MountAttr{{"/dev", attrRO}, {"/t", attrRO}, {"/cg", attrRO}}
	if got := stepsOf[MountAttr](p); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	p = mustCreate(t, with(mounts(specs.Mount{Destination: "/dev", Source: "/dev", Options: []string{"rbind", "ro"}},
		specs.Mount{Destination: "/cg", Type: "cgroup", Options: []string{"ro"}})), v2Facts(), Options{})
	if got := stepsOf[MountAttr](p); got != nil {
		t.Errorf("%+v", got)
	}
}

func TestCgroupMount(t *testing.T) {
	entry := func(options ...string) specs.Mount {
		return specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: options}
	}
	ownCgroup := func(s *specs.Spec) { namespace(s, specs.CgroupNamespace, "") }
	tmpfs := Mount{Target: "/sys/fs/cgroup", Type: "tmpfs", Source: "tmpfs", Set: cgroupAttrs, Options: []string{"mode=755"}}
	links := []Step{
		Symlink{Path: "/sys/fs/cgroup/cpu", Target: "cpu,cpuacct", Keep: true},
		Symlink{Path: "/sys/fs/cgroup/cpuacct", Target: "cpu,cpuacct", Keep: true},
	}
	v1Bind := func(name, source string, set uint64) Bind {
		return Bind{Target: "/sys/fs/cgroup/" + name, Source: source, Recursive: true, Set: set, Clear: plainAttrs &^ set}
	}
	v1New := func(name, source string, set uint64, controllers ...string) Mount {
		return Mount{Target: "/sys/fs/cgroup/" + name, Type: "cgroup", Source: source, Set: cgroupAttrs | set, Options: controllers}
	}
	for _, test := range []struct {
		name  string
		mount specs.Mount
		also  func(*specs.Spec)
		f     Facts
		want  []Step
	}{
		{"v1: the container's own directories", entry("ro", "nosuid"), nil, hybridFacts(), append([]Step{
			tmpfs,
			v1Bind("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/c1", attrRO|unix.MOUNT_ATTR_NOSUID),
			v1Bind("memory", "/sys/fs/cgroup/memory/c1", attrRO|unix.MOUNT_ATTR_NOSUID),
			v1Bind("pids", "/sys/fs/cgroup/pids/user.slice", attrRO|unix.MOUNT_ATTR_NOSUID), // it has none: the runtime's
			v1Bind("systemd", "/sys/fs/cgroup/systemd/c1", attrRO|unix.MOUNT_ATTR_NOSUID),
		}, links...)},
		{"v1: cgroup namespace", entry("ro"), ownCgroup, hybridFacts(), append([]Step{
			tmpfs,
			v1New("cpu,cpuacct", "cgroup", attrRO, "cpu", "cpuacct"),
			v1New("memory", "cgroup", attrRO, "memory"),
			v1New("pids", "cgroup", attrRO, "pids"),
			v1New("systemd", "systemd", attrRO, "name=systemd"),
		}, links...)},
		{"v1: writable", entry("rw"), ownCgroup, Facts{CgroupVersion: "v1", CgroupMounts: map[string]string{"memory": "/cg/memory"}},
			[]Step{tmpfs, v1New("memory", "cgroup", 0, "memory")}},
		{"v1: no cgroup of its own and none known: read-only", entry("rw"), nil, Facts{CgroupVersion: "v1", CgroupMounts: map[string]string{"memory": "/cg/memory"}},
			[]Step{tmpfs, Bind{Target: "/sys/fs/cgroup/memory", Source: "/cg/memory", Recursive: true, Set: attrRO, Clear: plainAttrs &^ attrRO}}},
		{"v2: the host's mount is bound, not mounted anew", entry("ro", "nosuid", "relatime"), nil, v2Facts(),
			[]Step{Bind{Target: "/sys/fs/cgroup", Source: "/sys/fs/cgroup", Set: attrRO | unix.MOUNT_ATTR_NOSUID,
				Clear: plainAttrs&^(attrRO|unix.MOUNT_ATTR_NOSUID) | unix.MOUNT_ATTR__ATIME | unix.MOUNT_ATTR_NODIRATIME}}},
		{"v2: cgroup namespace", entry("ro", "nosuid", "shared"), ownCgroup, v2Facts(),
			[]Step{Mount{Target: "/sys/fs/cgroup", Type: "cgroup2", Source: "cgroup", Set: attrRO | unix.MOUNT_ATTR_NOSUID,
				Propagation: []uint64{unix.MS_SHARED}, Refused: "bind", Instead: "/sys/fs/cgroup/c1"}}},
		{"v2: no cgroup of its own", entry(), ownCgroup, Facts{CgroupVersion: "v2", CgroupMounts: map[string]string{"": "/sys/fs/cgroup"}},
			[]Step{Mount{Target: "/sys/fs/cgroup", Type: "cgroup2", Source: "cgroup"}}},
		{"type cgroup2 on v2", specs.Mount{Destination: "/c", Type: "cgroup2", Source: "x"}, nil, v2Facts(),
			[]Step{Bind{Target: "/c", Source: "/sys/fs/cgroup"}}},
		{"type cgroup2 on a hybrid host", specs.Mount{Destination: "/c", Type: "cgroup2", Source: "x"}, nil, hybridFacts(),
			[]Step{Mount{Target: "/c", Type: "cgroup2", Source: "x"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustCreate(t, with(func(s *specs.Spec) {
				s.Mounts = []specs.Mount{test.mount}
				if test.also != nil {
					test.also(s)
				}
			}), test.f, Options{})
			if got := rootfsPart(p); !reflect.DeepEqual(got, test.want) {
				t.Errorf("\n got %+v\nwant %+v", got, test.want)
			}
		})
	}
	if _, err := Create(with(mounts(entry())), "/b", "/r", Facts{CgroupVersion: "none"}, Options{}); err == nil {
		t.Error("a cgroup mount on a host without cgroups")
	}
}

func TestSources(t *testing.T) {
	bind := func(options ...string) specs.Mount {
		return specs.Mount{Destination: "/x", Source: "/s", Options: append([]string{"rbind"}, options...)}
	}
	mapped := bind()
	mapped.UIDMappings = []specs.LinuxIDMapping{{HostID: 5, Size: 1}}
	mapped.GIDMappings = []specs.LinuxIDMapping{{HostID: 6, Size: 1}}
	unreachable := Facts{Sources: map[string]SourceFact{"/s": {Unreachable: true}}}
	slave := uint64(unix.MS_SLAVE | unix.MS_REC)
	tree := Source{Kind: SourceTree, Path: "/s", Recursive: true, Propagation: slave, Field: "mounts[0].source"}
	withMap := func(m IDMap) *Source {
		s := tree
		s.IDMap = &m
		return &s
	}
	for _, test := range []struct {
		name  string
		mount specs.Mount
		also  func(*specs.Spec)
		f     Facts
		want  *Source
	}{
		{"plain", bind(), nil, Facts{}, nil},
		{"unreachable for nobody", bind(), nil, unreachable, nil},
		{"unreachable for the mapped root", bind(), userNS, unreachable, &tree},
		{"reachable", bind(), userNS, Facts{}, nil},
		{"rootless cannot help", bind(), userNS, Facts{Rootless: true, Sources: unreachable.Sources}, nil},
		{"mappings of its own", mapped, nil, Facts{}, withMap(IDMap{UIDMappings: mapped.UIDMappings, GIDMappings: mapped.GIDMappings})},
		{"the container's mappings", bind("ridmap"), userNS, Facts{}, withMap(IDMap{
			UIDMappings: []specs.LinuxIDMapping{{HostID: 1000, Size: 10}}, GIDMappings: []specs.LinuxIDMapping{{HostID: 2000, Size: 10}}, Recursive: true})},
		{"a joined namespace's", bind("idmap"), func(s *specs.Spec) { namespace(s, specs.UserNamespace, "/ns/u") }, Facts{}, withMap(IDMap{UserNS: "/ns/u"})},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustCreate(t, with(func(s *specs.Spec) {
				s.Mounts = []specs.Mount{test.mount}
				if test.also != nil {
					test.also(s)
				}
			}), test.f, Options{})
			fd := one[Bind](t, p).FD
			if test.want == nil {
				if fd != nil {
					t.Errorf("source %+v", p.Sources[*fd])
				}
				return
			}
			if fd == nil {
				t.Fatal("no descriptor")
			}
			if got := p.Sources[*fd]; !reflect.DeepEqual(&got, test.want) {
				t.Errorf("\n got %+v %+v\nwant %+v %+v", got, got.IDMap, test.want, test.want.IDMap)
			}
		})
	}
	if _, err := Create(with(mounts(mapped)), "/b", "/r", Facts{Rootless: true}, Options{}); err == nil {
		t.Error("an ID-mapped mount without root")
	}
}

func TestClonesFollowTheRootsPropagation(t *testing.T) {
	for _, test := range []struct {
		word string
		want uint64
	}{
		{"", unix.MS_SLAVE | unix.MS_REC}, {"private", unix.MS_PRIVATE | unix.MS_REC}, {"rslave", unix.MS_SLAVE | unix.MS_REC},
		{"shared", 0}, {"rshared", 0},
	} {
		p := mustCreate(t, with(func(s *specs.Spec) {
			userNS(s)
			s.Linux.RootfsPropagation = test.word
			s.Mounts = []specs.Mount{{Destination: "/x", Source: "/s", Options: []string{"bind"}}}
		}), Facts{Sources: map[string]SourceFact{"/s": {Unreachable: true}}}, Options{})
		if got := p.Sources[*one[Bind](t, p).FD].Propagation; got != test.want {
			t.Errorf("%q: %#x, want %#x", test.word, got, test.want)
		}
	}
}

func TestDevices(t *testing.T) {
	mode, id := os.FileMode(0o20640), uint32(9)
	spec := with(func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{
			{Path: "/dev/tty", Type: "c", Major: 5, Minor: 0, FileMode: &mode, UID: &id, GID: &id},
			{Path: "/dev/ptmx", Type: "c", Major: 5, Minor: 2},
			{Path: "/dev/pipe", Type: "p", Major: 7},
			{Path: "/dev/u", Type: "u", Major: 1, Minor: 2},
		}
	})
	got := stepsOf[Device](mustCreate(t, spec, Facts{}, Options{}))
	if len(got) != 8 {
		t.Fatalf("%+v", got)
	}
	want := []Device{
		{Path: "/dev/tty", Type: "c", Major: 5, Mode: 0o640, UID: 9, GID: 9},
		{Path: "/dev/pipe", Type: "p", Mode: 0o666},
		{Path: "/dev/u", Type: "c", Major: 1, Minor: 2, Mode: 0o666},
	}
	if !slices.Equal(got[5:], want) {
		t.Errorf("%+v", got[5:])
	}
	for _, d := range got[:5] {
		if d.Path == "/dev/tty" {
			t.Error("the default /dev/tty although there is another")
		}
	}
	for _, change := range []struct {
		spec func(*specs.Spec)
		f    Facts
	}{{userNS, Facts{}}, {func(*specs.Spec) {}, Facts{InUserNS: true}}} {
		for _, d := range stepsOf[Device](mustCreate(t, with(func(s *specs.Spec) { s.Linux.Devices = spec.Linux.Devices; change.spec(s) }), change.f, Options{})) {
			if d.Bind != (d.Type != "p") {
				t.Errorf("%+v", d)
			}
		}
	}
}

func TestOwnDev(t *testing.T) {
	for _, test := range []struct {
		name  string
		mount []specs.Mount
		own   bool
	}{
		{"no mount", nil, true},
		{"tmpfs", []specs.Mount{{Destination: "/dev", Type: "tmpfs"}}, true},
		{"bind", []specs.Mount{{Destination: "/x/../dev/", Source: "/dev", Options: []string{"rbind"}}}, false},
		{"bind below", []specs.Mount{{Destination: "/dev/x", Source: "/dev", Options: []string{"rbind"}}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := mustCreate(t, with(mounts(test.mount...)), Facts{}, Options{})
			if got := len(stepsOf[Device](p)) > 0; got != test.own {
				t.Errorf("devices %v", got)
			}
			if got := len(stepsOf[Symlink](p)) > 0; got != test.own {
				t.Errorf("links %v", got)
			}
			if got := one[Pivot](t, p).DevNull; got != test.own {
				t.Errorf("reopens /dev/null: %v", got)
			}
		})
	}
	core := Symlink{Path: "/dev/core", Target: "/proc/kcore", Keep: true}
	for _, kcore := range []bool{false, true} {
		if got := slices.Contains(stepsOf[Symlink](mustCreate(t, base(), Facts{Kcore: kcore}, Options{})), core); got != kcore {
			t.Errorf("kcore %v: link %v", kcore, got)
		}
	}
}

func TestPureAndDeterministic(t *testing.T) {
	spec := loadSpec(t, "docker")
	before := loadSpec(t, "docker")
	f := hybridFacts()
	var first string
	for i := range 20 {
		p, err := Create(spec, "/b", "/r", f, Options{ID: "c1", Seccomp: filter, ListenFDs: 1})
		if err != nil {
			t.Fatal(err)
		}
		wire, err := p.WireSteps()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = string(wire)
		} else if string(wire) != first {
			t.Fatalf("differs:\n%s\n%s", first, wire)
		}
	}
	if !reflect.DeepEqual(spec, before) {
		t.Error("the configuration was changed")
	}
}
