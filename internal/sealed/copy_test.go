package sealed

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A copy executes, is out of the way, does not leak into children, and cannot be changed.
func TestCopies(t *testing.T) {
	path, err := exec.LookPath("true")
	if err != nil {
		t.Skip("there is no program to copy")
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, copy := range map[string]func(string, []byte) (int, error){"memfd": copyToMemfd, "file": copyToFile} {
		t.Run(name, func(t *testing.T) {
			fd, err := copy("test", program)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := exec.Command(Path(fd)).Run(); err != nil {
				t.Errorf("execute: %v", err)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 || fd < minFD {
				t.Errorf("descriptor %d, flags %#x, %v", fd, flags, err)
			}
			if _, err := unix.Write(fd, []byte("x")); !errors.Is(err, unix.EBADF) {
				t.Errorf("write: %v", err)
			}
			if name != "memfd" {
				return // protected by having no name, and by ETXTBSY while it runs
			}
			again, err := os.OpenFile(Path(fd), os.O_RDWR, 0)
			if err == nil {
				_, err = again.WriteAt([]byte("x"), 0)
				again.Close()
			}
			if !errors.Is(err, unix.EPERM) {
				t.Errorf("open again and write: %v", err)
			}
		})
	}
}
