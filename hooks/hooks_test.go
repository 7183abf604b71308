package hooks

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// sh is a hook that runs a script; $1 is dir.
func sh(dir, script string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script, "hook", dir}, Env: []string{"PATH=/usr/bin:/bin"}}
}

func withTimeout(h specs.Hook, seconds int) specs.Hook {
	h.Timeout = &seconds
	return h
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestArgsAndEnvAreExact(t *testing.T) {
	t.Setenv("MUST_NOT_BE_SEEN", "1")
	for _, row := range []struct {
		name      string
		args, env []string
		wantArgs  string
		wantEnv   string
	}{
		{"both", []string{"zero", "", "two words", "-c"}, []string{"A=1", "B=", "C=x y", "A=2"}, "zero\x00\x00two words\x00-c\x00", "A=1\x00B=\x00C=x y\x00A=2\x00"},
		{"no environment", []string{"zero"}, nil, "zero\x00", ""},
		{"no arguments", nil, []string{"A=1"}, "PATH\x00", "A=1\x00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			probe := buildProbe(t, dir)
			if err := Run(context.Background(), CreateRuntime, []specs.Hook{{Path: probe, Args: row.args, Env: row.env}}, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			want := strings.Replace(row.wantArgs, "PATH", probe, 1)
			if got := read(t, probe+".args"); got != want {
				t.Errorf("args %q, want %q", got, want)
			}
			if got := read(t, probe+".env"); got != row.wantEnv {
				t.Errorf("env %q, want %q", got, row.wantEnv)
			}
		})
	}
}

// TestState: whatever its size, it arrives whole where it is read, and harms nobody where it is not.
func TestState(t *testing.T) {
	for _, size := range []int{0, 2, 4096, 65536, 65537, 3 << 20} {
		state := bytes.Repeat([]byte("s"), size)
		t.Run(strconv.Itoa(size)+" read", func(t *testing.T) {
			dir := t.TempDir()
			if err := Run(context.Background(), Prestart, []specs.Hook{sh(dir, `cat > $1/state`)}, state); err != nil {
				t.Fatal(err)
			}
			if got := read(t, dir+"/state"); got != string(state) {
				t.Fatalf("%d bytes arrived, want %d", len(got), size)
			}
		})
		for name, script := range map[string]string{
			"never read":         `exit 0`,
			"closed":             `exec <&-; exit 0`,
			"first line only":    `head -c 1 > /dev/null; exit 0`,
			"kept by grandchild": `sleep 1000 <&0 >/dev/null 2>&1 & echo $! > $1/pid`,
		} {
			t.Run(strconv.Itoa(size)+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				if err := Run(context.Background(), Prestart, []specs.Hook{sh(dir, script)}, state); err != nil {
					t.Fatal(err)
				}
				endGrandchild(t, dir)
			})
		}
	}
}

// endGrandchild kills what a script left in dir/pid, which must be alive: hooks may start daemons.
func endGrandchild(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(dir + "/pid")
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("grandchild %d: %v", pid, err)
	}
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	interpreter := filepath.Join(dir, "interpreter")
	if err := os.WriteFile(interpreter, []byte("#!/nonexistent/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("the client went away"))
	for _, row := range []struct {
		name string
		ctx  context.Context
		hook specs.Hook
		want string // the whole error
		is   error
	}{
		{"exit code", nil, sh(dir, `exit 3`), "hook createRuntime[0] /bin/sh: exit status 3", nil},
		{"exit code 127 of its own", nil, sh(dir, `exit 127`), "hook createRuntime[0] /bin/sh: exit status 127", nil},
		{"stderr", nil, sh(dir, `echo out; echo one >&2; echo; echo two >&2; exit 1`), "hook createRuntime[0] /bin/sh: exit status 1: one; two", nil},
		{"stdout if nothing else", nil, sh(dir, `echo out; exit 1`), "hook createRuntime[0] /bin/sh: exit status 1: out", nil},
		{"escape sequences", nil, sh(dir, `printf 'a\033[31mb\377' >&2; exit 1`), "hook createRuntime[0] /bin/sh: exit status 1: a [31mb?", nil},
		{"signal", nil, sh(dir, `kill -SEGV $$`), "hook createRuntime[0] /bin/sh: killed by SIGSEGV (11)", nil},
		{"signal with stderr", nil, sh(dir, `echo dying >&2; kill -KILL $$`), "hook createRuntime[0] /bin/sh: killed by SIGKILL (9): dying", nil},
		{"timeout", nil, withTimeout(sh(dir, `echo slow >&2; exec sleep 1000`), 1), "hook createRuntime[0] /bin/sh: killed at its timeout of 1s: slow", unix.ETIMEDOUT},
		{"no such file", nil, specs.Hook{Path: "/nonexistent/hook"}, "hook createRuntime[0] /nonexistent/hook: execute: ENOENT (2)", unix.ENOENT},
		{"not executable", nil, specs.Hook{Path: plain}, "hook createRuntime[0] " + plain + ": execute: EACCES (13)", unix.EACCES},
		{"a directory", nil, specs.Hook{Path: dir}, "hook createRuntime[0] " + dir + ": execute: EACCES (13)", unix.EACCES},
		{"no interpreter", nil, specs.Hook{Path: interpreter}, "hook createRuntime[0] " + interpreter + ": execute: ENOENT (2)", unix.ENOENT},
		{"relative path", nil, specs.Hook{Path: "sh"}, "hook createRuntime[0] sh: path must be absolute: invalid argument", unix.EINVAL},
		{"bad timeout", nil, withTimeout(sh(dir, `exit 0`), 0), "hook createRuntime[0] /bin/sh: timeout must be greater than zero: invalid argument", unix.EINVAL},
		{"context over", canceled, sh(dir, `exit 0`), "hook createRuntime[0] /bin/sh: context canceled", context.Canceled},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := row.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			err := Run(ctx, CreateRuntime, []specs.Hook{row.hook}, []byte("{}"))
			if err == nil || err.Error() != row.want {
				t.Fatalf("got  %v\nwant %s", err, row.want)
			}
			if row.is != nil && !errors.Is(err, row.is) {
				t.Errorf("is not %v", row.is)
			}
		})
	}
}

func TestContextEndsARunningHook(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(dir+"/up", 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("the client went away")
	go func() {
		_, _ = os.ReadFile(dir + "/up") // the hook runs
		cancel(gone)
	}()
	err := Run(ctx, Poststop, []specs.Hook{sh(dir, `echo up > $1/up; exec sleep 1000`), sh(dir, `echo > $1/second`)}, nil)
	if !errors.Is(err, gone) || err.Error() != "hook poststop[0] /bin/sh: killed: the client went away" {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(dir + "/second"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a hook ran after the end of the context")
	}
}

// TestTimeoutKillsTheHookAlone: what it started for itself survives, as with runc.
func TestTimeoutKillsTheHookAlone(t *testing.T) {
	dir := t.TempDir()
	h := withTimeout(sh(dir, `sleep 1000 & echo $! > $1/pid; exec sleep 1000`), 1)
	if err := Run(context.Background(), Prestart, []specs.Hook{h}, nil); !errors.Is(err, unix.ETIMEDOUT) {
		t.Fatalf("got %v", err)
	}
	endGrandchild(t, dir)
}

func TestGrandchildHoldingStderrHoldsNobody(t *testing.T) {
	for name, script := range map[string]string{
		"silent":  `echo said >&2; sleep 1000 & echo $! > $1/pid; exit 1`,
		"writing": `echo said >&2; (while :; do echo noise; done) & echo $! > $1/pid; exit 1`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := Run(context.Background(), Prestart, []specs.Hook{sh(dir, script)}, nil)
			var e *Error
			if !errors.As(err, &e) || e.Code != 1 || e.Stderr != "said\n" {
				t.Fatalf("got %v", err)
			}
			if name == "silent" {
				endGrandchild(t, dir)
			} // the other one meets SIGPIPE
		})
	}
}

func TestOutputIsBounded(t *testing.T) {
	dir := t.TempDir()
	var rep Report
	script := `i=0; while [ $i -lt 3000 ]; do echo "line $i ........................................................................" >&2; i=$((i+1)); done; echo last >&2; exit 1`
	err := RunWith(context.Background(), Prestart, []specs.Hook{sh(dir, script)}, nil, Options{Log: func(r Report) { rep = r }})
	var e *Error
	if !errors.As(err, &e) || len(e.Stderr) != KeepOutput || !strings.HasSuffix(e.Stderr, "\nlast\n") {
		t.Fatalf("kept %d bytes", len(e.Stderr))
	}
	if line := err.Error(); len(line) > lineMax+200 || !strings.HasSuffix(line, "; last") || strings.Contains(line, "\n") {
		t.Errorf("error line of %d bytes: %.100s", len(line), line)
	}
	if rep.Stderr != e.Stderr || !errors.Is(rep.Err, err) || rep.Duration <= 0 {
		t.Errorf("report %+v", rep)
	}
}

// TestPolicy: which hooks run after the second of three has failed.
func TestPolicy(t *testing.T) {
	for _, row := range []struct {
		point  string
		policy Policy
		want   string
		errs   int
	}{
		{Prestart, ByPoint, "0\n1\n", 1},
		{CreateRuntime, ByPoint, "0\n1\n", 1},
		{Poststart, ByPoint, "0\n1\n", 1},
		{Poststop, ByPoint, "0\n1\n2\n3\n", 2},
		{Poststart, RunAll, "0\n1\n2\n3\n", 2},
		{Poststop, StopAtFirst, "0\n1\n", 1},
	} {
		t.Run(row.point+strconv.Itoa(int(row.policy)), func(t *testing.T) {
			dir := t.TempDir()
			var reports []int
			list := []specs.Hook{sh(dir, `echo 0 >> $1/ran`), sh(dir, `echo 1 >> $1/ran; exit 4`), sh(dir, `echo 2 >> $1/ran`), sh(dir, `echo 3 >> $1/ran; exit 5`)}
			err := RunWith(context.Background(), row.point, list, nil, Options{Policy: row.policy, Log: func(r Report) { reports = append(reports, r.Index) }})
			if got := read(t, dir+"/ran"); got != row.want || len(reports) != strings.Count(row.want, "\n") {
				t.Errorf("ran %q, reported %v; want %q", got, reports, row.want)
			}
			if err == nil || strings.Count(err.Error(), "hook "+row.point+"[") != row.errs {
				t.Errorf("got %v; want %d failures", err, row.errs)
			}
		})
	}
}

func TestForeignPointIsRefused(t *testing.T) {
	for _, point := range []string{"createContainer", "startContainer", ""} {
		if err := Run(context.Background(), point, nil, nil); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%q: got %v", point, err)
		}
	}
}

func TestWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := RunWith(context.Background(), Prestart, []specs.Hook{sh(dir, `/bin/pwd -P > $1/cwd`)}, nil, Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	err := RunWith(context.Background(), Prestart, []specs.Hook{sh(dir, `exit 0`)}, nil, Options{Dir: "/nonexistent"})
	if err == nil || err.Error() != "hook prestart[0] /bin/sh: enter /nonexistent: ENOENT (2)" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if got := read(t, dir+"/cwd"); err != nil || got != real+"\n" {
		t.Fatalf("ran in %q", got)
	}
}

// TestNothingLeft: no descriptor, no goroutine and no child after every way a hook can end.
func TestNothingLeft(t *testing.T) {
	dir := t.TempDir()
	list := []specs.Hook{
		sh(dir, `exit 0`), sh(dir, `cat`), sh(dir, `exit 1`), sh(dir, `kill -9 $$`),
		{Path: "/nonexistent"}, {Path: "relative"},
		sh(dir, `(while :; do echo noise; done) & exit 0`),
		withTimeout(sh(dir, `exec sleep 1000`), 1),
	}
	round := func() {
		_ = Run(context.Background(), Poststop, list, bytes.Repeat([]byte("x"), 100000))
	}
	round() // the poller's and the library's first-time descriptors
	before, goroutines := descriptors(t), settledGoroutines(0)
	for range 3 {
		round()
	}
	if after := descriptors(t); after != before {
		t.Errorf("descriptors: %d before, %d after", before, after)
	}
	if n := settledGoroutines(goroutines); n > goroutines {
		t.Errorf("goroutines: %d before, %d after", goroutines, n)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("children are left: %v", err)
	}
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// settledGoroutines yields until the count is at most want, or no longer falls: a goroutine that has
// sent its last word may still be on its way out.
func settledGoroutines(want int) int {
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > want && want > 0 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	return runtime.NumGoroutine()
}
