package reaper

import (
	"testing"

	"golang.org/x/sys/unix"
)

func started(t testing.TB, s *Start, p proc) {
	t.Helper()
	if err := s.Started(p.pidfd, p.pid); err != nil {
		t.Fatal(err)
	}
}

func TestWaitOne(t *testing.T) {
	r := newReaper(t, Options{})
	s := r.Starting("x")
	defer s.Failed()
	p := fork(t, "x\x07", false)
	defer p.close()
	started(t, s, p)
	e, err := s.Wait(limit(t))
	if err != nil || e.Code() != 7 || e.Pid != p.pid {
		t.Fatalf("got %v, %v", e, err)
	}
	if _, err := unix.Wait4(p.pid, nil, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Fatalf("process is still there: %v", err)
	}
}
