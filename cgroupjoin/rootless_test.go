package cgroupjoin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// outcome is what a rootless create came to.
type outcome struct {
	New, Create, Set, Destroy string // errors
	Paths                     int
	Births, Joins             int
}

func init() {
	// rootless CONFIG: creates and removes a cgroup as the user that it runs as.
	roles["rootless"] = func(args []string) error {
		var cfg Config
		if err := json.Unmarshal([]byte(args[1]), &cfg); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(rootlessCreate(cfg))
	}
}

func rootlessCreate(cfg Config) (o outcome) {
	c, err := New(cfg)
	if o.New = errorText(err); err != nil {
		return o
	}
	if err = c.Create(); err == nil {
		birth, berr := c.BirthFD()
		if birth != nil {
			o.Births = 1
			_ = birth.Close()
		}
		files, jerr := c.JoinFDs()
		o.Joins = len(files)
		closeAll(files)
		o.Set = errorText(errors.Join(berr, jerr, c.Set(nil)))
	}
	o.Create = errorText(err)
	o.Paths = len(c.Paths())
	o.Destroy = errorText(c.Destroy())
	return o
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func asNobody(t *testing.T, cfg Config) outcome {
	t.Helper()
	needRoot(t)
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cmd := role("rootless", testPrefix, string(data))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var o outcome
	if err := json.Unmarshal(out, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// Without permission: fine for who asks for nothing, an error in words for who does.
func TestRootless(t *testing.T) {
	withLimit := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}}
	id := testPrefix + "rootless"
	t.Run("no path, no limits", func(t *testing.T) {
		o := asNobody(t, Config{ID: id, Rootless: true, Resources: sampleResources()})
		if o != (outcome{}) {
			t.Errorf("want no errors, no paths and nothing to join: %+v", o)
		}
	})
	t.Run("limits", func(t *testing.T) {
		o := asNobody(t, Config{ID: id, Rootless: true, Resources: withLimit})
		text := o.Create + o.Set
		if o.New != "" || text == "" || o.Destroy != "" {
			t.Fatalf("want an error of Create or Set: %+v", o)
		}
		wantClean(t, errors.New(text))
		if !strings.Contains(text, "linux.resources.pids.limit") && !strings.Contains(text, "rootless needs no limits") {
			t.Errorf("the error does not say why: %s", text)
		}
	})
	t.Run("a path", func(t *testing.T) {
		o := asNobody(t, Config{ID: id, Path: "/" + id, Rootless: true})
		if !strings.Contains(o.Create, "EACCES (13)") || !strings.Contains(o.Create, "/"+id) || o.Destroy != "" {
			t.Errorf("want EACCES and the directory: %+v", o)
		}
	})
	t.Run("not rootless", func(t *testing.T) {
		o := asNobody(t, Config{ID: id})
		if !strings.Contains(o.Create, "EACCES (13)") || o.Destroy != "" {
			t.Errorf("want EACCES: %+v", o)
		}
	})
	t.Run("a delegated cgroup", func(t *testing.T) {
		parent := newCgroupAt(t, Config{Path: "/" + name(), OwnerUID: ptr(65534), OwnerGID: ptr(65534)})
		if parent.Layout() != V2 {
			t.Skipf("only v2 delegates; this is %s", parent.Layout())
		}
		if err := parent.Create(); err != nil {
			t.Fatal(err)
		}
		o := asNobody(t, Config{ID: id, Path: parent.saved.Path + "/c", Rootless: true})
		if o.Create+o.Set+o.Destroy != "" || o.Paths != 1 || o.Births != 1 {
			t.Errorf("want no errors and a cgroup to be born in: %+v", o)
		}
	})
	if left := leftovers(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// A host without any hierarchy runs rootless containers that ask for nothing.
func TestNoHierarchy(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"rootless", Config{ID: "x", Rootless: true, Resources: sampleResources()}, true},
		{"rootless with a path", Config{ID: "x", Rootless: true, Path: "/x"}, false},
		{"rootless with limits", Config{ID: "x", Rootless: true, Resources: allResources()}, false},
		{"root", Config{ID: "x"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &Cgroup{saved: Saved{Layout: None, Path: test.cfg.Path, Rootless: test.cfg.Rootless, Resources: test.cfg.Resources}}
			err := c.findPaths(Host{Layout: None}, test.cfg)
			if (err == nil) != test.ok {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				wantClean(t, err)
				return
			}
			files, jerr := c.JoinFDs()
			if err := errors.Join(c.Create(), jerr, c.Set(nil), c.Destroy()); err != nil || len(files) != 0 {
				t.Errorf("doing without: %d files, %v", len(files), err)
			}
			if c.Exists() {
				t.Error("it exists")
			}
		})
	}
}

func TestSystemdIsMissing(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("systemd runs this host")
	}
	needRoot(t)
	_, err := New(Config{ID: "x", Path: "system.slice:runack:" + name(), Systemd: true})
	if !errors.Is(err, ErrNoSystemd) || !strings.Contains(fmt.Sprint(err), "/run/systemd/system: ") ||
		!strings.Contains(fmt.Sprint(err), "ENOENT (2)") {
		t.Fatalf("got %v", err)
	}
	wantClean(t, err)
}
