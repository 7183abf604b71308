package cgroupjoin

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"
)

func TestInnerPath(t *testing.T) {
	for _, test := range []struct{ name, path, want, err string }{
		{"empty is the id", "", "web1", ""},
		{"absolute", "/pods/a", "/pods/a", ""},
		{"relative", "pods/a", "pods/a", ""},
		{"superfluous parts", "//pods/./x/../a/", "/pods/a", ""},
		{"up and out", "/../a", "", "leads outside"},
		{"relative up and out", "../a", "", "leads outside"},
		{"out in the middle", "/a/../../b", "", "leads outside"},
		{"out and back in", "../cgroup/a", "", "leads outside"},
		{"the root", "/", "", "names the root"},
		{"the root by a detour", "/a/..", "", "names the root"},
		{"a line feed", "/a\nb", "", "no cgroup's name"},
		{"a NUL", "/a\x00b", "", "no cgroup's name"},
		{"dots in names", "/a..b/...", "/a..b/...", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := innerPath("web1", test.path)
			if got != test.want {
				t.Errorf("innerPath(%q) = %q, want %q", test.path, got, test.want)
			}
			if (err != nil) != (test.err != "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Errorf("innerPath(%q) = %v, want %q", test.path, err, test.err)
			}
			if err != nil && !errors.Is(err, unix.EINVAL) {
				t.Errorf("innerPath(%q) = %v, want EINVAL", test.path, err)
			}
		})
	}
}

// The paths are the library's own, found in less time.
func TestPathsAreTheLibrarys(t *testing.T) {
	needRoot(t)
	for _, test := range []struct{ name, path string }{
		{"absolute", "/" + testPrefix + "paths"},
		{"deep", "/" + testPrefix + "paths/a/b"},
		{"relative", testPrefix + "paths/a"},
		{"empty", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := New(Config{ID: testPrefix + "paths", Path: test.path})
			if err != nil {
				t.Fatal(err)
			}
			cfg := &cgroups.Cgroup{Path: test.path, Resources: &cgroups.Resources{}}
			if test.path == "" {
				cfg.Name = testPrefix + "paths"
			}
			m, err := manager.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := c.Paths(), m.GetPaths(); !maps.Equal(got, want) {
				t.Errorf("paths\n got %v\nwant %v", got, want)
			}
		})
	}
}

func TestMountLine(t *testing.T) {
	for _, test := range []struct {
		name, line string
		want       mountLine
		ok         bool
	}{
		{"v1", "33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct",
			mountLine{"/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", []string{"rw", "cpu", "cpuacct"}}, true},
		{"no tags", "33 25 0:29 /a /b rw - cgroup2 cgroup2 rw", mountLine{"/a", "/b", "cgroup2", []string{"rw"}}, true},
		{"a space in it", `33 25 0:29 /a\040b /c\134d rw - cgroup x rw`, mountLine{"/a b", `/c\d`, "cgroup", []string{"rw"}}, true},
		{"no separator", "33 25 0:29 / /x rw cgroup cgroup rw", mountLine{}, false},
		{"too short", "33 25 - cgroup cgroup rw", mountLine{}, false},
		{"empty", "", mountLine{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := parseMountLine(test.line)
			if ok != test.ok || !reflect.DeepEqual(got, test.want) {
				t.Errorf("parseMountLine(%q) = %+v, %v; want %+v, %v", test.line, got, ok, test.want, test.ok)
			}
		})
	}
}

func TestDetect(t *testing.T) {
	needRoot(t)
	host, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	if want := os.Getenv("RUNACK_VIEW"); (want == "v1" || want == "v2") && string(host.Layout) != want {
		t.Errorf("layout %s in the %s view", host.Layout, want)
	}
	if _, ok := host.Mounts[""]; ok != (host.Layout != V1) {
		t.Errorf("layout %s with mounts %v", host.Layout, host.Mounts)
	}
	for controller, mount := range host.Mounts {
		root, err := mountRoot(mount)
		if err != nil || !filepath.IsAbs(root) {
			t.Errorf("mountRoot(%s) of %q = %q, %v", mount, controller, root, err)
		}
		if point, fromTable, err := findMount(func(m mountLine) bool { return m.point == mount }); err != nil ||
			point != mount || fromTable != root {
			t.Errorf("mountRoot(%s) = %q, but mountinfo says %q at %q, %v", mount, root, fromTable, point, err)
		}
	}
}

func TestDistinctOrder(t *testing.T) {
	paths := map[string]string{
		"freezer": "/f", "cpu": "/cc", "cpuacct": "/cc", "": "/u", "devices": "/d", "name=systemd": "/s",
	}
	if got, want := distinct(paths), []string{"devices", "cpu", "name=systemd", "", "freezer"}; !slices.Equal(got, want) {
		t.Errorf("distinct = %q, want %q", got, want)
	}
}

// A state file brings the same cgroup back.
func TestSavedAndLoad(t *testing.T) {
	c := created(t, sampleResources())
	data, err := json.Marshal(c.Saved())
	if err != nil {
		t.Fatal(err)
	}
	var saved Saved
	if err := json.Unmarshal(data, &saved); err != nil {
		t.Fatal(err)
	}
	again, err := Load(saved)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Saved(), c.Saved()) {
		t.Errorf("loaded %+v\nsaved %+v", again.Saved(), c.Saved())
	}
	if !again.Exists() {
		t.Error("the loaded cgroup does not exist")
	}
	if err := again.Destroy(); err != nil {
		t.Errorf("Destroy of the loaded one: %v", err)
	}
	wantGone(t, c)
}
