package cgroupjoin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dbus "github.com/godbus/dbus/v5"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// needSystemd skips where systemd is not in charge. The virtual machine has it.
func needSystemd(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Skip("systemd does not run this host")
	}
}

// session gives the flags for systemctl and the kind of manager: the system's for root, the user's
// own otherwise.
func session() (flags []string, rootless bool) {
	if os.Geteuid() == 0 {
		return nil, false
	}
	return []string{"--user"}, true
}

func systemctl(t testing.TB, args ...string) string {
	t.Helper()
	flags, _ := session()
	out, err := exec.Command("systemctl", append(flags, args...)...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil && args[0] != "is-active" {
		t.Fatalf("systemctl %q: %v: %s", args, err, text)
	}
	return text
}

func property(t testing.TB, c *Cgroup, name string) string {
	t.Helper()
	return systemctl(t, "show", "--value", "-p", name, c.unit())
}

func wantProperties(t testing.TB, c *Cgroup, properties map[string]string) {
	t.Helper()
	for name, want := range properties {
		if got := property(t, c, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// setDelegated sets the limits of a scope. A user may have been given some of the controllers only.
func setDelegated(t testing.TB, c *Cgroup) {
	t.Helper()
	if err := c.Set(nil); err != nil {
		if os.Geteuid() != 0 && errors.Is(err, unix.ENOENT) {
			t.Skipf("not all controllers are delegated to users here: %v", err)
		}
		t.Fatal(err)
	}
}

// scope prepares a cgroup in a scope of its own.
func scope(t testing.TB, r *specs.LinuxResources, annotations map[string]string) *Cgroup {
	t.Helper()
	needSystemd(t)
	slice := "system.slice"
	_, rootless := session()
	if rootless {
		slice = "user.slice"
	}
	c, err := New(Config{ID: "x", Path: slice + ":runack:" + name(), Systemd: true, Rootless: rootless,
		Resources: r, Annotations: annotations})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Destroy(); err != nil {
			t.Errorf("Destroy: %v", err)
		}
		wantGone(t, c)
		if state := systemctl(t, "show", "--value", "-p", "LoadState", c.unit()); state != "not-found" {
			t.Errorf("the unit %s is %s after Destroy", c.unit(), state)
		}
	})
	return c
}

// entered is scope with a process in it.
func entered(t testing.TB, c *Cgroup) *exec.Cmd {
	t.Helper()
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	cmd := child(t)
	files, err := c.Enter(cmd.Process.Pid, false)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(files)
	return cmd
}

func TestScope(t *testing.T) {
	c := scope(t, sampleResources(), nil)
	if birth, err := c.BirthFD(); birth != nil || err != nil {
		t.Errorf("BirthFD before the scope is there = %v, %v", birth, err)
	}
	cmd := entered(t, c)
	wantIn(t, cmd.Process.Pid, c.Paths())
	if want := "runack-" + c.saved.Name + ".scope"; c.unit() != want || filepath.Base(c.mainPath()) != want {
		t.Errorf("unit %s, path %s; want %s", c.unit(), c.mainPath(), want)
	}
	if state := systemctl(t, "is-active", c.unit()); state != "active" {
		t.Errorf("the scope is %s", state)
	}
	wantProperties(t, c, map[string]string{"Delegate": "yes", "CollectMode": "inactive-or-failed", "TasksAccounting": "yes"})
	if err := c.Set(nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if !frozen(t, c) {
		t.Error("not frozen")
	}
	again, err := Load(c.Saved())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := again.Destroy(); err != nil {
		t.Fatal(err)
	}
	ended(t, cmd)
}

// Limits go to systemd as well: it would write its own idea of them over ours some day.
func TestScopeLimits(t *testing.T) {
	c := scope(t, &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(96 << 20)), Reservation: ptr(int64(32 << 20))},
		CPU:     &specs.LinuxCPU{Shares: ptr(uint64(2048)), Quota: ptr(int64(30000)), Period: ptr(uint64(50000)), Cpus: "0", Mems: "0"},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(17))},
		Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}, rule(true, "c", 10, 200, "rw")},
	}, nil)
	entered(t, c)
	setDelegated(t, c)
	if c.Layout() != V2 {
		t.Skip("the properties have other names on v1, where systemd has no more versions to come")
	}
	for file, want := range map[string]string{
		"memory/memory.max": "67108864", "memory/memory.swap.max": "33554432", "memory/memory.low": "33554432",
		"cpu/cpu.weight": "174", "cpu/cpu.max": "30000 50000", "pids/pids.max": "17", "cpuset/cpuset.cpus": "0",
	} {
		c.wantFile(t, file, want)
	}
	wantProperties(t, c, map[string]string{
		"MemoryMax": "67108864", "MemorySwapMax": "33554432", "MemoryLow": "33554432", "CPUWeight": "174",
		"CPUQuotaPerSecUSec": "600ms", "CPUQuotaPeriodUSec": "50ms", "TasksMax": "17", "AllowedCPUs": "0", "AllowedMemoryNodes": "0", "DevicePolicy": "strict",
	})
	if got := property(t, c, "DeviceAllow"); !strings.Contains(got, "/dev/char/10:200 rw") {
		t.Errorf("DeviceAllow is %q", got)
	}
	if err := c.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(40000))}, Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}}); err != nil {
		t.Fatal(err)
	}
	c.wantFile(t, "cpu/cpu.max", "40000 50000")
	if got := property(t, c, "TasksMax"); got != "infinity" {
		t.Errorf("TasksMax is %q after the update", got)
	}
	// systemd must not undo anything when it reloads.
	systemctl(t, "daemon-reload")
	c.wantFile(t, "cpu/cpu.max", "40000 50000")
	c.wantFile(t, "memory/memory.max", "67108864")
}

// What has a file of v2's name, and no field, is a property as well.
func TestScopeUnified(t *testing.T) {
	c := scope(t, &specs.LinuxResources{
		CPU:     &specs.LinuxCPU{Idle: ptr(int64(1))},
		Unified: map[string]string{"memory.high": "33554432"},
	}, nil)
	if c.Layout() != V2 {
		t.Skip("unified is of v2")
	}
	entered(t, c)
	setDelegated(t, c)
	systemctl(t, "daemon-reload")
	for file, want := range map[string]string{"memory/memory.high": "33554432", "cpu/cpu.idle": "1"} {
		c.wantFile(t, file, want)
	}
	wantProperties(t, c, map[string]string{"MemoryHigh": "33554432", "CPUWeight": "idle"})
}

// Unit names are global, whatever the slice: who finds another's scope under its name leaves it alone.
func TestScopeOfAnother(t *testing.T) {
	c := scope(t, nil, nil)
	cmd := entered(t, c)
	_, rootless := session()
	second, err := New(Config{ID: "x", Path: "runack-other.slice:" + c.saved.Prefix + ":" + c.saved.Name, Systemd: true, Rootless: rootless})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Create(); err != nil {
		t.Fatal(err)
	}
	if err := second.Attach(child(t).Process.Pid); err == nil || !strings.Contains(err.Error(), "start unit "+c.unit()) {
		t.Errorf("Attach = %v", err)
	}
	if err := second.Undo(); err != nil {
		t.Error(err)
	}
	if state := systemctl(t, "is-active", c.unit()); state != "active" {
		t.Errorf("the first scope is %s", state)
	}
	wantIn(t, cmd.Process.Pid, c.Paths())
}

func TestScopeProperties(t *testing.T) {
	c := scope(t, nil, map[string]string{
		"org.systemd.property.TimeoutStopSec": "uint64 7", "org.systemd.property.CollectMode": "'inactive'", "other": "x",
	})
	entered(t, c)
	wantProperties(t, c, map[string]string{"TimeoutStopUSec": "7s", "CollectMode": "inactive"})
}

// An exec joins by birth where the kernel lets it, and through systemd where not.
func TestExecIntoScope(t *testing.T) {
	c := scope(t, nil, nil)
	init := entered(t, c)
	target, err := c.ExecTarget(init.Process.Pid, nil)
	if err != nil {
		t.Fatal(err)
	}
	if birth, err := target.BirthFD(); err != nil {
		t.Error(err)
	} else if birth != nil {
		defer birth.Close()
		born, err := joiner(t, nil, birth)
		switch {
		case err == nil:
			wantIn(t, born.Process.Pid, map[string]string{"": c.Paths()[""]})
		case !isPermission(err) || os.Geteuid() == 0:
			// A user may not move processes out of a session that is root's.
			t.Errorf("birth: %v", err)
		}
	}
	cmd := child(t)
	files, err := target.Enter(cmd.Process.Pid, false)
	closeAll(files)
	if err != nil {
		t.Fatal(err)
	}
	if c.Layout() == V2 {
		wantIn(t, cmd.Process.Pid, c.Paths())
	}
}

// A container that was killed for want of memory can be started again under its name, any number of
// times: the failed scope does not stay.
func TestScopeAfterOOM(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	first := scope(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(24 << 20)), Swap: ptr(int64(24 << 20))}}, nil)
	for round := range rounds {
		c, err := Load(first.Saved())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Create(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		cmd, start := hog(t, c)
		if err := c.Set(nil); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		start()
		if got := killedBy(ended(t, cmd)); got != unix.SIGKILL {
			t.Errorf("round %d: died of %v", round, got)
		}
		if err := c.Destroy(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// What is refused by systemd leaves no unit and no directory.
func TestScopeRefused(t *testing.T) {
	c := scope(t, nil, map[string]string{"org.systemd.property.NoSuchThing": "true"})
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	err := c.Attach(child(t).Process.Pid)
	if err == nil {
		t.Fatal("systemd took a property that does not exist")
	}
	wantClean(t, err)
	if !strings.Contains(err.Error(), c.unit()) {
		t.Errorf("the unit is missing in: %v", err)
	}
	if err := c.Undo(); err != nil {
		t.Fatal(err)
	}
	wantGone(t, c)
}

// Processes left in a scope do not hold Destroy up for systemd's 90 seconds, even if they do not
// listen to SIGTERM.
func TestScopeWithAStubbornProcess(t *testing.T) {
	c := scope(t, nil, nil)
	if err := c.Create(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "trap '' TERM HUP; echo ready; read end")
	keepOpen(t, cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killLater(t, cmd)
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := c.Attach(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.Destroy(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("took %v", took)
	}
}

// A bus that takes the connection and says nothing, as a stopped dbus-daemon does, costs bounded time
// and gives an error that says so.
func TestScopeOfASilentBus(t *testing.T) {
	needSystemd(t)
	socket := filepath.Join(t.TempDir(), "bus")
	silence, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer silence.Close()
	if got := scopeByBus(t, socket); !strings.Contains(got, ": systemd: ETIMEDOUT (110): no answer in 1s\n") {
		t.Errorf("got %s", got)
	}
}

// A user whose bus is dead is told so. Root reaches systemd by its private socket (TestSystemdScopeWithoutABus of
// tests/integration).
func TestScopeOfADeadBus(t *testing.T) {
	needSystemd(t)
	if _, rootless := session(); !rootless {
		t.Skip("root needs no bus")
	}
	got := scopeByBus(t, "/nowhere/bus")
	wantClean(t, errors.New(strings.TrimSpace(got)))
	for _, want := range []string{"find cgroup: ", "connect to dbus", "/nowhere/bus", "ENOENT (2)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in: %s", want, got)
		}
	}
}

// scopeByBus tries to make a scope through a bus at path, and gives the error. Another process of this
// binary does it, since the library keeps its connection.
func scopeByBus(t *testing.T, path string) string {
	t.Helper()
	variable := "DBUS_SYSTEM_BUS_ADDRESS"
	if _, rootless := session(); rootless {
		variable = "DBUS_SESSION_BUS_ADDRESS"
	}
	cmd := role("bus", name())
	cmd.Env = append(cmd.Env, variable+"=unix:path="+path)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func init() {
	roles["bus"] = func(args []string) error {
		systemdTimeout = time.Second
		_, rootless := session()
		c, err := New(Config{ID: "x", Path: "system.slice:runack:" + args[0], Systemd: true, Rootless: rootless})
		if err == nil {
			if err = c.Create(); err != nil {
				return err
			}
			err = c.Attach(os.Getpid())
		}
		fmt.Println(err)
		return nil
	}
}

func TestUnitNames(t *testing.T) {
	for _, test := range []struct{ name, path, slice, unit, err string }{
		{"default", "", "", "runc-web1.scope", ""},
		{"slice, prefix, name", "machine.slice:libpod:abc", "machine.slice", "libpod-abc.scope", ""},
		{"default slice", ":cri:abc", "", "cri-abc.scope", ""},
		{"a slice itself", "a.slice:x:b.slice", "a.slice", "b.slice", ""},
		{"two parts", "a.slice:b", "", "", `"slice:prefix:name"`},
		{"four parts", "a:b:c:d", "", "", `"slice:prefix:name"`},
		{"a path", "/a/b", "", "", `"slice:prefix:name"`},
		{"a slash in the name", "a.slice:b:../c", "", "", "no name of a unit"},
		{"no name", "a.slice:b:", "", "", "no name of a unit"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &Cgroup{}
			err := c.parseUnit(Config{ID: "web1", Path: test.path})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || !errors.Is(err, unix.EINVAL) {
					t.Errorf("got %v, want EINVAL and %q", err, test.err)
				}
				return
			}
			if err != nil || c.saved.Slice != test.slice || c.unit() != test.unit {
				t.Errorf("slice %q, unit %q, %v; want %q, %q", c.saved.Slice, c.unit(), err, test.slice, test.unit)
			}
		})
	}
}

func TestSystemdProperties(t *testing.T) {
	collect := `CollectMode="inactive-or-failed"`
	for _, test := range []struct {
		name, key, value string
		want             []string // nil: an error
	}{
		{"none", "other", "x", []string{collect}},
		{"a string", "org.systemd.property.Description", "'my box'", []string{`Description="my box"`, collect}},
		{"seconds", "org.systemd.property.TimeoutStopSec", "uint64 123", []string{"TimeoutStopUSec=@t 123000000", collect}},
		{"seconds as a double", "org.systemd.property.TimeoutStopSec", "1.5", []string{"TimeoutStopUSec=@t 1500000", collect}},
		{"seconds as an int", "org.systemd.property.TimeoutStopSec", "2", []string{"TimeoutStopUSec=@t 2000000", collect}},
		{"Sec after a capital is no time", "org.systemd.property.FOOSec", "1", []string{"FOOSec=1", collect}},
		{"one's own mode", "org.systemd.property.CollectMode", "'inactive'", []string{`CollectMode="inactive"`}},
		{"no such value", "org.systemd.property.Description", "[", nil},
		{"seconds that are none", "org.systemd.property.TimeoutStopSec", "'x'", nil},
		{"no name", "org.systemd.property.", "1", nil},
		{"a short name", "org.systemd.property.ab", "1", nil},
		{"a bad name", "org.systemd.property.a_b_c", "1", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			props, err := systemdProperties(map[string]string{test.key: test.value})
			if test.want == nil {
				if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), test.key) {
					t.Errorf("got %v, want EINVAL and the annotation", err)
				}
				return
			}
			var got []string
			for _, p := range props {
				got = append(got, p.Name+"="+p.Value.String())
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
	if _, err := microseconds(dbus.MakeVariant(true)); err == nil {
		t.Error("true seconds")
	}
}

func TestWithDeadline(t *testing.T) {
	if err := withDeadline("x", time.Minute, func() error { return unix.EIO }); !errors.Is(err, unix.EIO) {
		t.Errorf("got %v, want what the function says", err)
	}
	never := make(chan struct{})
	defer close(never)
	err := withDeadline("start unit a.scope", 10*time.Millisecond, func() error { <-never; return nil })
	if !errors.Is(err, unix.ETIMEDOUT) || !strings.Contains(err.Error(), "start unit a.scope: systemd: ETIMEDOUT (110): no answer in 10ms") {
		t.Errorf("got %v", err)
	}
	// After a silence the next one is given up sooner.
	err = withDeadline("x", 100*time.Millisecond, func() error { <-never; return nil })
	if err == nil || !strings.Contains(err.Error(), "no answer in 10ms") {
		t.Errorf("got %v", err)
	}
	if err := withDeadline("x", time.Minute, func() error { return nil }); err != nil || silent.Load() {
		t.Errorf("after an answer: %v, silent %v", err, silent.Load())
	}
}
