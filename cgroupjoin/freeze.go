package cgroupjoin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/fs"
	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
)

// freezeTimeout bounds the wait for a v2 cgroup to come to rest. A task in an uninterruptible sleep
// may never do.
const freezeTimeout = 10 * time.Second

// freezerV1 reports whether the v1 controller does the freezing: on a hybrid host that has it.
func (c *Cgroup) freezerV1() bool { return c.saved.Paths["freezer"] != "" }

// freezerPath gives the directory that freezes, "" where none does.
func (c *Cgroup) freezerPath() string {
	if c.freezerV1() {
		return c.saved.Paths["freezer"]
	}
	return c.saved.Paths[""]
}

// Freeze stops every process of the container and returns when they have stopped. If they do not,
// they are thawed again and the error says so.
func (c *Cgroup) Freeze() error {
	dir := c.freezerPath()
	if dir == "" {
		return &Error{Step: "freeze cgroup", Err: ErrNoCgroup}
	}
	if err := c.refuseInside("freeze cgroup"); err != nil {
		return err
	}
	var err error
	if c.freezerV1() {
		// The library repeats the request, as the kernel forgets tasks that join meanwhile.
		err = (&fs.FreezerGroup{}).Set(dir, &cgroups.Resources{Freezer: cgroups.Frozen})
	} else {
		err = freezeV2(dir, freezeTimeout)
	}
	if err != nil {
		return errors.Join(explain("freeze cgroup", err), c.thaw())
	}
	return nil
}

// Thaw lets the container's processes run again.
func (c *Cgroup) Thaw() error {
	if c.freezerPath() == "" {
		return &Error{Step: "thaw cgroup", Err: ErrNoCgroup}
	}
	return c.thaw()
}

// thaw is for the ways out as well: it does not mind a cgroup that is gone.
func (c *Cgroup) thaw() error {
	if dir := c.freezerPath(); dir != "" {
		return c.thawDir(dir)
	}
	return nil
}

func (c *Cgroup) thawDir(dir string) error {
	file, value := "cgroup.freeze", "0"
	if c.freezerV1() {
		file, value = "freezer.state", "THAWED"
	}
	if err := cgroups.WriteFile(dir, file, value); err != nil && !isGone(err) {
		return explain("thaw cgroup", err)
	}
	return nil
}

// thawTree thaws the sub-cgroups too, which a container may have frozen by itself. On v1 nothing in
// them would die otherwise.
func (c *Cgroup) thawTree() error {
	dir := c.freezerPath()
	if dir == "" {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		switch {
		case isGone(err):
			return nil
		case err != nil:
			return explain("thaw cgroup", err)
		case entry.IsDir():
			return c.thawDir(path)
		}
		return nil
	})
}

// Frozen reports whether the container was told to freeze, by Freeze and not through a cgroup above
// it. It does not wait for the freezing to end. A cgroup that is gone is not frozen.
func (c *Cgroup) Frozen() (bool, error) {
	if c.freezerV1() {
		return c.readsOne("freezer.self_freezing")
	}
	return c.readsOne("cgroup.freeze")
}

func (c *Cgroup) readsOne(file string) (bool, error) {
	text, err := c.readFreezer(file)
	return text == "1", err
}

// stuck reports whether a process that joined would stop: the cgroup or one above it is frozen.
func (c *Cgroup) stuck() (bool, error) {
	if c.freezerV1() {
		state, err := c.readFreezer("freezer.state")
		return state != "" && state != "THAWED", err
	}
	// A cgroup made below a frozen one says "frozen 1" from its birth.
	events, err := c.readFreezer("cgroup.events")
	return eventValue(events, "frozen") == "1", err
}

// frozenBy finds the directory that was told to freeze, the container's or one above it, on v1 alone:
// on v2 a frozen process dies of SIGKILL all the same.
func (c *Cgroup) frozenBy() string {
	if !c.freezerV1() {
		return ""
	}
	for dir := c.freezerPath(); ; dir = filepath.Dir(dir) {
		// The root of the hierarchy has no such file.
		self, err := os.ReadFile(filepath.Join(dir, "freezer.self_freezing"))
		if err != nil {
			return ""
		}
		if strings.TrimSpace(string(self)) == "1" {
			return dir
		}
	}
}

func (c *Cgroup) readFreezer(file string) (string, error) {
	dir := c.freezerPath()
	if dir == "" {
		return "", nil
	}
	text, err := smallfile.Read(filepath.Join(dir, file))
	if err != nil {
		if isGone(err) || (c.saved.Rootless && isPermission(err)) {
			return "", nil
		}
		return "", explain("read freezer", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// eventValue finds a key in the flat-keyed text of cgroup.events.
func eventValue(text, key string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func freezeV2(dir string, timeout time.Duration) error {
	if err := cgroups.WriteFile(dir, "cgroup.freeze", "1"); err != nil {
		return err
	}
	return waitEvent(dir, "frozen", "1", time.Now().Add(timeout))
}

// waitEvent waits until a key of cgroup.events has a value. The kernel wakes pollers of that file
// with POLLPRI on every change (cgroup-v2.rst, "cgroup.events").
func waitEvent(dir, key, want string, deadline time.Time) error {
	f, err := cgroups.OpenFile(dir, "cgroup.events", unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 256)
	for {
		n, err := unix.Pread(int(f.Fd()), buf, 0)
		if err != nil {
			return &os.PathError{Op: "read", Path: f.Name(), Err: err}
		}
		if eventValue(string(buf[:n]), key) == want {
			return nil
		}
		if err := pollUntil([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}, deadline); err != nil {
			return &os.PathError{Op: "wait for " + key + " " + want + " in", Path: f.Name(), Err: err}
		}
	}
}

// pollUntil returns nil when a descriptor is ready and ETIMEDOUT when the deadline has passed.
func pollUntil(fds []unix.PollFd, deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		// Rounded up, or the last millisecond would be spent in a busy loop.
		n, err := unix.Poll(fds, int((left+time.Millisecond-1)/time.Millisecond))
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR:
			return err
		}
	}
}
