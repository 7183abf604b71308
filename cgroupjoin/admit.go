package cgroupjoin

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"runack/internal/flock"
	"runack/internal/smallfile"
)

// PidsLimitError refuses a strict exec.
type PidsLimitError struct {
	Limit, InUse uint64
	Cgroup       string // the directory whose limit it is, where that is not the container's own
}

func (e *PidsLimitError) Error() string {
	text := fmt.Sprintf("pids limit reached (%d of %d in use)", e.InUse, e.Limit)
	if e.Cgroup != "" {
		text += " of " + e.Cgroup
	}
	return text
}

// admissionFile, in the container's state directory, holds who was admitted: a line "PID START" each.
const admissionFile = "exec.pids"

// Admit decides whether a strict exec may have a slot of the pids limit. It is called for a child
// that exists and waits outside of the cgroup, between its ready frame and the join; dir is the
// container's state directory. The answer is a *PidsLimitError where no slot is free.
//
// The kernel itself counts at a clone only: whoever joins from outside is let in over the limit. So
// Admit keeps the count, and on v2 no strict exec may be born in the cgroup (CountByAdmit), or the kernel
// would count beside it. Of any number of execs at the same time as many are admitted as there are
// slots, and no fewer:
//
//   - A slot is promised to a process, by pid and start time, under a file lock that is held for as
//     long as it takes to read a few files, or for the 20 ms of room. Nobody waits for a stage while
//     holding it.
//   - A promise counts until its process is seen in the cgroup (from then on the kernel counts it) or
//     has ended. Nothing has to be taken back: a runtime that dies leaves nothing behind that counts.
//
// Not covered, since the kernel has no such thing as a promised slot: the container's own forks, and
// processes that other runtimes bring in below a limit of a cgroup further up, between the admission
// and the join. They can lead to an exec over the limit, never to one refused while a slot is free.
func (t *Target) Admit(dir string, pid int) error {
	f, err := lockFile(filepath.Join(dir, admissionFile))
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	promises, err := readPromises(f)
	if err != nil {
		return err
	}
	group := t.pidsDir()
	if group == "" {
		return nil
	}
	pending, member, err := room(group, promises, pid)
	if err != nil || member {
		return err
	}
	return writePromises(f, append(pending, promise{pid, startTime(pid)}))
}

// room looks for a slot for pid and gives the promises that are still open; a member needs none.
//
// A process on its way in is charged before it is listed (pids_can_attach runs ahead of the move), so
// for some microseconds, or as long as the joiner is off the processor, it counts twice: as used and
// as promised. No file tells that window. So a refusal that rests on open promises is looked at again,
// until nobody is on the way or the time is over; a joiner that has not moved by then has not begun.
func room(group string, promises []promise, pid int) (pending []promise, member bool, err error) {
	const pause, patience = 250 * time.Microsecond, 20 * time.Millisecond
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		members, pending, err := takeStock(group, promises, pid)
		if err != nil || members[pid] {
			return nil, members[pid], err
		}
		err = checkLimits(group, promises, pid, uint64(len(pending)))
		var full *PidsLimitError
		if !errors.As(err, &full) || len(pending) == 0 || time.Now().After(end) {
			return pending, false, err
		}
	}
}

// pidsDir is the directory whose pids.max counts, "" where there is none.
func (t *Target) pidsDir() string {
	if t.cg.saved.Layout == V2 {
		return t.paths[""]
	}
	return t.paths["pids"]
}

// checkLimits looks at the cgroup's own limit and at those above it, as the kernel does at a clone.
func checkLimits(group string, promises []promise, pid int, pending uint64) error {
	for dir := group; dir != cgroupRoot && dir != "/"; dir = filepath.Dir(dir) {
		limit, err := readCount(dir, "pids.max")
		if errors.Is(err, unix.ENOENT) {
			continue // the root of the hierarchy, or on v2 a cgroup without the controller
		}
		if err != nil {
			return err
		}
		if limit == 0 && !limitIsZero(dir) {
			continue
		}
		used, pending, err := inUse(dir, group, promises, pid, pending)
		if err != nil {
			return err
		}
		if used+pending >= limit {
			e := &PidsLimitError{Limit: limit, InUse: used + pending}
			if dir != group {
				e.Cgroup = dir
			}
			return e
		}
	}
	return nil
}

// limitIsZero tells a limit of 0, which another program may have set, from none.
func limitIsZero(dir string) bool {
	text, err := smallfile.Read(filepath.Join(dir, "pids.max"))
	return err == nil && strings.TrimSpace(string(text)) == "0"
}

// inUse reads pids.current of dir and counts the promises that are not in it. A process may join
// between the two, so it looks before and after, until nothing has changed; each process joins once.
func inUse(dir, group string, promises []promise, pid int, pending uint64) (used, still uint64, err error) {
	for {
		if used, err = readCount(dir, "pids.current"); err != nil {
			return 0, 0, err
		}
		_, after, err := takeStock(group, promises, pid)
		if err != nil {
			return 0, 0, err
		}
		if uint64(len(after)) == pending {
			return used, pending, nil
		}
		pending = uint64(len(after))
	}
}

// takeStock lists the members of the cgroup and the promises that are neither members nor ended,
// pid's own left out.
func takeStock(group string, promises []promise, pid int) (members map[int]bool, pending []promise, err error) {
	pids, err := cgroups.GetAllPids(group)
	if err != nil {
		return nil, nil, explain("list processes", err)
	}
	members = make(map[int]bool, len(pids))
	for _, p := range pids {
		members[p] = true
	}
	for _, p := range promises {
		if p.pid != pid && !members[p.pid] && p.alive() {
			pending = append(pending, p)
		}
	}
	return members, pending, nil
}

// A promise is a slot given to a process that has not joined yet.
type promise struct {
	pid   int
	start string // of the process, in clock ticks since boot: a pid alone could be another's by now
}

// alive: PF_EXITING, for a process that is on its way out has left its cgroup, or is about to.
func (p promise) alive() bool {
	const exiting = 4
	fields := statFields(p.pid)
	if len(fields) < 20 || fields[19] != p.start || fields[0] == "Z" || fields[0] == "X" {
		return false
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	return err == nil && flags&exiting == 0
}

func startTime(pid int) string {
	if fields := statFields(pid); len(fields) >= 20 {
		return fields[19]
	}
	return ""
}

// lockFile opens a file and takes its lock. The lock goes when the file is closed, so with a dying
// process too.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, explain("admit exec", err)
	}
	if err := flock.Lock(int(f.Fd()), flock.Timeout); err != nil {
		_ = f.Close()
		return nil, &Error{Step: "admit exec", File: path, Err: err}
	}
	return f, nil
}

func readPromises(f *os.File) ([]promise, error) {
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, explain("admit exec", err)
	}
	var out []promise
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue // the tail of a write that a crash cut short: that process has not joined
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil && pid > 0 {
			out = append(out, promise{pid, fields[1]})
		}
	}
	return out, nil
}

func writePromises(f *os.File, promises []promise) error {
	lines := map[string]bool{}
	for _, p := range promises {
		lines[fmt.Sprintf("%d %s\n", p.pid, p.start)] = true
	}
	text := strings.Join(slices.Sorted(maps.Keys(lines)), "")
	if err := f.Truncate(0); err != nil {
		return explain("admit exec", err)
	}
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		return explain("admit exec", err)
	}
	return nil
}
