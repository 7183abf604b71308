package security

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

type spec = specs.Spec

// What all packages of tests share, by shorter names.
var (
	wantEqual    = harness.WantEqual
	wantContains = harness.WantContains
	mount        = harness.Mount
	sh           = harness.Shell
)

// rounds is how often a race is run.
func rounds(short int) int {
	if os.Getenv("RUNACK_SOAK") != "" {
		return short * 300
	}
	return short
}

// everyCapability is what an attacker would like to have.
func everyCapability(s *spec) {
	all := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETPCAP", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_SYS_RAWIO"}
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	s.Process.NoNewPrivileges = false
}

// userNS gives the container a user namespace, and the root file system to its root.
func userNS(b *harness.Bundle) *harness.Bundle {
	b.Edit(harness.Namespace(specs.UserNamespace, ""), func(s *spec) {
		maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = maps, maps
	})
	for _, d := range []string{"", "dev", "etc", "proc", "run", "sys", "tmp"} {
		_ = os.Chown(filepath.Join(b.Rootfs, d), 100000, 100000) // what the attacker lacks then, he lacks
	}
	return b
}

// exchange swaps two names as fast as it can, until stop is called.
func exchange(t testing.TB, one, two string) (stop func()) { return race(t, one, two, 0) }

// flash puts two in the place of one for moments.
func flash(t testing.TB, one, two string) (stop func()) { return race(t, one, two, 20) }

// race swaps two names, and in every other turn looks at one of them calm times in between.
func race(t testing.TB, one, two string, calm int) (stop func()) {
	t.Helper()
	var wait sync.WaitGroup
	quit := make(chan struct{})
	wait.Go(func() {
		for turn := 0; ; turn++ {
			select {
			case <-quit:
				return
			default:
			}
			if err := unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, two, unix.RENAME_EXCHANGE); err != nil {
				t.Errorf("exchange %s and %s: %v", one, two, err)
				return
			}
			for range calm * (turn % 2) {
				var st unix.Stat_t
				_ = unix.Lstat(one, &st)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(quit)
		wait.Wait()
	})
}

// victim is a directory of the host's that nothing may appear in and whose file nothing may change.
type victim struct {
	t    testing.TB
	path string
}

func newVictim(e *harness.Env) victim {
	e.T.Helper()
	e.File("victim/file", "untouched\n")
	return victim{e.T, filepath.Join(e.Dir, "victim")}
}

func (v victim) check() {
	v.t.Helper()
	entries, err := os.ReadDir(v.path)
	if err != nil || len(entries) != 1 {
		v.t.Fatalf("in the host's directory there is %v, %v", entries, err)
	}
	text, err := os.ReadFile(v.path + "/file")
	if err != nil || string(text) != "untouched\n" {
		v.t.Fatalf("the host's file holds %q, %v", text, err)
	}
}

// link replaces whatever is at a name of the root file system by a symbolic link.
func link(t testing.TB, b *harness.Bundle, name, target string) {
	t.Helper()
	path := filepath.Join(b.Rootfs, name)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused runs a bundle that must not get as far as its program, which says "reached".
func refused(e *harness.Env, what string, b *harness.Bundle, want ...string) {
	e.T.Helper()
	r := e.Do("run", "-b", b.Dir, e.ID("refused"))
	if r.Code == 0 || strings.Contains(r.Stdout, "reached") {
		e.T.Errorf("%s: the attack went through: %s", what, r)
		return
	}
	if harness.IsRunack() {
		harness.OneLine(e.T, r.Stderr, want...)
	}
}
