package security

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// What a configuration or a command line can do to the process that is started.

// listen takes terminals and drops them.
func listen(t testing.TB, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, c) // until the runtime is done
				_ = c.Close()
			}()
		}
	}()
	return l
}

// A message to the stage had a length of 16 bits: what is longer than 64 KiB wrapped around, and the
// rest was taken for messages of the attacker's making.
func TestCVE_2021_43784(t *testing.T) {
	e := harness.New(t)
	// Beyond 64 KiB, and just around it; the text would be a message by itself.
	forged := `{"op":"root","path":"/"},{"op":"exec","args":["/bin/evil"]}`
	for _, size := range []int{1<<16 - 1, 1 << 16, 1<<16 + 1, 1<<17 + len(forged)} {
		if size > 120000 {
			size = 120000 // the kernel's own bound on one argument is 128 KiB
		}
		long := strings.Repeat(forged, size/len(forged)+1)[:size]
		b := e.Bundle(harness.Args("/bin/sh", "-c", `printf %s "$1" | wc -c; printf %s "$1" | md5sum; printf %s "$LONG" | md5sum`, "sh", long), func(s *spec) {
			s.Process.Env = append(s.Process.Env, "LONG="+long)
			s.Annotations = map[string]string{"long": strings.Repeat(long, 3)}
		})
		out := strings.Fields(e.OK("run", "-b", b.Dir, e.ID("c")))
		if out[0] != fmt.Sprint(size) || out[1] != out[3] {
			t.Errorf("of %d bytes arrived %q", size, out)
		}
	}
	// Many mappings and mounts make the messages of all kinds long.
	var edits []harness.Edit
	for i := range 300 {
		edits = append(edits, mount("tmpfs", "tmpfs", fmt.Sprintf("/tmp/%s/%d", strings.Repeat("d", 200), i), "size=4k"))
	}
	b := e.Bundle(append(edits, harness.WritableRoot, sh("grep -c dddd /proc/self/mountinfo"))...)
	wantEqual(t, "mounts", e.OK("run", "-b", b.Dir, e.ID("m")), "300\n")
}

// Inheritable capabilities that nobody asked for become permitted ones by an execve of a file that
// has them.
func TestCVE_2022_29162(t *testing.T) { inheritable(t) }

// crun's name for it: there the exec had them.
func TestCVE_2022_27650(t *testing.T) { inheritable(t) }

func inheritable(t *testing.T) {
	e := harness.New(t)
	status := harness.Args("/bin/cat", "/proc/self/status")
	noneIn := func(what, text string) {
		t.Helper()
		harness.WantField(t, text, "CapInh", "0000000000000000")
		harness.WantField(t, text, "CapAmb", "0000000000000000")
		if t.Failed() {
			t.Logf("%s: %s", what, text)
		}
	}
	for _, uid := range []uint32{0, 1000} {
		user := func(s *spec) { s.Process.User.UID = uid }
		noneIn("run", e.Run(status, user, everyCapability))
		id, _ := e.Detached(user, everyCapability)
		noneIn("exec", e.OK("exec", id, "/bin/cat", "/proc/self/status"))
		noneIn("exec as another user", e.OK("exec", "-u", "33", id, "/bin/cat", "/proc/self/status"))
		noneIn("exec with a capability more", e.OK("exec", "--cap", "CAP_NET_RAW", "--cap", "CAP_SYS_ADMIN", id, "/bin/cat", "/proc/self/status"))
		e.Remove(id)
	}
	// Not even what the runtime itself was given.
	b := e.Bundle(status)
	noneIn("run by one who has them", e.Runtime("run", "-b", b.Dir, e.ID("i")).Through("setpriv", "--inh-caps", "+net_raw,+chown", "--").OK())
}

// What is no number is nobody, and not root.
func TestCVE_2026_30892(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 takes a sign and more")
	id, _ := e.Detached(func(s *spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} })
	for _, user := range []string{"root", "", " 1000", "1000 ", "+0", "-0", "-1", "0x0", "0b0", "1e3", "1_000", "1000:", ":0", ":", "1000:x", "1000:0:0",
		"4294967295", "4294967296", "18446744073709551616", "1000,0", "1000;0", "１０００", "0\x00"} {
		if user == "" || strings.Contains(user, "\x00") {
			continue // not sayable, or means "as configured"
		}
		if r := e.Do("exec", "-u", user, id, "/bin/id", "-u"); r.Code == 0 || r.Stdout != "" {
			t.Errorf("user %q became %s", user, r)
		}
	}
	for user, want := range map[string]string{"0": "0 1000", "33": "33 1000", "33:44": "33 44", "0033:0044": "33 44", "4294967294:0": "4294967294 0"} {
		out := e.OK("exec", "-u", user, id, "/bin/sh", "-c", "echo $(id -u) $(id -g)")
		wantEqual(t, "user "+user, out, want+"\n")
	}
	e.Remove(id)
}

// The names of state directories, sockets and pid files come from the caller; an ID must not climb.
func TestIDsDoNotClimb(t *testing.T) {
	e := harness.New(t)
	v := newVictim(e)
	b := e.Bundle()
	for _, id := range []string{"../victim", "..", ".", "a/b", "/etc", "a\nb", ""} {
		if r := e.Do("run", "-b", b.Dir, id); r.Code == 0 {
			t.Errorf("id %q: %s", id, r)
		}
		if r := e.Do("delete", "-f", id); r.Code == 0 && strings.Contains(id, "..") {
			t.Errorf("delete -f %q: %s", id, r)
		}
	}
	v.check()
}
