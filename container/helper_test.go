package container

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// helpers are what the test binary does when it plays another process. A helper says "ready" on its
// stdout when the test may go on, and ends at the latest with its stdin.
var helpers = map[string]func(args []string) error{}

const helperEnv = "RUNACK_CONTAINER_TEST_HELPER"

func TestMain(m *testing.M) {
	name := os.Getenv(helperEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	helper := helpers[name]
	if helper == nil {
		fmt.Fprintf(os.Stderr, "no helper %q\n", name)
		os.Exit(2)
	}
	if err := helper(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A helperProcess is a running helper.
type helperProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

// startHelper starts a helper; it is ended with the test.
func startHelper(t *testing.T, name string, args ...string) *helperProcess {
	t.Helper()
	h := &helperProcess{t: t, cmd: exec.Command("/proc/self/exe", args...)}
	h.cmd.Env = append(os.Environ(), helperEnv+"="+name)
	h.cmd.Stderr = os.Stderr
	var err error
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
	})
	return h
}

// line waits for the helper's next line.
func (h *helperProcess) line() string {
	h.t.Helper()
	s, err := h.out.ReadString('\n')
	if err != nil {
		h.t.Fatalf("helper ended: %v", err)
	}
	return strings.TrimSpace(s)
}

// say writes a helper's line.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// untilEOF waits for the end of stdin.
func untilEOF() { _, _ = io.Copy(io.Discard, os.Stdin) }

func init() {
	helpers["idle"] = func([]string) error {
		say("ready")
		untilEOF()
		return nil
	}
}

// newStore gives a store in a directory of its own.
func newStore(t *testing.T) *Store {
	t.Helper()
	return &Store{Root: t.TempDir() + "/state"}
}

// claimed claims an ID and gives the directory, unlocked.
func claimed(t *testing.T, s *Store, id string) *stateDir {
	t.Helper()
	dir, err := s.claim(id)
	if err != nil {
		t.Fatal(err)
	}
	dir.unlock()
	t.Cleanup(dir.close)
	return dir
}

// write puts a record in place.
func write(t *testing.T, dir *stateDir, r *Record) {
	t.Helper()
	if err := dir.locked(func() error { return dir.writeRecord(r) }); err != nil {
		t.Fatal(err)
	}
}
