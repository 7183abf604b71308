package nsexec

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/handshake"
	"runack/plan"
)

// The stage dies with the thread that forked it.
func TestMain(m *testing.M) {
	runtime.LockOSThread()
	os.Exit(m.Run())
}

const testTimeout = 30 * time.Second

// enter starts a stage for an exec with the namespaces of m, up to joined.
func enter(t *testing.T, m Mix, files ...*os.File) *Child {
	t.Helper()
	runtime.LockOSThread()
	c, err := Start(Options{Files: files, Timeout: testTimeout, Protocol: handshake.ExecProtocol})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Kill(), c.Close()); err != nil {
			t.Error(err)
		}
		if c.PidFD != nil {
			c.PidFD.Close()
		}
	})
	if err := c.Enter(m, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func joined(t *testing.T, m Mix, files ...*os.File) *Child {
	t.Helper()
	c := enter(t, m, files...)
	if err := c.JoinCgroup(nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func runSteps(c *Child, steps string) error {
	if err := c.Plan(handshake.PlanBody{Steps: json.RawMessage(steps)}, nil); err != nil {
		return err
	}
	for {
		f, err := c.Next()
		if err != nil {
			return err
		}
		f.CloseFDs()
		if f.Type == handshake.Executing {
			return c.Finish()
		}
	}
}

// program is the tail of every plan.
func program(args ...string) string {
	name, _ := json.Marshal(args[0])
	argv, _ := json.Marshal(args)
	return `{"op":"lookup","name":` + string(name) + `,"path":"/usr/bin:/bin"},{"op":"signals"},` +
		`{"op":"close-fds","keep":3},{"op":"executing"},{"op":"exec","args":` + string(argv) + `,"env":["A=b"]}`
}

// output runs steps and returns what the program wrote.
func output(t *testing.T, m Mix, steps string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c := joined(t, m, null, w, w)
	w.Close()
	if err := runSteps(c, steps); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestStageExecutesAProgram(t *testing.T) {
	out := output(t, Mix{}, "["+program("sh", "-c", "echo $A; exec cat /proc/self/status")+"]")
	if !strings.HasPrefix(out, "b\n") {
		t.Errorf("environment: %q", out)
	}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
		if set := strings.HasPrefix(line, "SigBlk") || strings.HasPrefix(line, "SigIgn") || strings.HasPrefix(line, "SigCgt"); set && !strings.HasSuffix(line, "\t0000000000000000") {
			t.Errorf("signals are not clean: %s", line)
		}
	}
}

func TestProgramErrorsCarryTheFieldsWords(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	interpreter := write("script", "#!/nonexistent/interpreter\n", 0o755)
	format := write("format", "\x7fELFnot really", 0o755)
	plain := write("plain", "data", 0o644)
	for _, tt := range []struct {
		name, program, want string
		errno               unix.Errno
	}{
		{"missing in PATH", "no-such-program", `exec: "no-such-program": executable file not found in $PATH`, unix.ENOENT},
		{"missing path", "/no/such", `exec: "/no/such": stat /no/such: no such file or directory`, unix.ENOENT},
		{"directory", dir, `exec: "` + dir + `": is a directory: permission denied`, unix.EISDIR},
		{"not executable", plain, `exec: "` + plain + `": permission denied`, unix.EACCES},
		{"missing interpreter", interpreter, "exec " + interpreter + ": no such file or directory", unix.ENOENT},
		{"bad format", format, "exec " + format + ": exec format error", unix.ENOEXEC},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := runSteps(joined(t, Mix{}), "["+program(tt.program)+"]")
			if err == nil || err.Error() != tt.want || !errors.Is(err, tt.errno) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestPlanIsCheckedWholeBeforeItIsCarriedOut(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "made")
	made := `{"op":"cwd","path":"` + marker + `","make":true},`
	for _, tt := range []struct{ name, steps, want string }{
		{"unknown step", `[` + made + `{"op":"nonsense"}]`, "unknown step"},
		{"unknown field", `[` + made + `{"op":"umask","mask":1,"x":2}]`, "step 1 umask: EBADMSG (74): x: unknown field"},
		{"missing field", `[` + made + `{"op":"umask"}]`, "mask: missing"},
		{"wrong type", `[` + made + `{"op":"umask","mask":"18"}]`, "mask: not an unsigned integer"},
		{"too large", `[` + made + `{"op":"umask","mask":4294967296}]`, "mask: not an unsigned integer"},
		{"given twice", `[` + made + `{"op":"umask","mask":1,"mask":2}]`, "given twice"},
		{"no op first", `[` + made + `{"mask":1,"op":"umask"}]`, "a step must start with it"},
		{"no such descriptor", `[` + made + `{"op":"created","fd":0}]`, "no descriptor 0"},
		{"no exec at the end", `[` + made + `{"op":"signals"}]`, "the last one is not exec"},
		{"no steps", `[]`, "the last one is not exec"},
		{"not an array", `{"a":[` + made[:len(made)-1] + `]}`, "not an array"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := runSteps(joined(t, Mix{}), tt.steps)
			var stage *handshake.StageError
			if !errors.As(err, &stage) || stage.Step != "check plan" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if _, err := os.Stat(marker); err == nil {
				t.Error("a step was carried out")
			}
		})
	}
}

func TestDeathIsToldWithItsStatus(t *testing.T) {
	c := joined(t, Mix{})
	if err := unix.PidfdSendSignal(int(c.PidFD.Fd()), unix.SIGSEGV, nil, 0); err != nil {
		t.Fatal(err)
	}
	_, err := c.Next()
	var death *Death
	if !errors.As(err, &death) || death.Status == nil || death.Status.Signal() != unix.SIGSEGV {
		t.Fatalf("got %v", err)
	}
	if want := "killed by SIGSEGV (11) before the runtime sent plan"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %s, want %s", err, want)
	}
}

func TestEndOfFileAfterExecutingIsNotBelievedOfASeccompDeath(t *testing.T) {
	// ret KILL_PROCESS for execve (59 on x86_64, 221 on arm64), else ALLOW.
	nr := map[string]byte{"amd64": 59, "arm64": 221}[runtime.GOARCH]
	if nr == 0 {
		t.Skip("no number of execve for " + runtime.GOARCH)
	}
	filter := []byte{
		0x20, 0, 0, 0, 0, 0, 0, 0,
		0x15, 0, 0, 1, nr, 0, 0, 0,
		0x06, 0, 0, 0, 0, 0, 0, 0x80,
		0x06, 0, 0, 0, 0, 0, 0xff, 0x7f,
	}
	text, err := json.Marshal(filter) // []byte: base64
	if err != nil {
		t.Fatal(err)
	}
	steps := "[" + strings.Replace(program("true"), `{"op":"exec"`, `{"op":"no-new-privs"},{"op":"seccomp","program":`+string(text)+`},{"op":"exec"`, 1) + "]"
	err = runSteps(joined(t, Mix{}), steps)
	var death *Death
	if !errors.As(err, &death) || death.Status == nil || death.Status.Signal() != unix.SIGSYS {
		t.Errorf("got %v, want a death by SIGSYS", err)
	}
}

func TestNoDescriptorIsLeft(t *testing.T) {
	if _, err := stageFD(); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	t.Run("runs", func(t *testing.T) {
		for range 20 {
			if err := runSteps(joined(t, Mix{}), "["+program("true")+"]"); err != nil {
				t.Fatal(err)
			}
			if err := runSteps(joined(t, Mix{}), "["+program("no-such-program")+"]"); err == nil {
				t.Fatal("no error")
			}
		}
	})
	if after := count(); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func newNamespaces(types ...specs.LinuxNamespaceType) Mix {
	m := Mix{Privileged: true}
	for _, typ := range types {
		m.Namespaces = append(m.Namespaces, plan.Namespace{Type: typ, Mode: plan.New})
	}
	return m
}

// readNamespaces prints the links of /proc/self/ns as the process sees them.
const readNamespaces = "cd /proc/self/ns && for n in *; do readlink $n; done"

func TestNewNamespacesAreNew(t *testing.T) {
	ours := output(t, Mix{}, "["+program("sh", "-c", readNamespaces)+"]")
	for _, typ := range []specs.LinuxNamespaceType{
		specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace,
		specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace,
	} {
		t.Run(string(typ), func(t *testing.T) {
			theirs := output(t, newNamespaces(typ), "["+program("sh", "-c", readNamespaces)+"]")
			name := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.MountNamespace: "mnt"}[typ]
			if name == "" {
				name = string(typ)
			}
			a, b := strings.Split(ours, "\n"), strings.Split(theirs, "\n")
			for i := range a {
				differs := a[i] != b[i]
				kind, _, _ := strings.Cut(a[i], ":")
				want := kind == name || kind == "" && differs
				if differs != want {
					t.Errorf("%s: ours %s, theirs %s", typ, a[i], b[i])
				}
			}
		})
	}
}

func TestTimeOffsets(t *testing.T) {
	m := newNamespaces(specs.TimeNamespace)
	m.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000, Nanosecs: 5}, "monotonic": {Secs: 7}}
	out := output(t, m, "["+program("cat", "/proc/self/timens_offsets")+"]")
	if f := strings.Fields(out); len(f) != 6 || f[1] != "7" || f[4] != "1000000" || f[5] != "5" {
		t.Errorf("offsets %q", out)
	}
}

func TestTable(t *testing.T) {
	all := newNamespaces(specs.UserNamespace, specs.PIDNamespace, specs.MountNamespace, specs.CgroupNamespace, specs.TimeNamespace)
	unprivileged := all
	unprivileged.Privileged = false
	joins := func(privileged bool, types ...specs.LinuxNamespaceType) Mix {
		m := Mix{Privileged: privileged}
		for _, typ := range types {
			m.Namespaces = append(m.Namespaces, plan.Namespace{Type: typ, Mode: plan.Joined, Path: "/ns"})
		}
		return m
	}
	for _, tt := range []struct {
		name string
		mix  Mix
		want string
	}{
		{"host", Mix{Privileged: true}, "clone clone"},
		{"new, root", all, "stage-0 unshare time; clone clone user pid mount; stage-1 unshare cgroup"},
		{"new, rootless", unprivileged, "clone clone user pid mount; stage-1 unshare cgroup; stage-1 unshare time; stage-1 entertime time"},
		{"joined, root: the user namespace last", joins(true, specs.UserNamespace, specs.NetworkNamespace, specs.MountNamespace),
			"stage-0 setns network /ns; stage-0 setns mount /ns; stage-0 setns user /ns; clone clone"},
		{"joined, rootless: the user namespace first", joins(false, specs.UserNamespace, specs.NetworkNamespace),
			"stage-0 setns user /ns; stage-0 setns network /ns; clone clone"},
		{"joined cgroup: after the join", joins(true, specs.CgroupNamespace), "clone clone; stage-1 setns cgroup /ns"},
		{"joined cgroup and user: before", joins(true, specs.CgroupNamespace, specs.UserNamespace),
			"stage-0 setns cgroup /ns; stage-0 setns user /ns; clone clone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, err := tt.mix.Table()
			if err != nil {
				t.Fatal(err)
			}
			var rows []string
			for _, r := range table.Rows {
				rows = append(rows, strings.TrimSpace(r.Who+" "+r.Do+" "+r.Object))
			}
			if got := strings.Join(rows, "; "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestStepsAreOneList(t *testing.T) {
	steps := Steps()
	if len(steps) < 50 {
		t.Fatalf("%d steps were read", len(steps))
	}
	codes, ops := map[int]string{}, map[string]bool{}
	for _, s := range steps {
		if codes[s.Code] != "" || s.Code < 64 || s.Code > 125 {
			t.Errorf("code %d of %s is taken or out of range", s.Code, s.Step)
		}
		if s.Op != "" && ops[s.Op] {
			t.Errorf("op %s stands twice", s.Op)
		}
		codes[s.Code], ops[s.Op] = s.Step, true
	}
}
