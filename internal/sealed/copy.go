package sealed

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// minFD keeps a copy's descriptor out of the way: ForkExec renumbers the child's descriptors and
// would overwrite a small one.
const minFD = 64

// Copy makes a copy of a program, executable through Path and sealed: nobody who gets to it through
// /proc/PID/exe reaches a file of the host (CVE-2019-5736), and it cannot be changed. The caller owns
// the descriptor, which is close-on-exec and at least 64. Errors are *handshake.StageError where a
// system call failed.
func Copy(name string, program []byte) (int, error) {
	fd, err := copyToMemfd(name, program)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) {
		fd, err = copyToFile(name, program) // vm.memfd_noexec=2 forbids executable memfds
	}
	return fd, err
}

// Path is where this process can execute a copy from.
func Path(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func copyToMemfd(name string, program []byte) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// A descriptor open for writing makes execve fail with ETXTBSY, so no child may inherit it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.MemfdCreate("runack-"+name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("runack-"+name, flags)
	}
	if err != nil {
		return -1, failed(name, "memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name+" memfd")
	defer f.Close()
	if _, err := f.Write(program); err != nil {
		return -1, failed(name, "write", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return -1, failed(name, "seal", err)
	}
	return reopen(name, f)
}

// copyToFile makes an unlinked file that nobody has open for writing.
func copyToFile(name string, program []byte) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Open(os.TempDir(), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC|unix.O_EXCL, 0o500)
	if err != nil {
		return -1, failed(name, "open O_TMPFILE", err)
	}
	f := os.NewFile(uintptr(fd), name+" file")
	defer f.Close()
	if _, err := f.Write(program); err != nil {
		return -1, failed(name, "write", err)
	}
	return reopen(name, f)
}

// reopen returns a read-only descriptor, numbered out of the way.
func reopen(name string, f *os.File) (int, error) {
	fd, err := unix.Open(Path(int(f.Fd())), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, failed(name, "reopen", err)
	}
	defer unix.Close(fd)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, minFD)
	if errors.Is(err, unix.EINVAL) { // a number that RLIMIT_NOFILE does not allow (fcntl(2))
		return -1, fmt.Errorf("%w: RLIMIT_NOFILE has to be above %d", failed(name, "dup", unix.EMFILE), minFD)
	}
	if err != nil {
		return -1, failed(name, "dup", err)
	}
	return high, nil
}

func failed(name, step string, err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return &handshake.StageError{Side: handshake.Runtime, Step: "copy " + name, Object: step, Errno: errno}
	}
	return fmt.Errorf("runtime: copy %s: %s: %w", name, step, err)
}
