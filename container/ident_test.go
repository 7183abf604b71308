package container

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runack/nsexec"
)

func TestParseStartTime(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21"
	for name, row := range map[string]struct {
		stat string
		want uint64
		ok   bool
	}{
		"plain name":                {"17 (sh)" + tail, 4242, true},
		"name with spaces":          {"17 (a b c)" + tail, 4242, true},
		"name with parentheses":     {"17 (a) S 1 (b)" + tail, 4242, true},
		"name that ends in paren":   {"17 ())" + tail, 4242, true},
		"no name":                   {"17 sh S 1 2", 0, false},
		"cut short":                 {"17 (sh) S 1 2 3", 0, false},
		"empty":                     {"", 0, false},
		"start time is no number":   {"17 (sh)" + strings.Replace(tail, "4242", "x", 1), 0, false},
		"start time larger than 32": {"17 (sh)" + strings.Replace(tail, "4242", "18446744073709551615", 1), 1<<64 - 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStartTime([]byte(row.stat))
			if (err == nil) != row.ok || got != row.want {
				t.Errorf("got %d, %v; want %d, ok %v", got, err, row.want, row.ok)
			}
		})
	}
}

func mustIdent(t *testing.T, pid int) Ident {
	t.Helper()
	id, err := identOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantAlive(t *testing.T, id Ident, want bool) {
	t.Helper()
	got, err := id.alive()
	if err != nil || got != want {
		t.Errorf("alive(%+v) = %v, %v; want %v", id, got, err, want)
	}
}

func TestIdentTellsRecycledPidsApart(t *testing.T) {
	self := mustIdent(t, os.Getpid())
	wantAlive(t, self, true)
	wantAlive(t, Ident{Pid: self.Pid, Start: self.Start + 1}, false)
	wantAlive(t, Ident{Pid: self.Pid, Start: 0}, false)
	wantAlive(t, Ident{}, false)
	wantAlive(t, Ident{Pid: -1, Start: self.Start}, false)
}

func init() {
	// Tells the number of a thread that is not the process's first one.
	helpers["thread"] = func([]string) error {
		other := make(chan int)
		var look func()
		look = func() {
			runtime.LockOSThread()
			if unix.Gettid() == os.Getpid() {
				go look() // on another thread, as this one is taken
			} else {
				other <- unix.Gettid()
			}
			select {}
		}
		go look()
		say("%d", <-other)
		untilEOF()
		return nil
	}
}

// A thread has a number and a start time, as a process has, and it is none.
func TestIdentOfThreadIsNoProcess(t *testing.T) {
	tid, err := strconv.Atoi(startHelper(t, "thread").line())
	if err != nil {
		t.Fatal(err)
	}
	wantAlive(t, mustIdent(t, tid), false)
}

func TestIdentZombieIsGone(t *testing.T) {
	h := startHelper(t, "idle")
	h.line()
	id := mustIdent(t, h.cmd.Process.Pid)
	wantAlive(t, id, true)
	pidfd, err := id.open()
	if err != nil || pidfd == nil {
		t.Fatalf("open: %v, %v", pidfd, err)
	}
	defer pidfd.Close()
	if gone, err := nsexec.WaitPidFD(pidfd, 0); gone || err != nil {
		t.Fatalf("a living process: gone %v, %v", gone, err)
	}
	h.stdin.Close()
	if gone, err := nsexec.WaitPidFD(pidfd, 10*time.Second); !gone || err != nil {
		t.Fatalf("after its end: gone %v, %v", gone, err)
	}
	if _, err := os.Stat(procFile(id.Pid, "stat")); err != nil {
		t.Fatalf("not a zombie: %v", err)
	}
	wantAlive(t, id, false)
}

func TestWaitPidFDTimesOut(t *testing.T) {
	pidfd, err := mustIdent(t, os.Getpid()).open()
	if err != nil {
		t.Fatal(err)
	}
	defer pidfd.Close()
	if gone, err := nsexec.WaitPidFD(pidfd, time.Millisecond); gone || err != nil {
		t.Errorf("gone %v, %v; want a timeout", gone, err)
	}
}
