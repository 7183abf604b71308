package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const playEnv = "RUNACK_TEST_PLAY_RUNACK"

// TestMain makes the test binary play runack, so that what is tested is a whole process: its exit
// code, its two streams and its log.
func TestMain(m *testing.M) {
	if os.Getenv(playEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A result is what a call of runack left.
type result struct {
	code           int
	stdout, stderr string
}

// runack calls it.
func runack(t *testing.T, args ...string) result {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), playEnv+"=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// entry is one object of a JSON log.
type entry struct {
	Level string    `json:"level"`
	Msg   string    `json:"msg"`
	Time  time.Time `json:"time"` // unmarshals RFC 3339 only, as containerd's does
}

// readAsPodman takes the whole log for one object, as podman does.
func readAsPodman(t *testing.T, path string) entry {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var e entry
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatalf("podman could not read %q: %v", data, err)
	}
	return e
}

// readAsContainerd takes the log for a stream of objects and keeps the last error, as containerd
// does.
func readAsContainerd(t *testing.T, path string) entry {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var last entry
	for dec := json.NewDecoder(f); dec.More(); {
		var e entry
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("containerd could not read the log: %v", err)
		}
		if e.Level == "error" {
			last = e
		}
	}
	return last
}

func TestJSONLogHoldsOneError(t *testing.T) {
	for name, row := range map[string]struct {
		args []string
		code int
		want string
	}{
		"start":              {[]string{"start", "nope"}, 1, "container does not exist"},
		"state":              {[]string{"state", "nope"}, 1, "container does not exist"},
		"kill":               {[]string{"kill", "nope", "KILL"}, 1, "container does not exist"},
		"delete":             {[]string{"delete", "nope"}, 1, "container does not exist"},
		"pause":              {[]string{"pause", "nope"}, 1, "container does not exist"},
		"resume":             {[]string{"resume", "nope"}, 1, "container does not exist"},
		"ps":                 {[]string{"ps", "nope"}, 1, "container does not exist"},
		"exec":               {[]string{"exec", "nope", "true"}, 255, "exec failed: container does not exist"},
		"exec without args":  {[]string{"exec", "nope"}, 255, "exec failed: exec args cannot be empty"},
		"bad id":             {[]string{"state", "a/b"}, 1, `invalid container ID format: "a/b"`},
		"bad signal":         {[]string{"kill", "nope", "NOPE"}, 1, `unknown signal "NOPE"`},
		"unknown flag":       {[]string{"start", "--zz", "x"}, 1, "flag provided but not defined: -zz; see runack start --help"},
		"unknown flag, last": {[]string{"start", "x", "--zz"}, 1, "flag provided but not defined: -zz; see runack start --help"},
		"too few arguments":  {[]string{"start"}, 1, `runack: "start" requires exactly 1 argument(s)`},
		"too many arguments": {[]string{"kill", "a", "b", "c"}, 1, `runack: "kill" requires a maximum of 2 argument(s)`},
		"unknown command":    {[]string{"bogus"}, 1, `unknown command "bogus"; see runack --help`},
		"checkpoint":         {[]string{"checkpoint", "--image-path", "x", "nope"}, 1, "checkpoint is not supported by this version of runack"},
		"restore":            {[]string{"restore", "nope"}, 1, "restore is not supported by this version of runack"},
		"bad format":         {[]string{"list", "-f", "xml"}, 1, "invalid format option"},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log.json")
			global := []string{"--root", t.TempDir(), "--log", log, "--log-format", "json"}
			r := runack(t, append(global, row.args...)...)
			if r.code != row.code {
				t.Errorf("exit code %d, want %d", r.code, row.code)
			}
			for reader, e := range map[string]entry{"podman": readAsPodman(t, log), "containerd": readAsContainerd(t, log)} {
				if e.Msg != row.want || e.Level != "error" || e.Time.IsZero() {
					t.Errorf("%s reads %+v, want %q", reader, e, row.want)
				}
			}
			if r.stderr != row.want+"\n" {
				t.Errorf("stderr %q, want %q", r.stderr, row.want)
			}
			if r.stdout != "" {
				t.Errorf("stdout %q", r.stdout)
			}
		})
	}
}

func TestSuccessLeavesTheLogEmpty(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	r := runack(t, "--root", t.TempDir(), "--log", log, "--log-format=json", "delete", "--force", "nope")
	data, err := os.ReadFile(log)
	if r.code != 0 || r.stderr != "" || err != nil || len(data) != 0 {
		t.Errorf("%+v; log %q, %v", r, data, err)
	}
}

func TestLogWithoutAFile(t *testing.T) {
	root := t.TempDir()
	text := runack(t, "--root", root, "state", "nope")
	if !strings.Contains(text.stderr, `level=error msg="container does not exist"`) || strings.Count(text.stderr, "\n") != 1 {
		t.Errorf("text: %q", text.stderr)
	}
	asJSON := runack(t, "--root", root, "--log-format", "json", "state", "nope")
	var e entry
	if err := json.Unmarshal([]byte(asJSON.stderr), &e); err != nil || e.Msg != "container does not exist" {
		t.Errorf("json: %q, %v", asJSON.stderr, err)
	}
	bad := runack(t, "--log-format", "yaml", "list")
	if bad.code != 1 || !strings.Contains(bad.stderr, "invalid log-format: yaml") {
		t.Errorf("yaml: %+v", bad)
	}
}

func TestLogIsAppendedTo(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	for range 3 {
		runack(t, "--root", t.TempDir(), "--log", log, "--log-format", "json", "state", "nope")
	}
	data, err := os.ReadFile(log)
	if n := bytes.Count(data, []byte("\n")); err != nil || n != 3 {
		t.Errorf("%d lines, %v", n, err)
	}
	if e := readAsContainerd(t, log); e.Msg != "container does not exist" {
		t.Errorf("containerd reads %+v", e)
	}
}

// TestMatchers holds our words against what each client searches for (CLIENTS).
func TestMatchers(t *testing.T) {
	root := t.TempDir()
	missing := runack(t, "--root", root, "kill", "nope", "9").stderr
	for client, match := range map[string]string{
		"containerd shim, kill":   "does not exist",
		"containerd shim, delete": "does not exist",
	} {
		if !strings.Contains(missing, match) {
			t.Errorf("%s looks for %q in %q", client, match, missing)
		}
	}
	bundle := runack(t, "--root", root, "create", "--bundle", "/nonexistent", "x").stderr
	for _, words := range []string{
		"permission denied", "is a directory", "not a directory", "executable file not found",
		"no such file or directory", "operation not permitted", "open executable",
	} {
		if strings.Contains(strings.ToLower(bundle), words) {
			t.Errorf("%q has %q, which is about the program to run", bundle, words)
		}
	}
}

func TestHelpEverywhere(t *testing.T) {
	top := runack(t, "--help")
	if top.code != 0 || !strings.Contains(top.stdout, "--root") || top.stderr != "" {
		t.Errorf("runack --help: %+v", top)
	}
	for _, c := range commands("") {
		for _, flag := range []string{"-h", "--help"} {
			r := runack(t, c.Name, flag)
			if r.code != 0 || !strings.Contains(r.stdout, "runack "+c.Name) || r.stderr != "" {
				t.Errorf("runack %s %s: %+v", c.Name, flag, r)
			}
		}
		if !c.Hidden && !strings.Contains(top.stdout, "   "+c.Name+" ") {
			t.Errorf("runack --help does not list %s", c.Name)
		}
	}
}

// TestContainersNamedLikeWords: no word of the command line is reserved.
func TestContainersNamedLikeWords(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"help", "h", "state", "version"} {
		r := runack(t, "--root", root, "state", id)
		if r.code != 1 || !strings.Contains(r.stderr, "container does not exist") {
			t.Errorf("state %s: %+v", id, r)
		}
	}
}

func TestRootMustNotBeSlash(t *testing.T) {
	for _, root := range []string{"/", "/..", "//"} {
		if r := runack(t, "--root", root, "list"); r.code != 1 || !strings.Contains(r.stderr, "must not be /") {
			t.Errorf("--root %s: %+v", root, r)
		}
	}
}

func TestGlobalsOfGoRunc(t *testing.T) {
	root := t.TempDir()
	r := runack(t, "--root", root, "--debug", "--log", filepath.Join(root, "log"), "--log-format", "json",
		"--criu", "/x", "--systemd-cgroup", "--rootless=false", "list", "--format=json")
	if r.code != 0 || r.stdout != "null\n" {
		t.Errorf("%+v", r)
	}
	r = runack(t, "--root", root, "--rootless=", "create", "-b", root, "x")
	if !strings.Contains(r.stderr, "config.json") {
		t.Errorf("--rootless= with nothing: %+v", r)
	}
	r = runack(t, "--root", root, "--rootless=maybe", "create", "-b", root, "x")
	if !strings.Contains(r.stderr, "invalid --rootless") {
		t.Errorf("--rootless=maybe: %+v", r)
	}
}

func TestAMissingSystemCallPointsToTheDoctor(t *testing.T) {
	err := withHint(fmt.Errorf("stage-1: mount: %w", unix.ENOSYS))
	if !errors.Is(err, unix.ENOSYS) || !strings.Contains(err.Error(), "runack doctor") {
		t.Error(err)
	}
	if err := withHint(unix.EPERM); err.Error() != unix.EPERM.Error() {
		t.Error(err)
	}
}
