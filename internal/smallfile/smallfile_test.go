package smallfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadGivesWhatWasWritten(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, size := range []int{0, 1, 1023, 1024, 1025, 100_000} {
		want := bytes.Repeat([]byte("abc"), size)[:size]
		if err := WriteAt(int(dir.Fd()), "file", want, 0, 0o600); err != nil {
			t.Fatal(err)
		}
		for what, read := range map[string]func() ([]byte, error){
			"Read":   func() ([]byte, error) { return Read(filepath.Join(dir.Name(), "file")) },
			"ReadAt": func() ([]byte, error) { return ReadAt(int(dir.Fd()), "file", unix.O_NOFOLLOW) },
		} {
			if got, err := read(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %d bytes, %v", what, size, len(got), err)
			}
		}
	}
}

func TestErrorsAreThoseOfOS(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none"), dir, filepath.Join(dir, "link")} {
		_, want := os.ReadFile(path)
		if _, err := Read(path); err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := ReadAt(unix.AT_FDCWD, filepath.Join(dir, "link"), unix.O_NOFOLLOW); !errors.Is(err, unix.ELOOP) {
		t.Error(err)
	}
	if err := WriteAt(unix.AT_FDCWD, "/dev/full", []byte("x"), 0, 0); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
}

func BenchmarkRead(b *testing.B) {
	for name, read := range map[string]func(string) ([]byte, error){"smallfile": Read, "os": os.ReadFile} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := read("/proc/self/cgroup"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
