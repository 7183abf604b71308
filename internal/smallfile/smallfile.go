// Package smallfile owns reading and writing the small files of procfs, cgroupfs and a state directory
// in one go, by the system calls that it takes and no others: open, read, close. os.ReadFile adds six,
// since it offers each file to the runtime's poller, which takes 10 to 20 us a file and more on cgroupfs
// (BenchmarkRead); a run reads some thirty.
//
// It refuses what can block or be large: pipes, terminals, and files of unknown origin.
package smallfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Read reads a whole file. Errors are of type *os.PathError.
func Read(path string) ([]byte, error) { return ReadAt(unix.AT_FDCWD, path, 0) }

// ReadAt reads a whole file below an open directory. flags are added to those of open(2).
func ReadAt(dir int, path string, flags int) ([]byte, error) {
	fd, err := open(dir, path, flags|unix.O_RDONLY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 1024)
	for {
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// WriteAt writes a whole file below an open directory, which is made or emptied first. Errors are of
// type *os.PathError; part of the file may be there then.
func WriteAt(dir int, path string, data []byte, flags int, mode uint32) error {
	fd, err := open(dir, path, flags|unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, mode)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	for len(data) > 0 && err == nil {
		var n int
		n, err = retry(func() (int, error) { return unix.Write(fd, data) })
		data = data[max(n, 0):]
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

func open(dir int, path string, flags int, mode uint32) (int, error) {
	return retry(func() (int, error) { return unix.Openat(dir, path, flags|unix.O_CLOEXEC, mode) })
}

// retry repeats a call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
