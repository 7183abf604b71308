// Package rawfd owns the use of a file's descriptor for a system call that package os has no method for.
// It refuses to switch files to blocking mode, as [os.File.Fd] would: those of Go's poller stay with it.
package rawfd

import "os"

// Use calls use with f's descriptor, which is open until use returns. Errors are use's, or say that f
// is closed.
func Use(f *os.File, use func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var uerr error
	if err := raw.Control(func(fd uintptr) { uerr = use(int(fd)) }); err != nil {
		return err
	}
	return uerr
}
