package handshake

import (
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// helperEnv makes this test binary play a child: it waits for the end of its standard input and
// leaves, the sync socket being whatever it was given as descriptor 3.
const helperEnv = "RUNACK_HANDSHAKE_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child starts the helper, holding fd open as its descriptor 3 (-1: nothing), and returns its pidfd
// and a function that makes it die and waits until it has.
func child(t testing.TB, fd int) (pidfd int, die func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	if fd >= 0 {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(dup), "sync")
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd, err = unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	die = sync.OnceFunc(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("helper:", err)
		}
	})
	t.Cleanup(func() {
		die()
		_ = unix.Close(pidfd)
	})
	return pidfd, die
}
