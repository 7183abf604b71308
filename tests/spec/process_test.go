package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/tests/harness"
)

func TestTheUserAndAllItsGroups(t *testing.T) {
	e := harness.New(t)
	highest := uint32(4294967294)
	if !harness.IsRunack() {
		highest = 2147483647 // as 1.1.5 has it
	}
	out := e.Run(status, func(s *spec) {
		s.Process.User = specs.User{UID: highest, GID: 1234567, AdditionalGids: []uint32{5, 70000, 0}}
	})
	wantField(t, out, "Uid", strings.TrimSpace(strings.Repeat(fmt.Sprint(highest, " "), 4)))
	wantField(t, out, "Gid", "1234567 1234567 1234567 1234567")
	wantField(t, out, "Groups", "0 5 70000")
}

func TestTheUmaskOfEveryKind(t *testing.T) {
	e := harness.New(t)
	for mask, want := range map[uint32]string{0: "0000\n", 0o027: "0027\n", 0o777: "0777\n"} {
		wantEqual(t, "umask", e.Run(harness.Probe("umask"), func(s *spec) { s.Process.User.Umask = &mask }), want)
	}
	e.RunackOnly("1.1.5 lets an exec inherit the caller's umask")
	// An exec has that of the container, unless its own process says otherwise.
	mask := uint32(0o027)
	id, _ := e.Detached(func(s *spec) { s.Process.User.Umask = &mask })
	wantEqual(t, "umask of an exec", e.OK("exec", id, "/bin/probe", "umask"), "0027\n")
	e.Remove(id)
}

// limitNames has every resource limit with its number (getrlimit(2)).
var limitNames = []string{"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS",
	"SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"}

func TestAllSixteenResourceLimits(t *testing.T) {
	e := harness.New(t)
	var limits []specs.POSIXRlimit
	var want []string
	for n, name := range limitNames {
		var own unix.Rlimit
		if err := unix.Getrlimit(n, &own); err != nil {
			t.Fatal(err)
		}
		// Not more than we have: raising takes CAP_SYS_RESOURCE, which not every machine gives.
		soft, hard := min(own.Max, uint64(1<<30+n)), min(own.Max, uint64(1<<31+n))
		if name == "NOFILE" {
			soft, hard = 100, 200
		}
		limits = append(limits, specs.POSIXRlimit{Type: "RLIMIT_" + name, Soft: soft, Hard: hard})
		want = append(want, fmt.Sprintf("%d %d %d", n, soft, hard))
	}
	edit := func(s *spec) { s.Process.Rlimits = limits }
	wantEqual(t, "limits", e.Run(harness.Probe("limits"), edit), lines(want...))
	id, _ := e.Detached(edit)
	wantEqual(t, "limits of an exec", e.OK("exec", id, "/bin/probe", "limits"), lines(want...))
	e.Remove(id)
}

// A number of files that leaves the program its standard ones is none that the stage could work under. It
// is in force before the program runs, whoever that runs as.
func TestALimitOfFewFiles(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("runc's init needs more itself")
	few := func(s *spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 4}} }
	user := func(s *spec) { s.Process.User.UID = 1000 }
	wantContains(t, "limits", e.Run(harness.Probe("limits"), few, user), "\n7 3 4\n")
	id, _ := e.Detached(few)
	for range 50 {
		wantContains(t, "limits of an exec", e.OK("exec", id, "/bin/probe", "limits"), "\n7 3 4\n")
	}
	wantContains(t, "limits of an exec by a user", e.OK("exec", "-u", "1000", id, "/bin/probe", "limits"), "\n7 3 4\n")
	e.Remove(id)
}

// What takes a privilege that the runtime lacks fails by the name of the limit.
func TestALimitThatCannotBeRaised(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("says it in other words")
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	above := uint64(1) << 40 // beyond /proc/sys/fs/nr_open, which binds everybody
	e.Refused([]harness.Edit{func(s *spec) {
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: own.Cur, Hard: above}}
	}},
		"set rlimit RLIMIT_NOFILE to", "EPERM (1)")
}

func TestTheOOMScoreOfAnExec(t *testing.T) {
	e := harness.New(t)
	score := 456
	id, _ := e.Detached(func(s *spec) { s.Process.OOMScoreAdj = &score })
	wantEqual(t, "oom_score_adj", e.OK("exec", id, "/bin/cat", "/proc/self/oom_score_adj"), "456\n")
	e.Remove(id)
}

// PER_LINUX32 has uname(2) tell of a 32 bit machine.
func TestThePersonality(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 does not know personality")
	for domain, want := range map[specs.LinuxPersonalityDomain]string{specs.PerLinux: "00000000\nx86_64\n", specs.PerLinux32: "00000008\ni686\n"} {
		edit := func(s *spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: domain} }
		show := "cat /proc/self/personality; uname -m"
		asRoot := caps("CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
		wantEqual(t, string(domain), e.Run(sh(show), edit, asRoot), want)
		id, _ := e.Detached(edit, asRoot)
		wantEqual(t, string(domain)+" of an exec", e.OK("exec", id, "/bin/sh", "-c", show), want)
		e.Remove(id)
	}
}

// The fields of /proc/PID/stat behind the name: nice is 19, rt_priority 40, policy 41 (proc_pid_stat(5)).
func schedulingOf(t *testing.T, stat string) string {
	t.Helper()
	_, after, _ := strings.Cut(stat, ") ")
	f := strings.Fields(after)
	if len(f) < 39 {
		t.Fatalf("stat: %q", stat)
	}
	return fmt.Sprintf("policy %s nice %s priority %s", f[41-3], f[19-3], f[40-3])
}

func TestTheScheduler(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 does not know scheduler")
	own := schedulingOf(t, e.Read("/proc/self/stat"))
	nice := strings.Fields(own)[3] // what has no nice value of its own keeps it
	// On cgroup v1 the real-time classes need a budget, of which a cgroup has no more than the one above.
	budget := func(*spec) {}
	if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"); err == nil {
		budget = func(s *spec) {
			s.Linux.CgroupsPath = "/" + e.ID("c")
			s.Linux.Resources.CPU = &specs.LinuxCPU{RealtimeRuntime: new(int64(1000)), RealtimePeriod: new(uint64(1000000))}
		}
	}
	for _, row := range []struct {
		s    specs.Scheduler
		want string
	}{
		{specs.Scheduler{Policy: specs.SchedOther, Nice: 7}, "policy 0 nice 7 priority 0"},
		{specs.Scheduler{Policy: specs.SchedBatch, Nice: 3}, "policy 3 nice 3 priority 0"},
		{specs.Scheduler{Policy: specs.SchedIdle}, "policy 5 nice " + nice + " priority 0"},
		{specs.Scheduler{Policy: specs.SchedFIFO, Priority: 12, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}, "policy 1 nice " + nice + " priority 12"},
		{specs.Scheduler{Policy: specs.SchedRR, Priority: 99}, "policy 2 nice " + nice + " priority 99"},
		{specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 10e6, Deadline: 20e6, Period: 30e6}, "policy 6 nice " + nice + " priority 0"},
	} {
		edit := func(s *spec) { s.Process.Scheduler = &row.s }
		r := e.Do("run", "-b", e.Bundle(harness.Args("/bin/cat", "/proc/self/stat"), edit, budget).Dir, e.ID("c"))
		if r.Code != 0 {
			// The kernel may have no more to give.
			harness.OneLine(t, r.Stderr, "set scheduler", "E")
			t.Logf("%s is refused here: %s", row.s.Policy, r.Stderr)
			if row.s.Policy == specs.SchedOther || row.s.Policy == specs.SchedBatch || row.s.Policy == specs.SchedIdle {
				t.Error(r)
			}
			continue
		}
		wantEqual(t, string(row.s.Policy), schedulingOf(t, r.Stdout), row.want)
	}
	id, _ := e.Detached(func(s *spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 9} })
	wantEqual(t, "an exec", schedulingOf(t, e.OK("exec", id, "/bin/cat", "/proc/self/stat")), "policy 3 nice 9 priority 0")
	e.Remove(id)
}

func TestTheIOPriority(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 does not know ioPriority")
	for class, want := range map[specs.IOPriorityClass]string{
		specs.IOPRIO_CLASS_RT: "realtime: prio 3\n", specs.IOPRIO_CLASS_BE: "best-effort: prio 3\n", specs.IOPRIO_CLASS_IDLE: "idle\n",
	} {
		edit := func(s *spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: class, Priority: 3} }
		got := e.Run(harness.Args("/bin/ionice"), edit)
		if class == specs.IOPRIO_CLASS_IDLE {
			got, _, _ = strings.Cut(got, ":")
			got = strings.TrimSpace(got) + "\n"
		}
		wantEqual(t, string(class), got, want)
	}
	id, _ := e.Detached(func(s *spec) {
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
	})
	wantEqual(t, "an exec", e.OK("exec", id, "/bin/ionice"), "best-effort: prio 6\n")
	e.Remove(id)
}

// Init runs on all CPUs, whatever the runtime was bound to; an exec on those of execCPUAffinity.
func TestTheCPUAffinity(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 does not know execCPUAffinity")
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	if set.Count() < 2 || !set.IsSet(0) || !set.IsSet(1) {
		t.Skip("needs CPUs 0 and 1")
	}
	cpus := func(r string) string { return harness.Field(t, r, "Cpus_allowed_list") }
	all := cpus(e.Read("/proc/self/status"))
	b := e.Bundle(status)
	wantEqual(t, "init's CPUs", cpus(e.Runtime("run", "-b", b.Dir, e.ID("c")).Through("taskset", "-c", "1").OK()), all)
	id, _ := e.Detached(func(s *spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0", Final: "1"} })
	wantEqual(t, "an exec's CPUs", cpus(e.OK("exec", id, "/bin/cat", "/proc/self/status")), "1")
	process := e.File("process.json", `{"args":["/bin/cat","/proc/self/status"],"cwd":"/","user":{"uid":0,"gid":0},"execCPUAffinity":{"final":"0"}}`)
	wantEqual(t, "an exec's own CPUs", cpus(e.OK("exec", "-p", process, id)), "0")
	e.Remove(id)
}

// The rules of runc: the user's entry in /etc/passwd, else "/"; a HOME of the configuration stays.
func TestHomeIsTheUsers(t *testing.T) {
	e := harness.New(t)
	home := func(edits ...harness.Edit) string {
		return strings.TrimSpace(e.Run(append(edits, harness.Args("/bin/printenv", "HOME"), sh("echo $HOME"))...))
	}
	wantEqual(t, "root's", home(), "/root")
	wantEqual(t, "a user's", home(func(s *spec) { s.Process.User.UID = 1000 }), "/home")
	wantEqual(t, "an unknown user's", home(func(s *spec) { s.Process.User.UID = 4711 }), "/")
	wantEqual(t, "the configuration's", home(func(s *spec) { s.Process.Env = append(s.Process.Env, "HOME=/mnt") }), "/mnt")
	e.RunackOnly("1.1.5 waits for a writer of a FIFO for ever, and fails for a directory")
	// The image's file may be missing, a link, or nonsense.
	b := e.Bundle(sh("echo $HOME"))
	passwd := filepath.Join(b.Rootfs, "etc/passwd")
	for what, make := range map[string]func() error{
		"missing":      func() error { return nil },
		"a link out":   func() error { return os.Symlink("/../../../etc/passwd", passwd) },
		"a FIFO":       func() error { return unix.Mkfifo(passwd, 0o644) },
		"a directory":  func() error { return os.Mkdir(passwd, 0o755) },
		"long and odd": func() error { return os.WriteFile(passwd, []byte(strings.Repeat(":", 1<<20)+"\n::::\nroot\n"), 0o644) },
	} {
		if err := os.Remove(passwd); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if r := e.Do("run", "-b", b.Dir, e.ID("c")); r.Code != 0 || r.Stdout != "/\n" {
			t.Errorf("/etc/passwd is %s: %s", what, r)
		}
	}
}

// runc's rules: a missing one is made, root's rights open it, and if only the user's do, those.
func TestTheWorkingDirectoryOfEveryKind(t *testing.T) {
	e := harness.New(t)
	cwd := func(path string) harness.Edit { return func(s *spec) { s.Process.Cwd = path } }
	wantEqual(t, "through a link", e.Run(sh("pwd -P"), cwd("/bin/../tmp/.")), "/tmp\n")
	b := e.Bundle(sh("pwd; stat -c %U:%a ."), harness.WritableRoot, cwd("/home/deep/er"))
	wantEqual(t, "one that is made", e.OK("run", "-b", b.Dir, e.ID("c")), "/home/deep/er\nroot:755\n")
	wantEqual(t, "one that is made before the root is read-only", e.Run(sh("pwd"), cwd("/nothing")), "/nothing\n")
	// Only the user may enter it; root has no CAP_DAC_OVERRIDE.
	b = e.Bundle(sh("pwd"), cwd("/home/own"), caps(), func(s *spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} })
	if err := os.Mkdir(b.Rootfs+"/home/own", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(b.Rootfs+"/home/own", 1000, 1000); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the user's own", e.OK("run", "-b", b.Dir, e.ID("c")), "/home/own\n")
	e.RunackOnly("says it in other words")
	e.Refused([]harness.Edit{cwd("/bin/busybox")}, "/bin/busybox", "ENOTDIR (20)")
}

// The session keyring is the container's, shared with its execs, and is not the host's.
func TestTheSessionKeyring(t *testing.T) {
	e := harness.New(t)
	if _, err := os.Stat("/proc/keys"); err != nil {
		t.Skip("the kernel has no keys")
	}
	b := e.Bundle(harness.Probe("keyring"))
	id := e.ID("c")
	host := e.Command(harness.ProbePath(), "keyring").OK()
	wantContains(t, "keyring", e.OK("run", "-b", b.Dir, id), "keyring;0;0;", ";_ses."+id+"\n")
	wantEqual(t, "keyring without a new one", e.OK("run", "--no-new-keyring", "-b", b.Dir, id), host)
	d, _ := e.Detached()
	wantContains(t, "keyring of an exec", e.OK("exec", d, "/bin/probe", "keyring"), ";_ses."+d+"\n")
	e.Remove(d)
	wantContains(t, "keyring in a user namespace", e.OK("run", "-b", withUserNS(e, harness.Probe("keyring")).Dir, id), ";_ses."+id+"\n")
}

// capSets lists the five sets of a status file as numbers.
func capSets(t *testing.T, text string) map[string]string {
	t.Helper()
	sets := map[string]string{}
	for _, key := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		sets[key] = strings.TrimLeft(harness.Field(t, text, key), "0")
	}
	return sets
}

func wantCaps(t *testing.T, what, text string, inh, prm, eff, bnd, amb string) {
	t.Helper()
	got := capSets(t, text)
	want := map[string]string{"CapInh": inh, "CapPrm": prm, "CapEff": eff, "CapBnd": bnd, "CapAmb": amb}
	for key := range want {
		if got[key] != want[key] {
			t.Errorf("%s: %s is %q, want %q", what, key, got[key], want[key])
		}
	}
}

// CAP_CHOWN is 1, CAP_DAC_OVERRIDE 2, CAP_KILL 20 (hexadecimal), CAP_NET_RAW 2000.
func TestTheFiveSetsOfCapabilities(t *testing.T) {
	e := harness.New(t)
	set := func(c specs.LinuxCapabilities, uid uint32) harness.Edit {
		return func(s *spec) { s.Process.Capabilities, s.Process.User.UID = &c, uid }
	}
	chown, kill, both := []string{"CAP_CHOWN"}, []string{"CAP_KILL"}, []string{"CAP_CHOWN", "CAP_KILL"}
	all := specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both, Inheritable: chown, Ambient: chown}
	// root gets what bounding and inheritable allow at the execve, with no_new_privs too.
	wantCaps(t, "root", e.Run(status, set(all, 0)), "1", "21", "21", "21", "1")
	// Another user keeps the ambient ones alone.
	wantCaps(t, "a user", e.Run(status, set(all, 1000)), "1", "1", "1", "21", "1")
	wantCaps(t, "a user without ambient", e.Run(status, set(specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both}, 1000)), "", "", "", "21", "")
	wantCaps(t, "bounding alone", e.Run(status, set(specs.LinuxCapabilities{Bounding: kill}, 1000)), "", "", "", "20", "")
	wantCaps(t, "none", e.Run(status, func(s *spec) { s.Process.Capabilities = &specs.LinuxCapabilities{} }), "", "", "", "", "")
	id, _ := e.Detached(set(all, 0))
	wantCaps(t, "an exec as a user", e.OK("exec", "-u", "1000", id, "/bin/cat", "/proc/self/status"), "1", "1", "1", "21", "1")
	wantCaps(t, "an exec with one more", e.OK("exec", "--cap", "CAP_NET_RAW", id, "/bin/cat", "/proc/self/status"), "1", "2021", "2021", "2021", "1")
	e.Remove(id)
}

// The specification wants what cannot be granted to be left out, with a warning.
func TestCapabilitiesThatNobodyKnows(t *testing.T) {
	e := harness.New(t)
	b := e.Bundle(status, caps("CAP_CHOWN", "CAP_FLY", "chown"))
	r := e.Do("run", "-b", b.Dir, e.ID("c"))
	if r.Code != 0 {
		t.Fatal(r)
	}
	wantCaps(t, "known ones", r.Stdout, "", "1", "1", "1", "")
	wantContains(t, "the warning", r.Stderr, "CAP_FLY")
	if harness.IsRunack() {
		wantContains(t, "the warning", r.Stderr, "process.capabilities", "unknown to this kernel", "chown")
	}
	b.Edit(func(s *spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_CHOWN"}, Permitted: []string{"CAP_CHOWN"}, Ambient: []string{"CAP_CHOWN"}}
	})
	r = e.Do("run", "-b", b.Dir, e.ID("a"))
	wantField(t, r.Stdout, "CapAmb", "0000000000000000")
	if harness.IsRunack() {
		wantContains(t, "the warning", r.Stderr, "process.capabilities.ambient", "not both permitted and inheritable")
	}
}

// A user namespace has all capabilities to give, whatever the runtime lacks.
func TestCapabilitiesInAUserNamespace(t *testing.T) {
	e := harness.New(t)
	b := withUserNS(e, status, caps("CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"))
	wantCaps(t, "its root", e.OK("run", "-b", b.Dir, e.ID("c")), "", "1200000", "1200000", "1200000", "")
}

func TestNoNewPrivilegesKeepsASetuidProgramFromItsRights(t *testing.T) {
	e := harness.New(t)
	for set, want := range map[bool]string{true: "1000", false: "0"} {
		b := e.Bundle(harness.Args("/bin/own-id"), func(s *spec) {
			s.Process.NoNewPrivileges = set
			s.Process.User = specs.User{UID: 1000, GID: 1000}
		})
		id := filepath.Join(b.Rootfs, "bin/own-id")
		data, err := os.ReadFile(harness.ProbePath())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(id, data, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(id, os.ModeSetuid|0o755); err != nil {
			t.Fatal(err)
		}
		b.Edit(harness.Args("/bin/own-id", "euid"))
		wantEqual(t, fmt.Sprint("effective user with noNewPrivileges ", set), e.OK("run", "-b", b.Dir, e.ID("c")), want+"\n")
	}
}

func TestProgramsAreFoundInPath(t *testing.T) {
	e := harness.New(t)
	path := func(dirs string) harness.Edit { return func(s *spec) { s.Process.Env = []string{"PATH=" + dirs} } }
	wantEqual(t, "in PATH", e.Run(harness.Args("echo", "found"), path("/nowhere:/usr/bin:/bin")), "found\n")
	wantEqual(t, "below cwd", e.Run(harness.Args("bin/echo", "found"), path("/nowhere")), "found\n")
	e.Refused([]harness.Edit{harness.Args("echo"), path("/nowhere")}, "executable file not found in $PATH")
	e.Refused([]harness.Edit{harness.Args("/etc/passwd")}, "permission denied")
}

// Of two variables of a name the later one counts, as in runc 1.2.
func TestTheEnvironmentsOrder(t *testing.T) {
	e := harness.New(t)
	out := e.Run(harness.Probe("env"), func(s *spec) { s.Process.Env = []string{"A=1", "PATH=/bin", "A=2", "HOME=/x"} })
	if harness.IsRunack() {
		got := strings.Fields(out)
		slices.Sort(got)
		wantEqual(t, "environment", strings.Join(got, " "), "[A=2] [HOME=/x] [PATH=/bin]")
	}
	wantContains(t, "environment", out, "[A=2]")
}
