package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

type oracleRequest struct {
	Config   json.RawMessage
	Rootless bool
}

type oracleVerdict struct {
	Step     string
	Error    string
	Warnings []string
}

// askOracle lets libcontainer decide about configurations.
func askOracle(t *testing.T, requests []oracleRequest) []oracleVerdict {
	t.Helper()
	dir := physicalDir(t)
	must(t, os.Mkdir(filepath.Join(dir, "rootfs"), 0o755))
	userNS := []byte(makeUserNS(t))
	var in bytes.Buffer
	for _, r := range requests {
		r.Config = bytes.ReplaceAll(r.Config, []byte(otherUserNS), userNS)
		must(t, json.NewEncoder(&in).Encode(r))
	}
	answers := json.NewDecoder(bytes.NewReader(runOracle(t, &in, "judge", dir)))
	verdicts := make([]oracleVerdict, len(requests))
	for i := range verdicts {
		if err := answers.Decode(&verdicts[i]); err != nil {
			t.Fatalf("verdict %d of %d: %v", i, len(verdicts), err)
		}
	}
	return verdicts
}

// runOracle asks one question. It builds the oracle with cgo, whatever this test is built with.
func runOracle(t *testing.T, in io.Reader, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no C compiler: libcontainer's specconv needs cgo")
	}
	bin := filepath.Join(t.TempDir(), "oracle")
	build := exec.Command("go", "build", "-o", bin, "./internal/oracle")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the oracle: %v\n%s", err, out)
	}
	ask := exec.Command(bin, args...)
	var stderr bytes.Buffer
	ask.Stdin, ask.Stderr = in, &stderr
	out, err := ask.Output()
	if err != nil {
		t.Fatalf("the oracle: %v\n%s", err, &stderr)
	}
	return out
}

// makeUserNS keeps a process in a user namespace of its own until the test ends, and gives the
// namespace's path.
func makeUserNS(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps}
	if err := cmd.Start(); err != nil {
		t.Skipf("no user namespace to be had here: %v", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // cat ends at the end of its input
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid)
}

// physicalDir is a temporary directory without symbolic links on the way.
func physicalDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestOracle compares every row with what libcontainer decides. Where the two differ the row has
// to say why, and where a row says why the two have to differ.
func TestOracle(t *testing.T) {
	rows := allRows()
	requests := make([]oracleRequest, len(rows))
	for i, r := range rows {
		config, err := json.Marshal(r.spec())
		if err != nil {
			t.Fatal(err)
		}
		requests[i] = oracleRequest{Config: config}
	}
	differ := 0
	for i, v := range askOracle(t, requests) {
		ours, theirs := rows[i].path == "", v.Error == ""
		switch {
		case ours == theirs && rows[i].differs != "":
			t.Errorf("%s: both decide the same (libcontainer: %q), and yet the row says %q", rows[i].name, v.Error, rows[i].differs)
		case ours != theirs && rows[i].differs == "":
			t.Errorf("%s: accepted here: %v, by libcontainer: %v (%s: %s)", rows[i].name, ours, theirs, v.Step, v.Error)
		case ours != theirs:
			differ++
		}
	}
	t.Logf("%d configurations: %d decided alike, %d differ for a reason", len(rows), len(rows)-differ, differ)
}

// TestOracleRootless does the same for what depends on the runtime's user.
func TestOracleRootless(t *testing.T) {
	requests := make([]oracleRequest, len(hostRows))
	for i, r := range hostRows {
		config, err := json.Marshal(r.spec())
		if err != nil {
			t.Fatal(err)
		}
		requests[i] = oracleRequest{Config: config, Rootless: r.host.Rootless}
	}
	for i, v := range askOracle(t, requests) {
		ours, theirs := hostRows[i].path == "", v.Error == ""
		if (ours != theirs) != (hostRows[i].differs != "") {
			t.Errorf("%s: accepted here: %v, by libcontainer: %v (%s: %s), reason %q",
				hostRows[i].name, ours, theirs, v.Step, v.Error, hostRows[i].differs)
		}
	}
}
