//go:build failpoints

package act

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// Failpoints tells whether this build has them.
const Failpoints = true

// The variables of a build with failpoints: the list of points, in the grammar of docs/failures.md,
//
//	SIDE: STEP[ OBJECT][#N]=ACTION[(WHAT)][; ...]
//
// and a file that gets the name of every point that is passed, a line each.
const (
	listVar = "RUNACK_FAILPOINTS"
	seenVar = "RUNACK_FAILPOINTS_SEEN"
)

// A point is one item of the list.
type point struct {
	name   string // "runtime: make cgroup"
	nth    int    // it acts at the nth pass, from 1
	action string
	what   int // an errno or a signal
	passed int // guarded by mu
}

var (
	mu     sync.Mutex
	points = sync.OnceValue(func() []*point {
		list, err := parse(os.Getenv(listVar))
		if err != nil {
			// A wrong list must not pass for a run without failpoints.
			fmt.Fprintln(os.Stderr, "runack:", err)
			os.Exit(2)
		}
		return list
	})
)

func parse(list string) ([]*point, error) {
	var points []*point
	for item := range strings.SplitSeq(list, ";") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		p, err := parsePoint(item)
		if err != nil {
			return nil, fmt.Errorf("failpoint %q: %w", item, err)
		}
		points = append(points, p)
	}
	return points, nil
}

func parsePoint(item string) (*point, error) {
	name, action, ok := strings.Cut(item, "=")
	if !ok {
		return nil, errors.New("no action")
	}
	p := &point{name: name, nth: 1}
	if before, nth, numbered := strings.Cut(name, "#"); numbered {
		n, err := strconv.Atoi(nth)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("pass %q is no number from 1", nth)
		}
		p.name, p.nth = before, n
	}
	action, what, _ := strings.Cut(strings.TrimSuffix(action, ")"), "(")
	p.action = action
	switch action {
	case "hang", "close", "garbage", "exit":
		return p, nil
	case "fail":
		p.what = errnoByName(what)
	case "kill":
		p.what = int(unix.SignalNum(what))
	}
	if p.what == 0 {
		return nil, fmt.Errorf("%s(%s) is none of fail(ERRNO), kill(SIGNAL), hang, close, garbage, exit", action, what)
	}
	return p, nil
}

// errnoByName is unix.ErrnoName's reverse; 0 for no errno's name.
func errnoByName(name string) int {
	const maxErrno = 4095
	for n := 1; n <= maxErrno; n++ {
		if name != "" && unix.ErrnoName(unix.Errno(n)) == name {
			return n
		}
	}
	return 0
}

// StageEnv is the environment of the stage: its part of the list, with numbers for names.
func StageEnv() []string {
	var items []string
	for _, p := range points() {
		if !strings.HasPrefix(p.name, string(handshake.Runtime)) {
			items = append(items, fmt.Sprintf("%s#%d=%s(%d)", p.name, p.nth, p.action, p.what))
		}
	}
	env := []string{}
	if len(items) > 0 {
		env = append(env, listVar+"="+strings.Join(items, ";"))
	}
	if path := os.Getenv(seenVar); path != "" {
		env = append(env, seenVar+"="+path)
	}
	return env
}

// pass notes that a point is passed, and returns what is to happen there, nil for nothing.
func pass(step, object string) *point {
	name := string(handshake.Runtime) + ": " + step
	if object != "" {
		name += " " + object
	}
	mu.Lock()
	defer mu.Unlock()
	note(name)
	for _, p := range points() {
		if p.name != name {
			continue
		}
		if p.passed++; p.passed == p.nth {
			return p
		}
	}
	return nil
}

func note(name string) {
	path := os.Getenv(seenVar)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	_, _ = fmt.Fprintln(f, name)
}

// happen does what needs no socket.
func (p *point) happen(step, object string) error {
	switch p.action {
	case "fail":
		return &handshake.StageError{Side: handshake.Runtime, Step: step, Object: strings.TrimSpace(object + " failpoint"),
			Errno: unix.Errno(p.what)}
	case "kill":
		// To this thread, which then goes no further; another might take its time to be stopped.
		runtime.LockOSThread()
		for {
			signal.Reset(unix.Signal(p.what)) // a foreground run catches what it can, and may begin to just now
			_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.Signal(p.what))
			if unix.Signal(p.what) == unix.SIGSTOP {
				return nil // somebody let us go on
			}
			time.Sleep(time.Millisecond)
		}
	case "exit":
		os.Exit(1)
	}
	time.Sleep(24 * time.Hour) // not select{}, which Go would take for a deadlock
	return nil
}

func failpoint(a Act) error {
	if p := pass(string(a), ""); p != nil {
		return p.happen(string(a), "")
	}
	return nil
}

// Frame is passed by every frame that the runtime writes or has read; fd is the socket.
func Frame(step, message string, fd int) error {
	p := pass(step, message)
	switch {
	case p == nil:
		return nil
	case p.action == "close":
		// The number stays taken, as whoever owns it does not know.
		return unix.Shutdown(fd, unix.SHUT_RDWR)
	case p.action == "garbage":
		_, err := unix.Write(fd, []byte("no frame, no frame"))
		return err
	}
	return p.happen(step, message)
}
