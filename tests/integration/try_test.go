package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

// newTry makes an Env for the verb try, which no other runtime has.
func newTry(t *testing.T) *harness.Env {
	t.Helper()
	e := harness.New(t)
	e.RunackOnly("has no verb try")
	return e
}

// script runs a shell script in a throw-away container, with options in front, and returns its output.
func script(e *harness.Env, text string, options ...string) string {
	e.T.Helper()
	return e.OK(append(append([]string{"try"}, options...), "sh", "-c", text)...)
}

var tryID = regexp.MustCompile(`^try-[0-9a-f]{8}$`)

// wantGone checks what the Env cannot: cgroups and state that have the container's name and not the test's.
func wantGone(t *testing.T, id string) {
	t.Helper()
	if !tryID.MatchString(id) {
		t.Fatalf("%q is no ID of try", id)
	}
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(d.Name(), id) {
			t.Errorf("left behind: cgroup %s", path)
		}
		return nil // others' cgroups come and go while we look
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTryTourShowsAContainer(t *testing.T) {
	e := newTry(t)
	out := e.OK("try")
	for _, want := range []string{"hostname    try-", "(pid 1 is runack", "overlay on / (rw)", "proc on /proc", "tmpfs on /run"} {
		if !strings.Contains(out, want) {
			t.Errorf("the tour does not say %q:\n%s", want, out)
		}
	}
	// Where only v2 is mounted the container has a cgroup namespace, and sees its own as the root.
	if !strings.Contains(out, "/try-") && !strings.Contains(out, "v2 /\n") {
		t.Errorf("the tour shows no cgroup of its own:\n%s", out)
	}
}

func TestTryLeavesNothing(t *testing.T) {
	e := newTry(t)
	id := strings.TrimSpace(script(e, "cat /proc/sys/kernel/hostname; : >/etc/written"))
	e.AssertClean()
	wantGone(t, id)
	if list := e.OK("list", "-q"); list != "" {
		t.Errorf("list still has %q", list)
	}
}

func TestTryPassesTheExitCodeThrough(t *testing.T) {
	e := newTry(t)
	for _, init := range []string{"--init=true", "--init=false"} {
		for _, code := range []int{0, 1, 7, 126, 127, 255} {
			e.Fails(code, "try", init, "sh", "-c", fmt.Sprint("exit ", code))
		}
	}
	e.Fails(137, "try", "sh", "-c", "kill -KILL $$")
	e.Fails(143, "try", "sh", "-c", "kill -TERM $$")
}

func TestTryTakesOptionsInFrontOfTheCommandOnly(t *testing.T) {
	e := newTry(t)
	if got := e.OK("try", "echo", "-e", "A", "--pids", "x"); got != "-e A --pids x\n" && got != "A --pids x\n" {
		t.Errorf("echo wrote %q", got)
	}
}

func TestTryInitIsPid1Unless(t *testing.T) {
	e := newTry(t)
	if got := script(e, "echo $$", "--init=false"); got != "1\n" {
		t.Errorf("without an init the command has pid %q", got)
	}
	if got := script(e, "read name </proc/1/comm; echo $name $$"); !strings.HasPrefix(got, "runack") || strings.HasSuffix(got, " 1\n") {
		t.Errorf("pid 1 and own pid with an init: %q", got)
	}
}

func TestTryErrorsAreOneLineAndLeaveNothing(t *testing.T) {
	e := newTry(t)
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"no such program", []string{"no-such-program-here"}, []string{"exec: ", "no-such-program-here", ": executable file not found in $PATH"}},
		{"not executable", []string{"/etc/passwd"}, []string{"exec: ", "/etc/passwd", ": permission denied"}},
		{"volume's source missing", []string{"-v", "/no-such-dir:/data", "true"}, []string{"--volume", "/no-such-dir", "ENOENT (2)"}},
		{"volume without a target", []string{"-v", "/tmp", "true"}, []string{"--volume", "HOST:CONTAINER[:ro]"}},
		{"volume with a relative target", []string{"-v", "/tmp:data", "true"}, []string{"--volume", "not absolute"}},
		{"volume's unknown option", []string{"-v", "/tmp:/data:rx", "true"}, []string{"--volume", "rx", "neither ro nor rw"}},
		{"volume over /proc", []string{"-v", "/tmp:/proc", "true"}, []string{"/proc"}},
		{"size's unit", []string{"--memory", "4q", "true"}, []string{"--memory", "4q", "want a number"}},
		{"size too large", []string{"--memory", "9999999999g", "true"}, []string{"--memory", "too large"}},
		{"size 0", []string{"--memory", "0", "true"}, []string{"--memory", "not above 0"}},
		{"negative pids", []string{"--pids", "-1", "true"}, []string{"--pids"}},
		{"relative directory", []string{"-w", "tmp", "true"}, []string{"--workdir", "not absolute"}},
		{"wrong variable", []string{"-e", "=x", "true"}, []string{"env"}},
		{"unknown option", []string{"--bogus"}, []string{"-bogus"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := e.On(t)
			harness.OneLine(t, e.Fails(1, append([]string{"try"}, c.args...)...), c.want...)
			e.AssertClean()
		})
	}
}

func TestTryWritesDoNotReachTheHost(t *testing.T) {
	e := newTry(t)
	file := e.File("host/file", "host")
	dir := filepath.Dir(file)
	got := script(e, fmt.Sprintf("cd %s && cat file && echo new >file && echo more >other && rm -rf /usr/share/doc && cat file", dir))
	if got != "hostnew\n" {
		t.Errorf("inside, the file held %q", got)
	}
	if got := e.Read(file); got != "host" {
		t.Errorf("the host's file now holds %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "other")); !os.IsNotExist(err) {
		t.Errorf("a file made inside is on the host: %v", err)
	}
	if _, err := os.Stat("/usr/share/doc"); err != nil {
		t.Error(err)
	}
}

// What is mounted below the host's root is part of what its users know as its files.
func TestTryShowsNestedMounts(t *testing.T) {
	e := newTry(t)
	for _, name := range []string{"plain", "read-only", "with:colon, comma and space"} {
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			dir := filepath.Join(e.Dir, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("nested", dir, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := unix.Unmount(dir, 0); err != nil {
					t.Error(err)
				}
			}()
			e.File(name+"/f", "nested")
			want := "nested/new"
			if name == "read-only" {
				want = "nested/nested"
				if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
					t.Fatal(err)
				}
			}
			got := e.OK("try", "-w", dir, "sh", "-c", "cat f; printf /; (printf new >f) 2>/dev/null; cat f")
			if got != want {
				t.Errorf("inside it held %q, want %q", got, want)
			}
			if got := e.Read(filepath.Join(dir, "f")); got != "nested" {
				t.Errorf("the host's file now holds %q", got)
			}
		})
	}
}

func TestTryVolumes(t *testing.T) {
	e := newTry(t)
	file := e.File("vol/file", "one")
	dir := filepath.Dir(file)
	if got := script(e, "cat /new/place/file; echo two >/new/place/file", "-v", dir+":/new/place"); got != "one" {
		t.Errorf("the volume's file held %q", got)
	}
	if got := e.Read(file); got != "two\n" {
		t.Errorf("writing in a volume did not reach the host: %q", got)
	}
	got := script(e, "(echo x >/data/file) 2>/dev/null || echo refused; cat /data/file; (echo x >/one) 2>/dev/null || echo refused",
		"-v", dir+":/data:ro", "-v", file+":/one:ro")
	if got != "refused\ntwo\nrefused\n" {
		t.Errorf("read-only volumes: %q", got)
	}
	if got := e.Runtime("try", "-v", "vol:/data", "cat", "/data/file").In(e.Dir).OK(); got != "two\n" {
		t.Errorf("a relative volume's file held %q", got)
	}
}

func TestTryEnvironmentAndDirectory(t *testing.T) {
	e := newTry(t)
	out := e.Runtime("try", "-e", "A=b,c", "-e", "TAKEN", "-e", "NOT_THERE", "-w", "/made/here", "sh", "-c",
		"echo $A $TAKEN ${NOT_THERE-unset} ${SECRET-unset} $HOME; pwd; cat /proc/sys/kernel/hostname", "name").
		Env("TAKEN=from-here", "SECRET=1").OK()
	if lines := strings.Split(out, "\n"); lines[0] != "b,c from-here unset unset /root" || lines[1] != "/made/here" || !tryID.MatchString(lines[2]) {
		t.Errorf("got %q", out)
	}
	if got := e.Runtime("try", "--hostname", "web", "sh", "-c", "pwd; cat /proc/sys/kernel/hostname").In(e.Dir).OK(); got != e.Dir+"\nweb\n" {
		t.Errorf("the caller's directory and the host name: %q", got)
	}
	if got := e.Runtime("try", "pwd").In("/proc").OK(); got != "/\n" {
		t.Errorf("from a directory that is the host's alone: %q", got)
	}
}

func TestTryFileSystemsOfItsOwn(t *testing.T) {
	e := newTry(t)
	got := script(e, "ls -A /run; ls /dev/null /dev/pts/ptmx /proc/self/comm; (: >/sys/kernel/x) 2>/dev/null || echo read-only")
	if got != "/dev/null\n/dev/pts/ptmx\n/proc/self/comm\nread-only\n" {
		t.Errorf("got %q", got)
	}
}

func TestTryNetwork(t *testing.T) {
	e := newTry(t)
	host, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if got := script(e, "readlink /proc/self/ns/net"); got != host+"\n" {
		t.Errorf("the network namespace is %q, not the host's %s", got, host)
	}
	if got := script(e, "ls /sys/class/net; (read -r x </sys/class/net/lo/carrier && echo up $x)", "--no-net"); got != "lo\nup 1\n" {
		t.Errorf("the interfaces with --no-net: %q", got)
	}
}

func TestTryMemory(t *testing.T) {
	e := newTry(t)
	if !harness.HasController("memory") {
		t.Skip("no memory controller in this view of the host's cgroups")
	}
	const files = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"
	if got := script(e, files, "--memory", "64m"); got != "67108864\n" {
		t.Errorf("the limit is %q", got)
	}
	if swaps := e.Read("/proc/swaps"); strings.Count(swaps, "\n") > 1 {
		t.Skip("the host has swap space, which the limit does not cover: what follows would swap")
	}
	e.Fails(137, "try", "--memory", "32M", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
}

func TestTryPids(t *testing.T) {
	e := newTry(t)
	if !harness.HasController("pids") {
		t.Skip("no pids controller in this view of the host's cgroups")
	}
	const forks = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 & done; echo ten"
	if got := script(e, forks, "--pids", "20"); got != "ten\n" {
		t.Errorf("ten of twenty: %q", got)
	}
	if r := e.Do("try", "--pids", "6", "sh", "-c", forks); r.Code == 0 || r.Stdout != "" {
		t.Errorf("ten of six: %s", r)
	}
}

func TestTryTerminal(t *testing.T) {
	e := newTry(t)
	for _, c := range []struct {
		name    string
		options []string
		want    int
	}{
		{"by default", nil, 3}, {"asked for", []string{"-t"}, 3}, {"not wanted", []string{"--tty=false"}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := e.On(t)
			master, path, err := console.NewPty()
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			slave, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer slave.Close()
			// The container's own devpts is new: its first terminal is number 0 of that.
			args := append(append([]string{"try"}, c.options...), "sh", "-c", `[ -c /dev/pts/0 ] && [ "$(tty)" = /dev/pts/0 ] && exit 3; exit 4`)
			if r := e.Runtime(args...).TTY(slave).Do(); r.Code != c.want {
				t.Errorf("want exit code %d: %s", c.want, r)
			}
		})
	}
}

// onceRunning starts a try that says who it is and then sleeps, and checks at the test's very end that
// it is gone: what the Env does not find has to wait until the Env has waited.
func onceRunning(t *testing.T) (e *harness.Env, p *harness.Proc) {
	t.Helper()
	var id string
	t.Cleanup(func() { wantGone(t, id) })
	e = newTry(t)
	p = e.Runtime("try", "sh", "-c", "cat /proc/sys/kernel/hostname; : >/written; exec sleep 1000").Piped().Start()
	id = p.Line()
	return e, p
}

// The first line can be there before the runtime knows that its program runs, so this is about
// signals in between too.
func TestTryForwardsSignals(t *testing.T) {
	for _, s := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1} {
		t.Run(unix.SignalName(s), func(t *testing.T) {
			_, p := onceRunning(t)
			p.Signal(s)
			if r := p.Wait(); r.Code != 128+int(s) || r.Stderr != "" {
				t.Errorf("want exit code %d: %s", 128+int(s), r)
			}
		})
	}
}

// Nobody can clear up after his own SIGKILL. The mounts are a dead namespace's, and the janitor does
// the rest.
func TestTryKilledLeavesNothing(t *testing.T) {
	_, p := onceRunning(t)
	p.Signal(unix.SIGKILL)
	p.Wait()
}

// The janitor has another working directory.
func TestTryKilledWithARelativeTMPDIR(t *testing.T) {
	e := newTry(t)
	p := e.Runtime("try", "sh", "-c", "echo ready; exec sleep 1000").Env("TMPDIR=.").In(e.Temp).Piped().Start()
	p.Expect("ready")
	p.Signal(unix.SIGKILL)
	p.Wait()
}

// Killed at any time on the way. The delays need not hit any point exactly: nothing may be left
// wherever they hit.
func TestTryKilledOnTheWayLeavesNothing(t *testing.T) {
	e := newTry(t)
	for _, signal := range []string{"KILL", "TERM"} {
		for ms := 1; ms < 60; ms += 5 {
			e.Runtime("try", "sleep", "1000").Through("timeout", "-s", signal, fmt.Sprintf("0.%03d", ms)).Do()
			e.AssertClean()
		}
	}
}
