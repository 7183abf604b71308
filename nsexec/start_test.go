package nsexec

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A stage that has died between create and start leaves a socket at which nobody listens.
func TestDialSaysHowTheStageDied(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	fd := -1
	stage := exec.Command("sh", "-c", "kill -9 $$")
	stage.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
	if err := stage.Start(); err != nil {
		t.Fatal(err)
	}
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	defer pidfd.Close()
	_, err = Dial(dir, pidfd, Options{})
	var death *Death
	if !errors.As(err, &death) || !errors.Is(err, unix.ECONNREFUSED) || !strings.Contains(err.Error(), "stage-1: killed by SIGKILL (9)") {
		t.Errorf("%v", err)
	}
	_ = stage.Wait() // it was killed
}
