package rawfd

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUseLeavesTheFileWithThePoller(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := Use(r, func(fd int) error { _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); return err }); err != nil {
		t.Error(err)
	}
	// A file in blocking mode has no deadlines.
	if err := r.SetReadDeadline(time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if err := Use(r, func(int) error { return unix.EBADMSG }); !errors.Is(err, unix.EBADMSG) {
		t.Errorf("an error of the call's own came as %v", err)
	}
	_ = r.Close()
	if err := Use(r, func(int) error { t.Error("called with a closed file"); return nil }); err == nil {
		t.Error("a closed file was used")
	}
}
