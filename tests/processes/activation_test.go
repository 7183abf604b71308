package processes

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"runack/tests/harness"
)

// activated runs the runtime as systemd would: with sockets as descriptors from 3 on, and their
// number in the environment, for this very process.
func activated(e *harness.Env, n int, args ...string) *harness.Cmd {
	c := e.Runtime(args...).Through("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`).
		Env(fmt.Sprint("LISTEN_FDS=", n), "LISTEN_FDNAMES="+strings.Repeat("web:", n-1)+"log")
	for i := range n {
		c.Files(letter(e, i))
	}
	return c
}

// letter is an open file that holds one letter, which tells which one it is.
func letter(e *harness.Env, i int) *os.File {
	e.T.Helper()
	f, err := os.Open(e.File(fmt.Sprint("letter", i), string(rune('a'+i))))
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { f.Close() })
	return f
}

// told shows what sd_listen_fds(3) would look at, and what the descriptors are.
const told = `echo $LISTEN_FDS $LISTEN_FDNAMES; test "$LISTEN_PID" = $$ && echo mine
env | grep -c LISTEN_PID; for fd in 3 4 5; do cat <&$fd; done 2>/dev/null; echo`

func TestSocketActivation(t *testing.T) {
	e := harness.New(t)
	const want = "2 web:log\nmine\n1\nab\n"
	b := e.Bundle(harness.Shell(told))
	wantEqual(t, "run", activated(e, 2, "run", "-b", b.Dir, e.ID("run")).OK(), want)
	if harness.IsRunack() {
		// The program is not pid 1 then.
		wantEqual(t, "run --init", activated(e, 2, "run", "--init", "-b", b.Dir, e.ID("init")).OK(), want)
	}
	wantEqual(t, "run with one more", activated(e, 2, "run", "--preserve-fds", "1", "-b", b.Dir, e.ID("more")).Files(letter(e, 2)).OK(),
		"2 web:log\nmine\n1\nabc\n")
	// create is the one that is activated; start is a process like any other.
	b.Edit(harness.Shell("("+told+") >/tmp/told"), harness.WritableRoot)
	activated(e, 2, "create", "--pid-file", e.Dir+"/pid", "-b", b.Dir, e.ID("create")).OK()
	e.OK("start", e.ID("create"))
	e.WaitExit(e.ReadPid(e.Dir + "/pid"))
	wantEqual(t, "create", e.Read(b.Rootfs+"/tmp/told"), want)
	e.OK("delete", e.ID("create"))
}

// Sockets that are another process's are nobody's here, and neither is their news.
func TestSocketsOfAnotherProcess(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(harness.Shell("env | grep LISTEN; ls /proc/self/fd"))
	for name, vars := range map[string][]string{
		"another's": {"LISTEN_PID=1", "LISTEN_FDS=2"},
		"no number": {"LISTEN_FDS=2"},
	} {
		out := e.Runtime("run", "-b", b.Dir, e.ID("c")).Env(vars...).Files(letter(e, 0), letter(e, 1)).OK()
		wantEqual(t, name, out, "0\n1\n2\n3\n") // 3 is ls's own
	}
}

func TestMissingDescriptorsAreToldByNumber(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("names the descriptor")
	b := e.Bundle(harness.Args("/bin/true"))
	c := e.Runtime("run", "--preserve-fds", "3", "-b", b.Dir, e.ID("c")).Files(letter(e, 0))
	harness.OneLine(t, c.Fails(1), "descriptor 4 (2 of 3)", "EBADF")
	id, _ := detached(e)
	harness.OneLine(t, e.Fails(255, "exec", "--preserve-fds", "1", id, "true"), "descriptor 3 (1 of 1)", "EBADF")
	harness.OneLine(t, e.Fails(255, "exec", "--preserve-fds", "-1", id, "true"), "negative")
	remove(e, id)
}

func TestExecPreservesDescriptors(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	const script = "for fd in 3 4 5; do cat <&$fd; done 2>/dev/null; true"
	for n, want := range []string{"", "a", "ab"} {
		out := e.Runtime("exec", "--preserve-fds", fmt.Sprint(n), id, "sh", "-c", script).Files(letter(e, 0), letter(e, 1)).OK()
		wantEqual(t, fmt.Sprint(n, " preserved"), out, want)
	}
	remove(e, id)
}

// Whoever starts the runtime with a standard descriptor closed gets /dev/null there, and no other file.
func TestClosedStandardDescriptors(t *testing.T) {
	e := harness.New(t)
	id, _ := detached(e)
	b := e.Bundle(harness.Shell("readlink /proc/self/fd/0; ls /proc/self/fd"))
	for _, args := range [][]string{{"run", "-b", b.Dir, e.ID("c")}, {"exec", id, "sh", "-c", "readlink /proc/self/fd/0; ls /proc/self/fd"}} {
		out := e.Runtime(args...).Through("/bin/sh", "-c", `exec "$0" "$@" <&-`).OK()
		wantEqual(t, args[0], out, "/dev/null\n0\n1\n2\n3\n")
	}
	remove(e, id)
}
