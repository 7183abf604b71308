package integration

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// seccomp sets a profile.
func seccomp(p *specs.LinuxSeccomp) harness.Edit {
	return func(s *specs.Spec) { s.Linux.Seccomp = p }
}

// dockerProfile is the default profile as dockerd writes it into config.json.
func dockerProfile(t testing.TB) *specs.LinuxSeccomp {
	t.Helper()
	data, err := os.ReadFile("../../seccomp/testdata/docker-default.json")
	if err != nil {
		t.Fatal(err)
	}
	p := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func noNewPrivileges(on bool) harness.Edit {
	return func(s *specs.Spec) { s.Process.NoNewPrivileges = on }
}

// call is the probe's verb for one system call.
func call(nr int, args ...uint64) []string {
	words := []string{"/bin/probe", "call", strconv.Itoa(nr)}
	for _, a := range args {
		words = append(words, strconv.FormatUint(a, 10))
	}
	return words
}

func negative(errno unix.Errno) string { return strconv.Itoa(-int(errno)) }

func TestDockersDefaultProfileHolds(t *testing.T) {
	for _, nnp := range []bool{false, true} {
		t.Run("no_new_privs "+strconv.FormatBool(nnp), func(t *testing.T) {
			e := harness.New(t)
			id, pid := detached(e, seccomp(dockerProfile(t)), noNewPrivileges(nnp))
			status := e.Read("/proc/" + strconv.Itoa(pid) + "/status")
			wantField(t, status, "Seccomp", "2")
			wantField(t, status, "Seccomp_filters", "1")
			for _, r := range []struct {
				name string
				call []string
				want string
			}{
				{"allowed", call(unix.SYS_GETPGID, 1), "1"},
				{"forbidden", call(unix.SYS_KEYCTL, 0, 0), negative(unix.EPERM)},
				{"with an errno of its own", call(unix.SYS_CLONE3, 0, 0), negative(unix.ENOSYS)},
				{"argument allowed", call(unix.SYS_PERSONALITY, 0xffffffff), "0"},
				{"argument forbidden", call(unix.SYS_PERSONALITY, 0x1000), negative(unix.EPERM)},
				{"masked argument forbidden", call(unix.SYS_CLONE, unix.CLONE_NEWUSER), negative(unix.EPERM)},
				{"newer than the profile", call(1000), negative(unix.ENOSYS)},
			} {
				args := append([]string{"exec", id}, r.call...)
				wantEqual(t, r.name, strings.TrimSpace(e.OK(args...)), r.want)
			}
			remove(e, id)
		})
	}
}
