package handshake

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrnoName(t *testing.T) {
	for e, want := range map[unix.Errno]string{0: "", unix.ENOENT: "ENOENT (2)", unix.EPERM: "EPERM (1)", unix.EAGAIN: "EAGAIN (11)", 512: "errno 512"} {
		if got := ErrnoName(e); got != want {
			t.Errorf("%d: %q", int(e), got)
		}
	}
}

func TestProtocolErrorText(t *testing.T) {
	for _, c := range []struct {
		err  ProtocolError
		want string
	}{
		{ProtocolError{Side: Runtime, From: Stage1, Type: Created, Kind: KindOrder, Expected: "joined from stage-1", Got: "created from stage-1"},
			"runtime: read frame created from stage-1: message out of turn: expected joined from stage-1, got created from stage-1"},
		{ProtocolError{Side: Stage0, From: Runtime, Kind: KindMagic, Expected: "52 41 4b", Got: "7b 22 74"},
			"stage-0: read frame from runtime: wrong magic: expected 52 41 4b, got 7b 22 74"},
		{ProtocolError{Side: Runtime, From: Stage0, Kind: KindShortHeader, Expected: "8 bytes", Got: "3", Err: io.ErrUnexpectedEOF},
			"runtime: read frame from stage-0: header cut short: expected 8 bytes, got 3: unexpected EOF"},
		{ProtocolError{Side: Runtime, From: Runtime, Type: Plan, Kind: KindOrder, Expected: "spawn from runtime", Got: "plan"},
			"runtime: write frame plan: message out of turn: expected spawn from runtime, got plan"},
		{ProtocolError{Side: Runtime, Kind: KindShortPayload, Expected: "9 bytes", Got: "1", Err: unix.ENOTDIR},
			"runtime: read frame: payload cut short: expected 9 bytes, got 1: ENOTDIR (20)"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// The errors that a runtime gets from a hostile stage are short and keep to one line.
func TestForeignTextIsTamed(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	at(Joining, run)
	payload := `{"type":"` + strings.Repeat(`\n\u001b[2J`, 1000) + `","from":"stage-1","seq":0}`
	_, err := unix.Write(stage.FD(), append(appendHeader(nil, len(payload)), payload...))
	must(t, err)
	_, err = run.Receive(soon(), -1)
	wantKind(t, err, KindType)
	if s := err.Error(); len(s) > 500 || strings.ContainsAny(s, "\n\x1b") {
		t.Errorf("%q", s)
	}
}

func TestStageErrorText(t *testing.T) {
	for _, c := range []struct {
		err  StageError
		want string
	}{
		{StageError{Stage1, "join namespace", "net of pid 42", unix.EPERM, "detail"}, "stage-1: join namespace: net of pid 42: EPERM (1): detail"},
		{StageError{Stage0, "clone stage-1", "", unix.EAGAIN, ""}, "stage-0: clone stage-1: EAGAIN (11)"},
		{StageError{Stage1, "run hook", "createContainer 2 /bin/h", 0, "exit status 3: no\nsuch\tluck\n"}, "stage-1: run hook: createContainer 2 /bin/h: exit status 3: no such luck"},
		{StageError{Stage1, "mount", "/x", unix.ENOENT, ""}, "stage-1: mount: /x: ENOENT (2)"},
		{StageError{Stage1, StepLookup, "x", unix.ENOENT, ""}, `exec: "x": executable file not found in $PATH`},
		{StageError{Stage1, StepLookup, "/x", unix.ENOENT, ""}, `exec: "/x": stat /x: no such file or directory`},
		{StageError{Stage1, StepLookup, "/x", unix.EACCES, ""}, `exec: "/x": permission denied`},
		{StageError{Stage1, StepLookup, "x", unix.EACCES, ""}, `exec: "x": permission denied`},
		{StageError{Stage1, StepLookup, "/dir", unix.EISDIR, ""}, `exec: "/dir": is a directory: permission denied`},
		{StageError{Stage1, StepLookup, "/x/y", unix.ENOTDIR, ""}, `exec: "/x/y": stat /x/y: not a directory`},
		{StageError{Stage1, StepLookup, "./x", unix.ELOOP, ""}, `exec: "./x": stat ./x: too many levels of symbolic links`},
		{StageError{Stage1, StepExecute, "/x", unix.ENOEXEC, ""}, `exec /x: exec format error`},
		{StageError{Stage1, StepExecute, "/x", unix.EACCES, ""}, `exec /x: permission denied`},
		{StageError{Stage1, StepExecute, "/x", unix.ENOENT, ""}, `exec /x: no such file or directory`},
		{StageError{Stage1, StepLookup, "x", 0, "empty name"}, "stage-1: find program: x: empty name"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		wrapped := fmt.Errorf("container web1: %w", &c.err)
		if c.err.Errno != 0 && !errors.Is(wrapped, c.err.Errno) {
			t.Errorf("%v is not its errno", wrapped)
		}
	}
}

// The words for the program are those of os/exec, which is what runc prints.
func TestLookupWordsAreOsExecs(t *testing.T) {
	dir := t.TempDir()
	plain, sub := filepath.Join(dir, "plain"), filepath.Join(dir, "sub")
	must(t, os.WriteFile(plain, nil, 0o644))
	must(t, os.Mkdir(sub, 0o755))
	loop := filepath.Join(dir, "loop")
	must(t, os.Symlink("loop", loop))
	long := "/" + strings.Repeat("x", 300)
	t.Setenv("PATH", dir)
	for name, errno := range map[string]unix.Errno{
		"nothing": unix.ENOENT, filepath.Join(dir, "nothing"): unix.ENOENT, plain: unix.EACCES, sub: unix.EISDIR,
		plain + "/x": unix.ENOTDIR, loop: unix.ELOOP, long: unix.ENAMETOOLONG,
	} {
		_, err := exec.LookPath(name)
		e := &StageError{Stage1, StepLookup, name, errno, ""}
		ours := e.Error()
		if errno == unix.EISDIR { // the permission on top is ours
			ours = strings.TrimSuffix(ours, ": permission denied")
		}
		if err == nil || err.Error() != ours {
			t.Errorf("os/exec: %v\nours:    %v", err, e)
		}
	}
}

// An error about anything but the program must not look like one to docker, podman or CRI-O.
func TestStageErrorAvoidsClientsWords(t *testing.T) {
	for errno := unix.Errno(1); errno < 134; errno++ {
		s := (&StageError{Stage1, "mount", "/x", errno, ""}).Error()
		for _, words := range []string{"no such file or directory", "permission denied", "is a directory", "not a directory",
			"executable file not found", "operation not permitted", "no such process"} {
			if strings.Contains(strings.ToLower(s), words) {
				t.Error(s)
			}
		}
	}
}

func TestKindsHaveWords(t *testing.T) {
	for _, k := range kindTexts {
		if k.kind.String() != k.text || k.text == "" {
			t.Errorf("%s: %q", string(k.kind), k.text)
		}
	}
	if got := Kind("new").String(); got != "new" {
		t.Error(got)
	}
}
