package reaper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The child of the tests: a static program of a few pages without any library, so that ten thousand
// of them fit. It is told what to do by the letters of its first argument:
//
//	x  exit with the byte that follows
//	r  read one byte from descriptor 0 and exit with it; at end of file with 0
//	f  fork; the child goes on with the next letter, the parent ends with 0
//	p  wait for ever
const childSource = `
typedef long L;
static L sys(L n, L a, L b, L c) {
	L r;
#if defined(__x86_64__)
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register L x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	r = x0;
#endif
	return r;
}
#if defined(__x86_64__)
enum { READ = 0, EXIT = 231, PAUSE = 34 };
static L fork_(void) { return sys(57, 0, 0, 0); }
static void pause_(void) { sys(PAUSE, 0, 0, 0); }
__asm__(".globl _start\n_start: mov %rsp,%rdi\nand $-16,%rsp\ncall run\n");
#else
enum { READ = 63, EXIT = 94 };
static L fork_(void) { return sys(220, 17, 0, 0); }
static void pause_(void) { sys(73, 0, 0, 0); }
__asm__(".globl _start\n_start: mov x0,sp\nb run\n");
#endif
__attribute__((used)) void run(L *sp) {
	const unsigned char *p = (const unsigned char *)sp[2];
	unsigned char b = 0;
	for (;; p++) {
		switch (*p) {
		case 'x': sys(EXIT, p[1], 0, 0);
		case 'r': b = 0; sys(READ, 0, (L)&b, 1); sys(EXIT, b, 0, 0);
		case 'f': if (fork_()) sys(EXIT, 0, 0, 0); break;
		case 'p': for (;;) pause_();
		default: sys(EXIT, 99, 0, 0);
		}
	}
}
`

var childPath string

// defaultSignals undoes what was ignored when the tests began, as a test's child would not die of it:
// GNU make's posix_spawn leaves signals 32 and 33 ignored, nohup SIGHUP.
func defaultSignals() {
	const sigIgn = 1
	for sig := uintptr(1); sig <= 64; sig++ {
		var old, dfl [4]uint64 // the kernel's struct sigaction; dfl: SIG_DFL, no flags, empty mask
		sigaction(sig, nil, &old)
		if old[0] == sigIgn {
			sigaction(sig, &dfl, nil)
		}
	}
}

// sigaction is rt_sigaction(2), for numbers that libraries hide. SIGKILL and SIGSTOP can be asked for only.
func sigaction(sig uintptr, act, old *[4]uint64) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig,
		uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		panic(errno)
	}
}

func TestMain(m *testing.M) {
	defaultSignals()
	dir, err := os.MkdirTemp("", "reaper")
	if err == nil {
		childPath, err = buildChild(dir)
	}
	code := 1
	if err != nil {
		println("build the test child:", err.Error())
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func buildChild(dir string) (string, error) {
	source, binary := filepath.Join(dir, "child.c"), filepath.Join(dir, "child")
	if err := os.WriteFile(source, []byte(childSource), 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("gcc", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie", "-O1", "-Wall",
		"-o", binary, source).CombinedOutput()
	if err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return binary, nil
}

// proc is a forked test child. The test holds its pidfd and the write end of its stdin.
var ctxForever = context.Background()

type proc struct {
	pid, pidfd, stdin int
}

// fork starts the child with a script. stdin is -1 unless piped.
func fork(t testing.TB, script string, piped bool) proc {
	t.Helper()
	p, err := tryFork(script, piped)
	if err != nil {
		t.Fatalf("fork: %v", err)
	}
	return p
}

func tryFork(script string, piped bool) (proc, error) {
	p := proc{pidfd: -1, stdin: -1}
	files := []uintptr{uintptr(devNull)}
	if piped {
		var ends [2]int
		if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
			return p, err
		}
		p.stdin, files[0] = ends[1], uintptr(ends[0])
		defer unix.Close(ends[0])
	}
	pid, err := syscall.ForkExec(childPath, []string{"child", script}, &syscall.ProcAttr{Files: files, Sys: &syscall.SysProcAttr{PidFD: &p.pidfd}})
	p.pid = pid
	return p, err
}

var devNull = func() int {
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	return fd
}()

func (p proc) kill(sig unix.Signal) error { return unix.PidfdSendSignal(p.pidfd, sig, nil, 0) }

func (p proc) exitWith(code byte) error {
	_, err := unix.Write(p.stdin, []byte{code})
	return err
}

func (p proc) close() {
	_ = unix.Close(p.pidfd)
	if p.stdin >= 0 {
		_ = unix.Close(p.stdin)
	}
}

func newReaper(t testing.TB, o Options) *Reaper {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// limit is generous: the tests wait for events, and it only ends what hangs.
func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func next(t testing.TB, s *Subscription) Exit {
	t.Helper()
	e, err := s.Next(limit(t))
	if err != nil {
		t.Fatalf("next exit: %v", err)
	}
	return e
}

// waitUntil yields until a condition of the loop holds for which there is no event to wait for.
func waitUntil(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		_, _ = unix.Poll(nil, 1)
	}
}

func isSubreaper(t testing.TB) bool {
	var on int32
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&on)), 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	return on != 0
}

// grandchild is a process that waits for ever and is not our child.
func grandchild(t *testing.T) (pid, pidfd int) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `"$1" p > /dev/null 2>&1 & echo $!`, "sh", childPath)
	out, err := cmd.Output()
	if err == nil {
		_, err = fmt.Sscan(string(out), &pid)
	}
	if err == nil {
		pidfd, err = unix.PidfdOpen(pid, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pid, pidfd
}

const tracerSource = `
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>
int main(int argc, char **argv) {
	char c;
	if (ptrace(PTRACE_SEIZE, atoi(argv[1]), 0, 0)) return 1;
	if (write(1, "s", 1) != 1) return 1;
	return read(0, &c, 1) != 0; /* never waits for its tracee; its own end lets go */
}
`

// trace attaches a tracer that does not wait; the result makes it let go.
func trace(t *testing.T, pid int) func() {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "tracer.c"), filepath.Join(dir, "tracer")
	if err := os.WriteFile(source, []byte(tracerSource), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("build the tracer: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, strconv.Itoa(pid))
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	var seized [1]byte
	if _, err := io.ReadFull(out, seized[:]); err != nil {
		_ = cmd.Wait()
		t.Skipf("skipped: ptrace is not allowed here: %v", err)
	}
	return func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("tracer: %v", err)
		}
	}
}

// forkAs forks a child with a chosen pid. Other processes may take the number first.
func forkAs(t *testing.T, pid int) (proc, bool) {
	for range 200 {
		if os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0) != nil {
			return proc{}, false
		}
		p := fork(t, "r", true)
		if p.pid == pid {
			return p, true
		}
		_ = p.exitWith(0)
		if _, err := unix.Wait4(p.pid, nil, 0, nil); err != nil {
			t.Fatal(err)
		}
		p.close()
	}
	return proc{}, false
}

// cpuTime is what this process has used, its children not counted.
func cpuTime(t testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
