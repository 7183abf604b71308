package integration

import (
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// A runtime in a chroot: nothing of what lies above it is left in the container's mount namespace,
// where an exec would come out and who may chroot(2) could climb to.
func TestTheRuntimeInAChroot(t *testing.T) {
	e := harness.New(t)
	jail := chroot(e)
	inJail := func(args ...string) string {
		return e.Runtime(args...).In("/").Attr(func(a *syscall.SysProcAttr) { a.Chroot = jail }).OK()
	}
	b := e.Bundle(harness.Probe("wait"))
	id := e.ID("c")
	inJail("create", "-b", b.Dir, id)
	inJail("start", id)
	wantEqual(t, "the program seen by an exec", inJail("exec", id, "ls", "/bin/probe"), "/bin/probe\n")
	inJail("delete", "-f", id)
	if err := unix.Unmount(jail, unix.MNT_DETACH); err != nil {
		t.Error(err)
	}
}

// chroot is the host's root once more, at another place.
func chroot(e *harness.Env) string {
	e.T.Helper()
	jail := filepath.Join(e.Dir, "jail")
	if err := unix.Mkdir(jail, 0o755); err != nil {
		e.T.Fatal(err)
	}
	if err := unix.Mount("/", jail, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		e.T.Fatal(err)
	}
	// Or what is unmounted there is unmounted at the original too.
	if err := unix.Mount("", jail, "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		e.T.Fatal(err)
	}
	return jail
}
