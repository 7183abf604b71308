package nsexec

import (
	_ "embed" // for the stage and its list of steps
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// stageBinary is the static executable that the Makefile builds from folder stage.
//
//go:embed stage.bin
var stageBinary []byte

// minStageFD keeps the copy's descriptor out of the way: ForkExec renumbers the child's descriptors
// and would overwrite a small one.
const minStageFD = 64

// stageFD is a sealed copy of the stage, made once a process: nobody who gets to it through
// /proc/PID/exe reaches a file of the host (CVE-2019-5736), and it cannot be changed.
var stageFD = sync.OnceValues(func() (int, error) {
	fd, err := copyToMemfd()
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) {
		fd, err = copyToFile() // vm.memfd_noexec=2 forbids executable memfds
	}
	return fd, err
})

// stagePath is where the stage can be executed from.
func stagePath() (string, error) {
	fd, err := stageFD()
	if err != nil {
		return "", err
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}

func copyToMemfd() (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// A descriptor open for writing makes execve fail with ETXTBSY, so no child may inherit it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.MemfdCreate("runack-stage", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("runack-stage", flags)
	}
	if err != nil {
		return -1, binaryError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "stage memfd")
	defer f.Close()
	if _, err := f.Write(stageBinary); err != nil {
		return -1, binaryError("write", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return -1, binaryError("seal", err)
	}
	return reopen(f)
}

// copyToFile makes an unlinked file that nobody has open for writing.
func copyToFile() (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Open(os.TempDir(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC|unix.O_EXCL, 0o500)
	if err != nil {
		return -1, binaryError("open O_TMPFILE", err)
	}
	f := os.NewFile(uintptr(fd), "stage file")
	defer f.Close()
	if _, err := f.Write(stageBinary); err != nil {
		return -1, binaryError("write", err)
	}
	return reopen(f)
}

// reopen returns a read-only descriptor, numbered out of the way.
func reopen(f *os.File) (int, error) {
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, binaryError("reopen", err)
	}
	defer unix.Close(fd)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, minStageFD)
	if err != nil {
		return -1, binaryError("dup", err)
	}
	return high, nil
}

func binaryError(step string, err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return &handshake.StageError{Side: handshake.Runtime, Step: "copy stage", Object: step, Errno: errno}
	}
	return fmt.Errorf("runtime: copy stage: %s: %w", step, err)
}
