package seccomp

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A counted compiler says how often it was asked.
type counted struct {
	program []byte
	calls   int
}

func (c *counted) compile() ([]byte, error) {
	c.calls++
	return c.program, nil
}

var someProgram = bytes.Repeat([]byte{6, 0, 0, 0, 0, 0, 0xff, 0x7f}, 10)

// filled is a directory with one entry, and the path of that.
func filled(t *testing.T) (dir, entry string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	c := openCache(dir, []byte("request"))
	if _, err := c.get((&counted{program: someProgram}).compile); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, c.name)
}

// ask gets the program of a request, and says whether it came from the cache.
func ask(t *testing.T, dir, request string) (hit bool) {
	t.Helper()
	c := &counted{program: someProgram}
	got, err := openCache(dir, []byte(request)).get(c.compile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, someProgram) {
		t.Fatalf("got %x", got)
	}
	return c.calls == 0
}

func TestCacheHits(t *testing.T) {
	dir, entry := filled(t)
	if !ask(t, dir, "request") {
		t.Error("a program that was kept is compiled again")
	}
	if ask(t, dir, "another request") {
		t.Error("another request got the same program")
	}
	for _, path := range []string{dir, entry} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestCompilersErrorIsPassedOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	broken := errors.New("broken")
	if _, err := openCache(dir, []byte("x")).get(func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if names, _ := os.ReadDir(dir); len(names) > 0 {
		t.Errorf("kept %v", names)
	}
}

// Every byte of an entry matters, and so do its length, owner, mode and kind.
func TestDamagedEntryIsNotLoaded(t *testing.T) {
	dir, entry := filled(t)
	whole, err := os.ReadFile(entry)
	if err != nil {
		t.Fatal(err)
	}
	put := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(entry, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1 << (i % 8)
		put(damaged)
		if ask(t, dir, "request") {
			t.Fatalf("byte %d of %d is changed, and the entry is loaded", i, len(whole))
		}
		// The miss has mended it.
		if data, err := os.ReadFile(entry); err != nil || !bytes.Equal(data, whole) {
			t.Fatalf("after byte %d: %v", i, err)
		}
	}
	for n := range whole {
		put(whole[:n])
		if ask(t, dir, "request") {
			t.Fatalf("the entry is loaded with %d of %d bytes", n, len(whole))
		}
	}
	put(append(bytes.Clone(whole), 0))
	if ask(t, dir, "request") {
		t.Error("the entry is loaded with a byte behind it")
	}
}

// An entry of another request, whole, under this one's name.
func TestSwappedEntryIsNotLoaded(t *testing.T) {
	dir, entry := filled(t)
	ask(t, dir, "another")
	if err := os.Rename(filepath.Join(dir, openCache(dir, []byte("another")).name), entry); err != nil {
		t.Fatal(err)
	}
	if ask(t, dir, "request") {
		t.Error("another request's entry is loaded")
	}
}

func TestForeignEntryIsNotLoaded(t *testing.T) {
	rows := []struct {
		name string
		edit func(dir, entry string) error
	}{
		{"writable by the group", func(_, entry string) error { return os.Chmod(entry, 0o620) }},
		{"readable by others", func(_, entry string) error { return os.Chmod(entry, 0o604) }},
		{"of another user", func(_, entry string) error { return os.Chown(entry, 1, 0) }},
		{"a symbolic link", func(dir, entry string) error {
			return errors.Join(os.Rename(entry, dir+"/x"), os.Symlink("x", entry))
		}},
		{"a hard link", func(dir, entry string) error { return os.Link(entry, dir+"/x") }},
		{"a FIFO", func(_, entry string) error { return errors.Join(os.Remove(entry), unix.Mkfifo(entry, 0o600)) }},
		{"a directory", func(_, entry string) error { return errors.Join(os.Remove(entry), os.Mkdir(entry, 0o700)) }},
		{"in a directory that others may write to", func(dir, _ string) error { return os.Chmod(dir, 0o722) }},
		{"in a directory of another user", func(dir, _ string) error { return os.Chown(dir, 1, 0) }},
		{"in a directory that is a symbolic link", func(dir, _ string) error {
			return errors.Join(os.Rename(dir, dir+"-real"), os.Symlink(dir+"-real", dir))
		}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			dir, entry := filled(t)
			if err := r.edit(dir, entry); errors.Is(err, unix.EPERM) {
				t.Skip("only root can give a file away")
			} else if err != nil {
				t.Fatal(err)
			}
			if ask(t, dir, "request") {
				t.Error("the entry is loaded")
			}
		})
	}
}

// A cache that cannot be written to costs time and nothing else.
func TestCacheThatCannotBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "/proc/cache", file, filepath.Join(t.TempDir(), "no", "such")} {
		for range 2 {
			if ask(t, dir, "request") {
				t.Errorf("%q: a hit", dir)
			}
		}
	}
}

func TestFullDiskKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16k,mode=700"); err != nil {
		t.Skipf("only root can mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 16<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if ask(t, dir, "request") {
		t.Error("a hit")
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func TestCacheStaysSmall(t *testing.T) {
	dir, entry := filled(t)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(entry, old, old); err != nil {
		t.Fatal(err)
	}
	for i := range maxEntries + 10 {
		ask(t, dir, fmt.Sprint(i))
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) > maxEntries {
		t.Errorf("%d entries, %v", len(names), err)
	}
	if _, err := os.Stat(entry); err == nil {
		t.Error("the oldest entry is still there")
	}
	if !ask(t, dir, fmt.Sprint(maxEntries+9)) {
		t.Error("the latest entry is gone")
	}
}

func TestManyCreateTheSameEntry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			got, err := openCache(dir, []byte("request")).get(func() ([]byte, error) { return someProgram, nil })
			if err != nil || !bytes.Equal(got, someProgram) {
				t.Errorf("got %x, %v", got, err)
			}
		})
	}
	wait.Wait()
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("got %v, %v", names, err)
	}
	if !ask(t, dir, "request") {
		t.Error("the entry is not whole")
	}
}

// BenchmarkHit is what a start pays for its profile: request, hash, entry.
func BenchmarkHit(b *testing.B) {
	p := profile(b, "docker-default.json")
	dir := filepath.Join(b.TempDir(), "cache")
	for b.Loop() {
		if _, err := Filter(p, dir); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMiss is what the first one pays.
func BenchmarkMiss(b *testing.B) {
	p := profile(b, "docker-default.json")
	for b.Loop() {
		if _, err := Filter(p, ""); err != nil {
			b.Fatal(err)
		}
	}
}
