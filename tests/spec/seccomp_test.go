package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	data, err := os.ReadFile("../../internal/seccomp/testdata/docker-default.json")
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
			id, pid := e.Detached(seccomp(dockerProfile(t)), noNewPrivileges(nnp))
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
			e.Remove(id)
		})
	}
}

// The architectures of a profile have numbers of their own. i386's gate is open to 64-bit programs too.
func TestDockersDefaultProfileHoldsFor32Bits(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("int 0x80 is x86's")
	}
	const getpgid, keyctl, newest = "132", "288", "1000"
	e := harness.New(t)
	call := func(p *specs.LinuxSeccomp, nr string) string {
		return strings.TrimSpace(e.Run(harness.Probe("call32", nr, "1"), seccomp(p)))
	}
	if out := call(nil, getpgid); out != "1" {
		t.Skipf("this kernel runs no 32-bit calls: getpgid(1) gives %s", out)
	}
	p := dockerProfile(t)
	wantEqual(t, "allowed", call(p, getpgid), "1")
	wantEqual(t, "forbidden", call(p, keyctl), negative(unix.EPERM))
	wantEqual(t, "newer than the profile", call(p, newest), negative(unix.ENOSYS))
}

// ruled is a profile that allows everything but what its rules say.
func ruled(rules ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: rules}
}

func rule(action specs.LinuxSeccompAction, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: action}
}

func TestSeccompActions(t *testing.T) {
	e := harness.New(t)
	const sigsys = 128 + int(unix.SIGSYS)
	for _, r := range []struct {
		action specs.LinuxSeccompAction
		ret    *uint
		code   int
		out    string
	}{
		{specs.ActAllow, nil, 0, "1"},
		{specs.ActLog, nil, 0, "1"},
		{specs.ActErrno, nil, 0, negative(unix.EPERM)},
		{specs.ActErrno, new(uint(unix.EDOM)), 0, negative(unix.EDOM)},
		// A value of 0 is a success that did nothing.
		{specs.ActErrno, new(uint(0)), 0, "0"},
		// Nobody traces it.
		{specs.ActTrace, nil, 0, negative(unix.ENOSYS)},
		{specs.ActTrap, nil, sigsys, ""},
		{specs.ActKill, nil, sigsys, ""},
		{specs.ActKillThread, nil, sigsys, ""},
		{specs.ActKillProcess, nil, sigsys, ""},
	} {
		name := string(r.action)
		if r.ret != nil {
			name += " " + strconv.Itoa(int(*r.ret))
		}
		t.Run(name, func(t *testing.T) {
			e := e.On(t)
			p := ruled(specs.LinuxSyscall{Names: []string{"getpgid"}, Action: r.action, ErrnoRet: r.ret})
			if r.action == specs.ActAllow {
				p.DefaultAction = specs.ActLog
			}
			b := e.Bundle(harness.Args(call(unix.SYS_GETPGID, 1)...), seccomp(p))
			res := e.Do("run", "-b", b.Dir, e.ID("c"))
			if res.Code != r.code || strings.TrimSpace(res.Stdout) != r.out {
				t.Errorf("got %v", res)
			}
		})
	}
}

// A default action other than ERRNO takes the same way as a rule's.
func TestSeccompDefaultActions(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 has no ENOSYS rule without architectures or with defaultErrnoRet; 1.5 has")
	allowed := append(slices.Clone(dockerProfile(t).Syscalls[0].Names), "arch_prctl", "clone")
	allowed = slices.DeleteFunc(allowed, func(n string) bool { return n == "getpgid" })
	for _, r := range []struct {
		name   string
		action specs.LinuxSeccompAction
		ret    *uint
		call   []string
		code   int
		out    string
	}{
		{"errno", specs.ActErrno, new(uint(unix.EDOM)), call(unix.SYS_GETPGID, 1), 0, negative(unix.EDOM)},
		{"errno, newer than the profile", specs.ActErrno, new(uint(unix.EDOM)), call(1000), 0, negative(unix.ENOSYS)},
		{"kill", specs.ActKillProcess, nil, call(unix.SYS_GETPGID, 1), 128 + int(unix.SIGSYS), ""},
		{"kill, newer than the profile", specs.ActKillProcess, nil, call(1000), 0, negative(unix.ENOSYS)},
		{"log", specs.ActLog, nil, call(unix.SYS_GETPGID, 1), 0, "1"},
	} {
		t.Run(r.name, func(t *testing.T) {
			e := e.On(t)
			b := e.Bundle(harness.Args(r.call...), seccomp(&specs.LinuxSeccomp{
				DefaultAction: r.action, DefaultErrnoRet: r.ret, Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, allowed...)},
			}))
			res := e.Do("run", "-b", b.Dir, e.ID("c"))
			if res.Code != r.code || strings.TrimSpace(res.Stdout) != r.out {
				t.Errorf("got %v", res)
			}
		})
	}
}

func TestSeccompOperators(t *testing.T) {
	const hit = 99
	when := func(name string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: new(uint(hit)), Args: args}
	}
	const big = 1<<40 + 5
	e := harness.New(t)
	id, _ := e.Detached(seccomp(ruled(
		when("getpgid", specs.LinuxSeccompArg{Index: 0, Value: big, Op: specs.OpEqualTo}),
		when("getsid", specs.LinuxSeccompArg{Index: 0, Value: big, Op: specs.OpNotEqual}),
		when("getpriority", specs.LinuxSeccompArg{Index: 1, Value: big, Op: specs.OpLessThan}),
		when("sched_getscheduler", specs.LinuxSeccompArg{Index: 5, Value: big, Op: specs.OpLessEqual}),
		when("sched_get_priority_max", specs.LinuxSeccompArg{Index: 2, Value: big, Op: specs.OpGreaterEqual}),
		when("sched_get_priority_min", specs.LinuxSeccompArg{Index: 3, Value: big, Op: specs.OpGreaterThan}),
		when("alarm", specs.LinuxSeccompArg{Index: 4, Value: 0xff << 36, ValueTwo: 0x1f << 36, Op: specs.OpMaskedEqual}),
		// Two arguments: both must match. One argument twice: either.
		when("getcpu", specs.LinuxSeccompArg{Index: 3, Value: 1, Op: specs.OpEqualTo}, specs.LinuxSeccompArg{Index: 4, Value: 2, Op: specs.OpEqualTo}),
		when("sysinfo", specs.LinuxSeccompArg{Index: 3, Value: 1, Op: specs.OpEqualTo}, specs.LinuxSeccompArg{Index: 3, Value: 2, Op: specs.OpEqualTo}),
	)))
	at := func(index int, values ...uint64) []uint64 { return append(make([]uint64, index), values...) }
	for _, r := range []struct {
		name string
		nr   int
		args []uint64
		hit  bool
	}{
		{"EQ", unix.SYS_GETPGID, at(0, big), true},
		{"EQ, low half alone", unix.SYS_GETPGID, at(0, 5), false},
		{"NE", unix.SYS_GETSID, at(0, 5), true},
		{"NE, equal", unix.SYS_GETSID, at(0, big), false},
		{"LT", unix.SYS_GETPRIORITY, at(1, big-1), true},
		{"LT, equal", unix.SYS_GETPRIORITY, at(1, big), false},
		{"LE", unix.SYS_SCHED_GETSCHEDULER, at(5, big), true},
		{"LE, above", unix.SYS_SCHED_GETSCHEDULER, at(5, big+1), false},
		{"GE", unix.SYS_SCHED_GET_PRIORITY_MAX, at(2, big), true},
		{"GE, below", unix.SYS_SCHED_GET_PRIORITY_MAX, at(2, big-1), false},
		{"GT", unix.SYS_SCHED_GET_PRIORITY_MIN, at(3, big+1), true},
		{"GT, equal", unix.SYS_SCHED_GET_PRIORITY_MIN, at(3, big), false},
		{"MASKED_EQ", unix.SYS_ALARM, at(4, 0x1f<<36|7), true},
		{"MASKED_EQ, another bit", unix.SYS_ALARM, at(4, 0x3f<<36), false},
		{"two arguments", unix.SYS_GETCPU, at(3, 1, 2), true},
		{"one of two arguments", unix.SYS_GETCPU, at(3, 1, 1), false},
		{"one argument twice, first", unix.SYS_SYSINFO, at(3, 1), true},
		{"one argument twice, second", unix.SYS_SYSINFO, at(3, 2), true},
		{"one argument twice, neither", unix.SYS_SYSINFO, at(3, 3), false},
	} {
		out := strings.TrimSpace(e.OK(append([]string{"exec", id}, call(r.nr, r.args...)...)...))
		if (out == strconv.Itoa(-hit)) != r.hit {
			t.Errorf("%s: the call returned %s", r.name, out)
		}
	}
	e.Remove(id)
}

func TestSeccompFlags(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 knows no flag but LOG and SPEC_ALLOW")
	for _, flags := range [][]specs.LinuxSeccompFlag{
		nil, {}, {specs.LinuxSeccompFlagLog}, {specs.LinuxSeccompFlagSpecAllow}, {"SECCOMP_FILTER_FLAG_TSYNC"},
		// Without a listener there is nobody to wait for.
		{specs.LinuxSeccompFlagWaitKillableRecv},
	} {
		p := ruled(rule(specs.ActErrno, "getpgid"))
		p.Flags = flags
		status := e.Run(harness.Args("cat", "/proc/self/status"), seccomp(p))
		wantField(t, status, "Seccomp", "2")
		want := "vulnerable"
		if flags != nil && !slices.Contains(flags, specs.LinuxSeccompFlagSpecAllow) {
			want = "mitigated"
		}
		// The kernel shows what became of SPEC_ALLOW where the processor needs the mitigation.
		if got := harness.Field(t, status, "Speculation_Store_Bypass"); strings.HasPrefix(got, "thread") && !strings.Contains(got, want) {
			t.Errorf("%v: Speculation_Store_Bypass is %q", flags, got)
		}
	}
}

// What the container's program cannot do the runtime must not need: here all that is left is what a
// static program without libc's start-up needs to say something.
func TestSeccompIsLoadedLast(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("a Go program needs more after the filter")
	for _, nnp := range []bool{false, true} {
		p := &specs.LinuxSeccomp{DefaultAction: specs.ActKillProcess, Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow,
			"execve", "write", "exit_group", "arch_prctl", "set_tid_address", "ioctl", "writev", "brk", "mmap", "munmap")}}
		if !nnp {
			// Without no_new_privs the filter is loaded while there is CAP_SYS_ADMIN, and the
			// capabilities go after it.
			p.Syscalls = append(p.Syscalls, rule(specs.ActAllow, "capset", "prctl"))
		}
		wantEqual(t, "output", e.Run(harness.Probe("args", "x"), seccomp(p), noNewPrivileges(nnp)), "[x]\n")
	}
}

// A program that was not executed is not told as started.
func TestAFilterThatEndsTheStartIsAnError(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("its words are others")
	for _, r := range []struct {
		name   string
		action specs.LinuxSeccompAction
		want   []string
		below  string // where the built-in init is its parent
	}{
		{"denied", specs.ActErrno, []string{"exec /bin/true: operation not permitted"}, "exec /bin/true: operation not permitted"},
		{"killed", specs.ActKillProcess, []string{"killed by SIGSYS (31), by the seccomp filter, while the runtime waited for execve"},
			"exit status 159 while the runtime waited for execve"},
	} {
		t.Run(r.name, func(t *testing.T) {
			e := e.On(t)
			b := e.Bundle(harness.Args("/bin/true"), seccomp(ruled(rule(r.action, "execve"))), noNewPrivileges(true))
			id := e.ID("c")
			res := e.Do("run", "-b", b.Dir, id)
			if res.Code == 0 || res.Code == 128+int(unix.SIGSYS) {
				t.Errorf("run: %v", res)
			}
			wantContains(t, "run", res.Stderr, r.want...)
			wantContains(t, "run --init", e.Fails(1, "run", "--init", "-b", b.Dir, id), r.below)
			e.OK("create", "-b", b.Dir, id)
			// start is not its parent.
			harness.KeepingZombies(func() { wantContains(t, "start", e.Fails(1, "start", id), r.want...) })
			e.Remove(id)
		})
	}
}

// A stage that can neither execute nor say so ends without a word. start is not its parent, and whoever
// is may have reaped it before start looked: it is no success either way.
func TestAFilterThatSilencesTheStageIsAnError(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("the words are runack's")
	b := e.Bundle(harness.Args("/bin/true"), seccomp(ruled(rule(specs.ActErrno, "execve", "write"))), noNewPrivileges(true))
	for range 20 {
		id := e.ID("c")
		e.OK("create", "-b", b.Dir, id)
		wantContains(t, "start", e.Fails(1, "start", id), "while the runtime waited for execve")
		e.Remove(id)
	}
}

// With no_new_privs the filter comes last of all, without it the capabilities come after it.
func TestAFilterThatEndsAnExecIsAnError(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("its words are others")
	for _, r := range []struct {
		action specs.LinuxSeccompAction
		want   string
		below  string // where a reaper is its parent
	}{
		{specs.ActErrno, "set capabilities: capset: EPERM (1)", "set capabilities: capset: EPERM (1)"},
		{specs.ActKillProcess, "killed by SIGSYS (31), by the seccomp filter, while the runtime waited for execve",
			"exit status 159 while the runtime waited for execve"},
	} {
		id, _ := e.Detached(seccomp(ruled(rule(r.action, "capset"))), noNewPrivileges(true))
		file := e.File("process-"+id+".json", `{"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "capabilities": {}}`)
		wantContains(t, "exec", e.Fails(255, "exec", "--process", file, id), r.want)
		wantContains(t, "exec --reap", e.Fails(255, "exec", "--reap", "--process", file, id), r.below)
		e.Remove(id)
	}
}

func TestSeccompErrorsNameTheField(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("its words are others")
	for _, r := range []struct {
		name string
		edit func(*specs.LinuxSeccomp)
		want string
	}{
		{"architecture that the library lacks", func(p *specs.LinuxSeccomp) {
			p.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchMIPS}
		}, "linux.seccomp.architectures[1]: "},
	} {
		t.Run(r.name, func(t *testing.T) {
			e := e.On(t)
			p := ruled(rule(specs.ActErrno, "getsid"))
			r.edit(p)
			b := e.Bundle(seccomp(p))
			wantContains(t, "create", e.Fails(1, "create", "-b", b.Dir, e.ID("c")), "config.json: "+r.want)
		})
	}
}

// A startContainer hook is a file of the container's, so the filter is loaded for it too. Nobody
// answers its notifications: the kernel says ENOSYS.
func TestSeccompHoldsForStartContainerHooks(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("its hooks run without the filter")
	a := startAgent(t, filepath.Join(e.Dir, "agent.sock"))
	defer a.stop()
	p := notified(a.path, "getsid")
	p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"getpgid"}, Action: specs.ActErrno, ErrnoRet: new(uint(unix.EDOM))})
	p.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
	script := fmt.Sprintf("probe call %d 1 >/journal; probe call %d 1 >>/journal", unix.SYS_GETPGID, unix.SYS_GETSID)
	out := e.Run(harness.WritableRoot, seccomp(p), harness.Args("cat", "/journal"), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}}}}
	})
	wantEqual(t, "the hook's calls", out, negative(unix.EDOM)+"\n"+negative(unix.ENOSYS)+"\n")
}

// What the stage does between the fork and a hook's execve is not the program's, and need not be allowed it.
func TestAFilterAllowsLittleToAHook(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("its hooks run without the filter")
	p := ruled(rule(specs.ActErrno, "close_range", "dup2", "dup3", "rt_sigaction"))
	e.Run(seccomp(p), harness.Probe("call", fmt.Sprint(unix.SYS_GETPID)), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/probe", Args: []string{"probe", "call", fmt.Sprint(unix.SYS_GETPID)}}}}
	})
}

// A filter that was changed behind our back is made anew.
func TestAChangedFilterIsNotLoaded(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("it has no cache")
	id, _ := e.Detached(seccomp(dockerProfile(t)))
	forbidden := append([]string{"exec", id}, call(unix.SYS_KEYCTL, 0, 0)...)
	wantEqual(t, "forbidden", strings.TrimSpace(e.OK(forbidden...)), negative(unix.EPERM))
	entries, err := filepath.Glob(filepath.Join(e.Root, "@seccomp", "*"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("in the cache: %v, %v", entries, err)
	}
	data, err := os.ReadFile(entries[0])
	if err != nil {
		t.Fatal(err)
	}
	// Every ERRNO|EPERM becomes an ALLOW.
	changed := bytes.ReplaceAll(data, []byte{6, 0, 0, 0, 1, 0, 5, 0}, []byte{6, 0, 0, 0, 0, 0, 0xff, 0x7f})
	if bytes.Equal(changed, data) {
		t.Fatal("the entry has no such instruction")
	}
	if err := os.WriteFile(entries[0], changed, 0o600); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "forbidden still", strings.TrimSpace(e.OK(forbidden...)), negative(unix.EPERM))
	if again, err := os.ReadFile(entries[0]); err != nil || !bytes.Equal(again, data) {
		t.Errorf("the entry was not mended: %v", err)
	}
	e.Remove(id)
}
