package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Leftover is something that should be gone, or should still be there.
type Leftover struct {
	Kind string // "process", "mount", "cgroup", "descriptor", "state", "file", "network namespace"
	What string
	drop func() error // removes it; nil where that is not for us to do
	path string       // of a cgroup
	on   string       // what a mount is on
}

func (l Leftover) String() string { return l.Kind + ": " + l.What }

// A snapshot is everything that a test could leave behind, by a key that stays the same while the
// thing does.
type snapshot map[string]Leftover

func (s snapshot) add(key string, l Leftover) {
	// Two equal mounts in one place are two things.
	for n := 2; ; n++ {
		if _, taken := s[key]; !taken {
			break
		}
		key = fmt.Sprintf("%s #%d", key, n)
	}
	s[key] = l
}

// take looks at everything. dirs are where nothing may appear: the state directory, TMPDIR.
func take(marker string, dirs map[string]string) snapshot {
	s := snapshot{}
	s.processes()
	s.mounts()
	s.cgroups(marker)
	s.descriptors()
	for dir, kind := range dirs {
		s.directory(dir, kind, "")
	}
	for _, dir := range []string{"/run", "/run/runack", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"} {
		s.directory(dir, "file", marker)
	}
	s.directory("/run/netns", "network namespace", "")
	return s
}

// since says what is there that was not there before, and which mounts are not there any more.
func (s snapshot) since(before snapshot) []Leftover {
	var left []Leftover
	for key, l := range s {
		if _, old := before[key]; !old {
			left = append(left, l)
		}
	}
	for key, l := range before {
		if _, still := s[key]; !still && l.Kind == "mount" && there(l.on) {
			left = append(left, Leftover{Kind: "mount", What: "gone from the host or changed: " + l.What})
		}
	}
	slices.SortFunc(left, func(a, b Leftover) int { return strings.Compare(a.String(), b.String()) })
	return left
}

// there tells whether what a mount is on is still there. Where it has been removed, which is possible
// from another mount namespace alone, the kernel has taken the mount away (rmdir(2)): it was another
// suite's, that runs beside this one.
func there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (s snapshot) processes() {
	children.reapIfStarted()
	for _, pid := range descendants(os.Getpid()) {
		if children.isOwn(pid) && isZombie(pid) {
			continue // about to be waited for
		}
		s.add(fmt.Sprintf("process %d", pid), Leftover{Kind: "process", What: describe(pid), drop: func() error { return kill(pid) }})
	}
}

func isZombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	i := bytes.LastIndexByte(text, ')')
	return i >= 0 && len(text) > i+2 && text[i+2] == 'Z'
}

// kill ends a process that descends from us, and waits for its end.
func kill(pid int) error {
	if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	if !ended(pid, Deadline(5*time.Second)) {
		return fmt.Errorf("%s survives SIGKILL", describe(pid))
	}
	return nil
}

func (s snapshot) mounts() {
	for _, m := range mountTable() {
		if !shared.private && !strings.Contains(m.place, shared.marker) {
			continue // the host's own, which come and go
		}
		l := Leftover{Kind: "mount", What: m.line, on: m.place, drop: func() error {
			return unix.Unmount(m.place, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}}
		if m.fstype == "nsfs" && strings.HasPrefix(m.root, "net:") {
			l.Kind = "network namespace"
		}
		s.add("mount "+m.same, l)
	}
}

// cgroups finds directories with the marker in their name in every hierarchy that can be seen.
func (s snapshot) cgroups(marker string) {
	v1, v2 := cgroupMounts()
	for _, top := range append(v1, v2...) {
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return fs.SkipDir // removed under our eyes
			}
			if !d.IsDir() || !strings.Contains(d.Name(), marker) {
				return nil
			}
			s.add("cgroup "+path, Leftover{
				Kind: "cgroup", What: describeCgroup(path), path: path,
				drop: func() error { return removeCgroup(path) },
			})
			return fs.SkipDir
		})
	}
}

func describeCgroup(path string) string {
	text := path
	if procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs")); err == nil {
		if pids := strings.Fields(string(procs)); len(pids) > 0 {
			text += " with the processes " + strings.Join(pids, " ")
		} else {
			text += ", empty"
		}
	}
	return text
}

// removeCgroup removes a cgroup and those below it. Its processes are descendants of the test
// process and have been killed before.
func removeCgroup(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	procs, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, f := range strings.Fields(string(procs)) {
		var pid int
		if _, err := fmt.Sscan(f, &pid); err == nil && pid > 0 {
			_ = ended(pid, Deadline(5*time.Second))
		}
	}
	return unix.Rmdir(path)
}

func (s snapshot) descriptors() {
	// The reaper of orphans opens directories below /proc while it has the lock.
	children.mu.Lock()
	defer children.mu.Unlock()
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		target, err := os.Readlink("/proc/self/fd/" + name)
		if err != nil || strings.HasSuffix(target, "/fd") && strings.HasPrefix(target, "/proc/") {
			continue // our own look at it
		}
		s.add("descriptor "+name+" "+target, Leftover{Kind: "descriptor", What: name + " -> " + target + " in the test process"})
	}
}

// filterCache is the directory of compiled seccomp filters in a state root.
const filterCache = "@seccomp"

// directory notes the entries of a directory, those alone that have the marker if there is one.
func (s snapshot) directory(dir, kind, marker string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // not there: nothing in it
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if kind == "state" && e.Name() == filterCache {
			continue // stays for the next container
		}
		if path == shared.dir || marker != "" && !strings.Contains(e.Name(), marker) {
			continue
		}
		s.add(kind+" "+path, Leftover{Kind: kind, What: describeFile(path), drop: func() error { return os.RemoveAll(path) }})
	}
}

func describeFile(path string) string {
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) == 0 {
		return path
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return path + " (" + strings.Join(names, " ") + ")"
}

// settle takes a snapshot and gives processes that are about to end the time for it: everything
// else has to be gone when the runtime's command returns.
func settle(before snapshot, look func() snapshot, limit time.Duration) []Leftover {
	end := time.Now().Add(limit)
	for {
		// Taken first: what ends while we look must make us look again.
		running := descendants(os.Getpid())
		left := look().since(before)
		waited := false
		for _, pid := range running {
			if _, old := before[fmt.Sprintf("process %d", pid)]; !old && time.Now().Before(end) {
				waited = ended(pid, time.Until(end)) || waited
			}
		}
		if !waited || len(left) == 0 {
			return left
		}
	}
}

// dropAll removes leftovers, so that one test's do not spoil the next one's. Processes go first:
// they hold the rest.
func dropAll(left []Leftover) []error {
	var failed []error
	order := []string{"process", "cgroup", "network namespace", "mount", "state", "file"}
	for _, kind := range order {
		for i := len(left) - 1; i >= 0; i-- { // what was mounted last goes first
			if left[i].Kind != kind || left[i].drop == nil {
				continue
			}
			if err := left[i].drop(); err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", left[i], err))
			}
		}
	}
	return failed
}

// thaw lets what sits in a frozen cgroup of ours die.
func thaw(left []Leftover) {
	for _, l := range left {
		if l.path == "" {
			continue
		}
		_ = filepath.WalkDir(l.path, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				thawOne(path)
			}
			return nil
		})
	}
}

// thawOne writes to whichever of the two freezers is there.
func thawOne(path string) {
	_ = os.WriteFile(filepath.Join(path, "freezer.state"), []byte("THAWED"), 0)
	_ = os.WriteFile(filepath.Join(path, "cgroup.freeze"), []byte("0"), 0)
}

// sweep is the janitor's: everything of a run, whatever its tests had before.
func sweep(marker, dir string) []Leftover {
	shared.dir, shared.marker = dir, marker
	var left []Leftover
	for round := 0; round < 10; round++ { // a killed process may leave children of its own to us
		found := snapshot{}
		found.processes()
		found.cgroups(marker)
		found.directory("/run/netns", "network namespace", marker)
		if len(found) == 0 {
			break
		}
		list := found.since(snapshot{})
		left = append(left, list...)
		thaw(list)
		_ = dropAll(list) // the next round meets what could not be removed
		reapAll()
	}
	if err := os.RemoveAll(dir); err != nil {
		left = append(left, Leftover{Kind: "file", What: fmt.Sprintf("%s: %v", dir, err)})
	}
	return left
}

// reapAll takes every zombie of the janitor, who has no other children any more.
func reapAll() {
	for {
		var status unix.WaitStatus
		if pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil); pid <= 0 || err != nil {
			return
		}
	}
}
