//go:build cgo

package plan

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// convert asks libcontainer what a configuration means.
func convert(t testing.TB, spec *specs.Spec, o specconv.CreateOpts) *configs.Config {
	t.Helper()
	for _, d := range specconv.AllowedDevices {
		d.Uid, d.Gid = 0, 0 // a package variable, in which every conversion with a user namespace leaves its traces
	}
	o.CgroupName, o.Spec = "c1", spec
	c, err := specconv.CreateLibcontainerConfig(&o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func oracleMount(t testing.TB, options []string) *configs.Mount {
	t.Helper()
	spec := &specs.Spec{
		Root:   &specs.Root{Path: "/rootfs"},
		Mounts: []specs.Mount{{Destination: "/x", Type: "tmpfs", Source: "/src", Options: options}},
	}
	return convert(t, spec, specconv.CreateOpts{}).Mounts[0]
}

// sameAsOracle compares our reading of options with libcontainer's.
func sameAsOracle(t *testing.T, options []string) {
	t.Helper()
	got, want := parseOptions(options), oracleMount(t, options)
	if got.flags != uint64(want.Flags) || got.cleared != uint64(want.ClearedFlags) {
		t.Errorf("%q: flags %#x cleared %#x, libcontainer %#x and %#x", options, got.flags, got.cleared, want.Flags, want.ClearedFlags)
	}
	var propagation []uint64
	for _, f := range want.PropagationFlags {
		propagation = append(propagation, uint64(f))
	}
	if !slices.Equal(got.propagation, propagation) {
		t.Errorf("%q: propagation %#x, libcontainer %#x", options, got.propagation, propagation)
	}
	var set, clear uint64
	if want.RecAttr != nil {
		set, clear = want.RecAttr.Attr_set, want.RecAttr.Attr_clr
	}
	if got.recSet != set || got.recClear != clear {
		t.Errorf("%q: recursive %#x clear %#x, libcontainer %#x and %#x", options, got.recSet, got.recClear, set, clear)
	}
	if got.copyUp != (want.Extensions&configs.EXT_COPYUP != 0) {
		t.Errorf("%q: copy up %v", options, got.copyUp)
	}
	if got.idmap != (want.IDMapping != nil) || got.idmapRec != (want.IDMapping != nil && want.IDMapping.Recursive) {
		t.Errorf("%q: idmap %v recursive %v, libcontainer %+v", options, got.idmap, got.idmapRec, want.IDMapping)
	}
	if data := strings.Join(got.data, ","); data != want.Data {
		t.Errorf("%q: data %q, libcontainer %q", options, data, want.Data)
	}
}

// TestOptionsLikeLibcontainer goes through every option alone and every pair of two.
func TestOptionsLikeLibcontainer(t *testing.T) {
	known := specconv.KnownMountOptions()
	for _, name := range known {
		if _, ok := findOption(name); !ok {
			t.Errorf("%q is missing from the table", name)
		}
	}
	for _, name := range MountOptions() {
		// idmap and ridmap are known to libcontainer, and missing from its list.
		if !slices.Contains(known, name) && name != "idmap" && name != "ridmap" {
			t.Errorf("%q is in no list of libcontainer", name)
		}
	}
	all := append(MountOptions(), "size=1k", "mode=755")
	all = slices.DeleteFunc(all, func(s string) bool { return s == "defaults" }) // see below
	for _, a := range all {
		sameAsOracle(t, []string{a})
		for _, b := range all {
			if !conflicting(a, b) {
				sameAsOracle(t, []string{a, b})
			}
		}
	}
}

// conflicting are two recursive time modes: libcontainer adds their numbers up, which the kernel
// refuses or takes for another one; here the later one holds (TestParseOptions).
func conflicting(a, b string) bool {
	mode := func(s string) bool { return strings.HasPrefix(s, "r") && strings.HasSuffix(s, "atime") }
	return mode(a) && mode(b) && !strings.Contains(a, "dir") && !strings.Contains(b, "dir")
}

// TestDefaultsOption documents a difference: libcontainer hands "defaults" to the file system as
// data, though mount(8) means nothing by it.
func TestDefaultsOption(t *testing.T) {
	if got := oracleMount(t, []string{"defaults"}).Data; got != "defaults" {
		t.Errorf("libcontainer's data is %q now: drop the difference", got)
	}
	if got := parseOptions([]string{"defaults"}); got.data != nil || got.flags != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestRandomOptionsLikeLibcontainer tries longer lists.
func TestRandomOptionsLikeLibcontainer(t *testing.T) {
	names := slices.DeleteFunc(MountOptions(), func(s string) bool { return s == "defaults" || conflicting(s, s) })
	names = append(names, "size=64m", "uid=5", "x")
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var options []string
		for range r.IntN(10) {
			options = append(options, names[r.IntN(len(names))])
		}
		sameAsOracle(t, options)
	}
}

// TestConfigLikeLibcontainer compares the rest of what specconv converts, on the test configurations.
func TestConfigLikeLibcontainer(t *testing.T) {
	for _, name := range []string{"default", "rootless", "docker", "all"} {
		t.Run(name, func(t *testing.T) {
			spec := loadSpec(t, name)
			facts := v2Facts()
			facts.SELinux = true
			p, err := Create(spec, "/b", "/rootfs", facts, Options{ID: "c1", Seccomp: filter})
			if err != nil {
				t.Fatal(err)
			}
			spec.Linux.Seccomp = nil
			c := convert(t, spec, specconv.CreateOpts{})
			compareNamespaces(t, p, c)
			compareDevices(t, p, c)
			compareRest(t, p, c)
		})
	}
}

func compareNamespaces(t *testing.T, p *Plan, c *configs.Config) {
	t.Helper()
	names := map[configs.NamespaceType]specs.LinuxNamespaceType{
		configs.NEWUSER: specs.UserNamespace, configs.NEWTIME: specs.TimeNamespace, configs.NEWPID: specs.PIDNamespace,
		configs.NEWNS: specs.MountNamespace, configs.NEWNET: specs.NetworkNamespace, configs.NEWIPC: specs.IPCNamespace,
		configs.NEWUTS: specs.UTSNamespace, configs.NEWCGROUP: specs.CgroupNamespace,
	}
	for theirs, ours := range names {
		want := Namespace{Type: ours, Mode: Host}
		if c.Namespaces.Contains(theirs) {
			want.Mode, want.Path = New, c.Namespaces.PathOf(theirs)
			if want.Path != "" {
				want.Mode = Joined
			}
		}
		if !slices.Contains(p.Namespaces, want) {
			t.Errorf("namespace %+v is missing from %+v", want, p.Namespaces)
		}
	}
	for _, m := range []struct {
		ours   []specs.LinuxIDMapping
		theirs []configs.IDMap
	}{{p.UIDMappings, c.UIDMappings}, {p.GIDMappings, c.GIDMappings}} {
		if len(m.ours) != len(m.theirs) {
			t.Fatalf("mappings %v, libcontainer %v", m.ours, m.theirs)
		}
		for i, o := range m.ours {
			if w := m.theirs[i]; int64(o.ContainerID) != w.ContainerID || int64(o.HostID) != w.HostID || int64(o.Size) != w.Size {
				t.Errorf("mapping %+v, libcontainer %+v", o, w)
			}
		}
	}
}

func compareDevices(t *testing.T, p *Plan, c *configs.Config) {
	t.Helper()
	ours := stepsOf[Device](p)
	i := 0
	for _, d := range c.Devices {
		if d.Path == "/dev/ptmx" {
			continue
		}
		if i >= len(ours) {
			t.Fatalf("%s is missing", d.Path)
		}
		o := ours[i]
		i++
		if o.Path != d.Path || o.Type != string(d.Type) || o.Mode != uint32(d.FileMode) {
			t.Errorf("%+v, libcontainer %+v", o, d)
		}
		if d.Type != 'p' && (o.Major != d.Major || o.Minor != d.Minor) {
			t.Errorf("%+v, libcontainer %+v", o, d)
		}
		// In a user namespace nodes are bound: libcontainer notes an owner that it never uses.
		if !c.Namespaces.Contains(configs.NEWUSER) && (o.UID != int64(d.Uid) || o.GID != int64(d.Gid)) {
			t.Errorf("%+v, libcontainer %+v", o, d)
		}
		if o.Bind != (c.Namespaces.Contains(configs.NEWUSER) && d.Type != 'p') {
			t.Errorf("%s: bind %v", o.Path, o.Bind)
		}
	}
	if i != len(ours) {
		t.Errorf("%d devices too many: %+v", len(ours)-i, ours[i:])
	}
}

func compareRest(t *testing.T, p *Plan, c *configs.Config) {
	t.Helper()
	if c.Scheduler != nil {
		want, err := configs.ToSchedAttr(c.Scheduler)
		if err != nil {
			t.Fatal(err)
		}
		got := stepsOf[Scheduler](p)
		w := Scheduler{
			Policy: want.Policy, Flags: want.Flags, Nice: want.Nice, Priority: want.Priority,
			Runtime: want.Runtime, Deadline: want.Deadline, Period: want.Period,
		}
		if len(got) != 1 || got[0] != w {
			t.Errorf("scheduler %+v, libcontainer %+v", got, w)
		}
	}
	if m := c.MemoryPolicy; m != nil {
		got := stepsOf[MemoryPolicy](p)
		if len(got) != 1 || got[0].Mode != m.Mode|m.Flags {
			t.Fatalf("memory policy %+v, libcontainer %+v", got, m)
		}
		var nodes unix.CPUSet
		for _, n := range got[0].Nodes {
			nodes.Set(n)
		}
		if m.Nodes != nil && nodes != *m.Nodes {
			t.Errorf("nodes %v", got[0].Nodes)
		}
	}
	if c.Personality != nil {
		if got := stepsOf[Personality](p); len(got) != 1 || got[0].Domain != uint64(c.Personality.Domain) {
			t.Errorf("personality %+v, libcontainer %+v", got, c.Personality)
		}
	}
	dir, err := os.Getwd() // libcontainer's idea of the bundle; ours is /b
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range c.Mounts {
		if m.IDMapping == nil {
			continue
		}
		found := slices.ContainsFunc(p.Sources, func(s Source) bool {
			return s.IDMap != nil && strings.TrimPrefix(s.Path, "/b") == strings.TrimPrefix(m.Source, dir) && s.IDMap.Recursive == m.IDMapping.Recursive && s.IDMap.UserNS == m.IDMapping.UserNSPath
		})
		if !found {
			t.Errorf("mount %d: no ID-mapped source %s in %+v", i, m.Source, p.Sources)
		}
	}
	if (p.CgroupOwner == nil) != (c.Cgroups.OwnerUID == nil) {
		t.Errorf("cgroup owner %v, libcontainer %v", p.CgroupOwner, c.Cgroups.OwnerUID)
	} else if p.CgroupOwner != nil && int(*p.CgroupOwner) != *c.Cgroups.OwnerUID {
		t.Errorf("cgroup owner %d, libcontainer %d", *p.CgroupOwner, *c.Cgroups.OwnerUID)
	}
}

func TestCgroupOwnerLikeLibcontainer(t *testing.T) {
	for _, test := range ownerTests {
		if slices.ContainsFunc(test.spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Path != "" }) {
			continue // libcontainer would look at this host's
		}
		t.Run(test.name, func(t *testing.T) {
			got := -1
			if uid := convert(t, test.spec, specconv.CreateOpts{}).Cgroups.OwnerUID; uid != nil {
				got = *uid
			}
			if got != test.want {
				t.Errorf("libcontainer: owner %d, want %d", got, test.want)
			}
		})
	}
}

// TestListsLikeLibcontainer compares lists of CPUs.
func TestListsLikeLibcontainer(t *testing.T) {
	for _, s := range []string{
		"", "0", "0-3", "0-3,7", "1,1,1", "3-1", "-", "a", "0-", "-1", " 1 , 2 ", ",", ",,1", "1023", "1024", "0-1023", "0-1024",
		"99999999999999999999", "0x1", "1-2-3", "+1", "1 - 2",
	} {
		want, err := configs.ToCPUSet(s)
		got, reason := parseList(s)
		if (err != nil) != (reason != "") {
			t.Errorf("%q: %v %q, libcontainer %v %v", s, got, reason, want, err)
			continue
		}
		if err != nil {
			continue
		}
		var set unix.CPUSet
		for _, n := range got {
			set.Set(n)
		}
		if want == nil {
			want = &unix.CPUSet{}
		}
		if set != *want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// TestDefaultConfigIsLibcontainers keeps the test data what `runc spec` writes.
func TestDefaultConfigIsLibcontainers(t *testing.T) {
	want := specconv.Example()
	if cgroups.IsCgroup2UnifiedMode() {
		t.Skip("on a unified host the template has a cgroup namespace, the test data has none")
	}
	want.Version = ""
	got := loadSpec(t, "default")
	got.Version = ""
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("testdata/default.config.json:\n%s\nlibcontainer:\n%s", a, b)
	}
}
