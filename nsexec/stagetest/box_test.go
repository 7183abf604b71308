package stagetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"runack/plan"
)

// stepper is the test program, built once.
var stepper string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if os.Geteuid() != 0 {
		fmt.Println("skipped: the stage's mounts need root")
		return 0, nil
	}
	for _, tool := range []string{"gcc", "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Printf("skipped: %s is missing (make deps)\n", tool)
			return 0, nil
		}
	}
	dir, err := os.MkdirTemp("", "stepper")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	stepper = filepath.Join(dir, "stepper")
	if err := build(stepper); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// build compiles the stage with stepper.c in the place of main.c. STAGE_CFLAGS replaces the
// sanitizers.
func build(to string) error {
	sources, err := filepath.Glob("../stage/*.c")
	if err != nil {
		return err
	}
	sources = slices.DeleteFunc(sources, func(s string) bool { return filepath.Base(s) == "main.c" })
	flags := []string{"-fsanitize=address,undefined", "-fno-sanitize-recover=all"}
	if f, set := os.LookupEnv("STAGE_CFLAGS"); set {
		flags = strings.Fields(f)
	}
	args := append([]string{"-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-o", to, "../stage/test/stepper.c"}, flags...)
	out, err := exec.Command("gcc", append(args, sources...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return nil
}

// box is a root file system to be: a busybox and some empty directories.
type box struct {
	t    *testing.T
	dir  string // the test's own; root is below
	root string
}

func newBox(t *testing.T) *box {
	t.Helper()
	dir := t.TempDir()
	b := &box{t: t, dir: dir, root: filepath.Join(dir, "rootfs")}
	for _, d := range []string{"bin", "proc", "etc"} {
		b.mkdir("rootfs/" + d)
	}
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b.write("rootfs/bin/busybox", string(busybox), 0o755)
	for _, applet := range strings.Fields("cat ls md5sum ps readlink stat stty tail touch tty uniq") {
		b.symlink("busybox", "rootfs/bin/"+applet)
	}
	return b
}

// path is a name below the box's directory.
func (b *box) path(name string) string { return filepath.Join(b.dir, name) }

func (b *box) mkdir(name string) {
	b.t.Helper()
	if err := os.MkdirAll(b.path(name), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) write(name, text string, mode os.FileMode) {
	b.t.Helper()
	b.mkdir(filepath.Dir(name))
	if err := os.WriteFile(b.path(name), []byte(text), mode); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(b.path(name), mode); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) symlink(target, name string) {
	b.t.Helper()
	b.mkdir(filepath.Dir(name))
	if err := os.Symlink(target, b.path(name)); err != nil {
		b.t.Fatal(err)
	}
}

// failure is an error frame.
type failure struct {
	Side, Step, Object, Detail string
	Errno                      unix.Errno
}

// result is what a plan came to.
type result struct {
	frames  []string // types, in order
	failure *failure
	out     string // of the program, or of its terminal
	stderr  string // of stepper: sanitizers
	code    int
}

// steps carries a plan out: propagation and root first, then steps, as they are.
func (b *box) steps(flags []string, steps ...plan.Step) result {
	b.t.Helper()
	p := plan.Plan{Steps: append([]plan.Step{
		plan.Propagation{Flags: unix.MS_SLAVE | unix.MS_REC},
		plan.Root{Path: b.root, Parent: unix.MS_PRIVATE},
	}, steps...)}
	return b.bare(flags, p)
}

func (b *box) bare(flags []string, p plan.Plan) result {
	b.t.Helper()
	wire, err := p.WireSteps()
	if err != nil {
		b.t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	cmd := exec.Command(stepper, flags...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(wire), &out, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	r := result{code: cmd.ProcessState.ExitCode(), out: strings.ReplaceAll(out.String(), "\r\n", "\n")}
	r.parse(b.t, stderr.String())
	if strings.Contains(r.stderr, "Sanitizer") || strings.Contains(r.stderr, "runtime error") {
		b.t.Fatal(r.stderr)
	}
	return r
}

// parse tells the frames from what else stepper wrote.
func (r *result) parse(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, `{"type":`) {
			r.stderr += line
			continue
		}
		var f struct {
			Type string
			Body failure
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		r.frames = append(r.frames, f.Type)
		if f.Type == "error" {
			r.failure = &f.Body
		}
	}
}

// sh is the tail of a plan: a script in the container, with busybox's applets as commands.
func sh(script string) []plan.Step {
	return []plan.Step{
		plan.Lookup{Name: "/bin/busybox"},
		plan.CloseFDs{Keep: 3},
		plan.SyncExecuting{},
		plan.Execute{Args: []string{"busybox", "sh", "-c", "exec 2>&1; " + script}, Env: []string{"PATH=/bin"}},
	}
}

// enter runs script after steps and a pivot, and returns what it wrote.
func (b *box) enter(flags []string, script string, steps ...plan.Step) string {
	b.t.Helper()
	return b.script(flags, script, append(steps, plan.Pivot{Method: "pivot"})...)
}

// script is enter with the pivot among steps.
func (b *box) script(flags []string, script string, steps ...plan.Step) string {
	b.t.Helper()
	r := b.steps(flags, append(steps, sh(script)...)...)
	if r.failure != nil || r.code != 0 {
		b.t.Fatalf("code %d, %+v, %s%s", r.code, r.failure, r.out, r.stderr)
	}
	return r.out
}

// refuses carries steps out, which must fail as want says: want's Detail is a part of the detail.
func (b *box) refuses(flags []string, want failure, steps ...plan.Step) {
	b.t.Helper()
	steps = append(steps, plan.Pivot{Method: "pivot"})
	b.failed(b.steps(flags, append(steps, sh("echo carried out")...)...), want)
}

func (b *box) failed(r result, want failure) {
	b.t.Helper()
	if r.failure == nil {
		b.t.Fatalf("no failure; %d %s%s", r.code, r.out, r.stderr)
	}
	got := *r.failure
	if got.Step != want.Step || got.Object != want.Object || got.Errno != want.Errno ||
		!strings.Contains(got.Detail, want.Detail) || got.Side != "stage-1" {
		b.t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, s := range []string{"no such file or directory", "permission denied", "is a directory", "not a directory", "operation not permitted"} {
		if strings.Contains(strings.ToLower(got.Detail), s) {
			b.t.Errorf("clients would take %q for an error of the program", got.Detail)
		}
	}
}

// equal compares a script's output.
func (b *box) equal(got, want string) {
	b.t.Helper()
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		b.t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// options finds a mount point's flags and its file system's in a mountinfo.
func (b *box) options(mountinfo, point string) (flags, super string) {
	b.t.Helper()
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if len(f) > 6 && f[4] == point {
			flags, super = f[5], f[len(f)-1]
		}
	}
	if flags == "" {
		b.t.Fatalf("nothing is mounted at %s:\n%s", point, mountinfo)
	}
	return flags, super
}

// The parts of a plan that many tests begin with.
var (
	proc = plan.Mount{Target: "/proc", Type: "proc", Source: "proc", Set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	dev  = plan.Mount{Target: "/dev", Type: "tmpfs", Source: "tmpfs", Set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_STRICTATIME, Options: []string{"mode=755", "size=65536k"}}
	pts  = plan.Mount{Target: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0666", "mode=0620"}}
	null = plan.Device{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, Mode: 0o666}
)

const mountinfo = "cat /proc/self/mountinfo"
