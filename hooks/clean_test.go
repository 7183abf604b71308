package hooks

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The dirty launcher blocks every signal and ignores every one that can be, libc's hidden 32 to 34
// included, leaves descriptors 7 and 200 open, and becomes the given program.
const dirtySource = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
struct kernel_sigaction { void (*handler)(int); unsigned long flags; void (*restorer)(void); unsigned long mask; };
int main(int argc, char **argv) {
	unsigned long all = ~0ul;
	struct kernel_sigaction ignore = { (void (*)(int))1, 0, 0, 0 };
	for (int sig = 1; sig <= 64; sig++) syscall(SYS_rt_sigaction, sig, &ignore, 0, 8);
	syscall(SYS_rt_sigprocmask, 0, &all, 0, 8);
	int fd = open("/dev/null", O_RDWR);
	dup2(fd, 7); dup2(fd, 200);
	execv(argv[1], argv + 1);
	return 1;
}
`

// TestCleanSignalsAndDescriptors starts this test binary again through the dirty launcher; there it runs a
// hook, and the hook must see nothing of it.
func TestCleanSignalsAndDescriptors(t *testing.T) {
	if probe := os.Getenv("HOOKS_TEST_PROBE"); probe != "" {
		runProbe(t, probe)
		return
	}
	dir := t.TempDir()
	probe := buildProbe(t, dir)
	source, dirty := filepath.Join(dir, "dirty.c"), filepath.Join(dir, "dirty")
	if err := os.WriteFile(source, []byte(dirtySource), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-o", dirty, source).CombinedOutput(); err != nil {
		t.Fatalf("build the dirty launcher: %v\n%s", err, out)
	}
	cmd := exec.Command(dirty, os.Args[0], "-test.run=^TestCleanSignalsAndDescriptors$", "-test.count=1")
	cmd.Env = append(os.Environ(), "HOOKS_TEST_PROBE="+probe)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The launcher did its work: a program started the plain way sees what we were started with.
	if plain := read(t, probe+".plain"); strings.Contains(plain, "SigBlk:\t0000000000000000") || strings.Contains(plain, "SigIgn:\t0000000000000000") {
		t.Errorf("the launcher is not dirty:\n%s", plain)
	}
	for line := range strings.Lines(read(t, probe+".signals")) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if strings.HasPrefix(field, "Sig") && field != "SigQ" && strings.Trim(value, "0") != "" {
			t.Errorf("%s", line)
		}
	}
	if got := read(t, probe+".fds"); got != "0\n1\n2\n" {
		t.Errorf("descriptors %q", got)
	}
}

// runProbe is the part in the dirty process.
func runProbe(t *testing.T, probe string) {
	for _, fd := range []int{7, 200} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Fatalf("descriptor %d: %v", fd, err)
		}
	}
	if out, err := exec.Command(probe).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Rename(probe+".signals", probe+".plain"); err != nil {
		t.Fatal(err)
	}
	if err := Run(context.Background(), Poststart, []specs.Hook{{Path: probe}}, []byte("{}")); err != nil {
		t.Fatal(fmt.Errorf("hook: %w", err))
	}
}
