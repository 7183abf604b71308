package stagewire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the repository, seen from this package's folder.
const root = "../.."

// compilers that the programs are built with, where they are installed.
var compilers = []string{"gcc", "clang"}

var flags = []string{
	"-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer",
	"-fsanitize=address,undefined", "-fno-sanitize-recover=all",
}

// extra flags of single programs.
var extra = map[string][]string{"fuzz": {"-fsanitize=fuzzer"}} // clang alone has libFuzzer

// sources of one program: all of the stage but its main, and the program's own.
func sources(program string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(root, "nsexec/stage/*.c"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range all {
		if filepath.Base(s) != "main.c" {
			out = append(out, s)
		}
	}
	test := filepath.Join(root, "nsexec/stage/test")
	return append(out, filepath.Join(test, "play.c"), filepath.Join(test, program+".c")), nil
}

// fingerprint is a hash over all that a program is made of.
func fingerprint(cc string, srcs []string) (string, error) {
	h := sha256.New()
	headers, err := filepath.Glob(filepath.Join(root, "nsexec/stage/*.[hd]*"))
	if err != nil {
		return "", err
	}
	files := append(append([]string{filepath.Join(root, "nsexec/stage/test/play.h"), filepath.Join(root, "handshake/order.def")}, headers...), srcs...)
	version, err := exec.Command(cc, "--version").Output()
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprint(h, string(version), flags, extra)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprint(h, f, len(text), string(text))
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// compile builds one program into build/stagewire, unless it is there from an earlier run of the
// same sources: a fuzzer starts this test many times over.
func compile(cc, program string) (string, error) {
	srcs, err := sources(program)
	if err != nil {
		return "", err
	}
	sum, err := fingerprint(cc, srcs)
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(filepath.Join(root, "build/stagewire"))
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, program+"-"+cc+"-"+sum)
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	old, _ := filepath.Glob(filepath.Join(dir, program+"-"+cc+"-*"))
	tmp := bin + fmt.Sprintf(".new%d", os.Getpid())
	args := slices.Concat(flags, extra[program], []string{"-o", tmp})
	if out, err := exec.Command(cc, append(args, srcs...)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", cc, program, err, out)
	}
	for _, o := range old {
		if !strings.Contains(o, ".new") {
			_ = os.Remove(o)
		}
	}
	return bin, os.Rename(tmp, bin)
}

type built struct {
	path string
	err  error
}

var (
	buildLock sync.Mutex
	builds    = map[string]built{} // guarded by buildLock
)

// program returns the path of a built program. Where the compiler is missing, or cannot link the
// sanitizers, the test is skipped and says so; gcc with its sanitizers comes with `make deps`.
func program(t testing.TB, cc, name string) string {
	t.Helper()
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("%s is not installed", cc)
	}
	if cc == "clang" && !linksSanitizers(t, cc) {
		t.Skipf("%s cannot link its sanitizers: libclang-rt is not installed", cc)
	}
	buildLock.Lock()
	defer buildLock.Unlock()
	b, done := builds[cc+name]
	if !done {
		b.path, b.err = compile(cc, name)
		builds[cc+name] = b
	}
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

func linksSanitizers(t testing.TB, cc string) bool {
	t.Helper()
	src := filepath.Join(t.TempDir(), "empty.c")
	if err := os.WriteFile(src, []byte("int main(void) { return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := exec.Command(cc, "-fsanitize=address,undefined", "-o", src+".out", src).Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil
}

// environment makes every finding of a sanitizer fatal. Leak checking needs ptrace, which
// containers and debuggers deny; the programs' own descriptor checks do not.
func environment() []string {
	return append(os.Environ(), "ASAN_OPTIONS=detect_leaks=0:abort_on_error=1", "UBSAN_OPTIONS=print_stacktrace=1")
}

// vectorFiles lists the handshake's test vectors.
func vectorFiles(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "handshake/testdata/vectors", pattern))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors: ", errors.Join(err, fs.ErrNotExist))
	}
	return files
}
