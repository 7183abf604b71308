package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// makeBundle makes a bundle with a root file system and the given config.json.
func makeBundle(t *testing.T, config []byte) string {
	t.Helper()
	dir := physicalDir(t)
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, ConfigFile), config)
	return dir
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestLoad(t *testing.T) {
	spec := baseSpec()
	spec.Version = "1.9.0"
	dir := makeBundle(t, marshal(t, spec))
	b, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b.Dir != dir || b.Rootfs != dir+"/rootfs" || b.Spec.Process.Args[0] != "/bin/true" {
		t.Errorf("got %+v", b)
	}
	if len(b.Warnings) != 1 || !strings.HasPrefix(b.Warnings[0].String(), "config.json: ociVersion: 1.9.0 is newer") {
		t.Errorf("warnings %v", b.Warnings)
	}
}

func TestLoadCompletes(t *testing.T) {
	spec := baseSpec()
	spec.Linux = nil
	b, err := Load(makeBundle(t, marshal(t, spec)))
	if err != nil {
		t.Fatal(err)
	}
	if b.Spec.Linux == nil {
		t.Error("no linux section")
	}
}

func TestLoadFindsTheBundle(t *testing.T) {
	dir := makeBundle(t, marshal(t, baseSpec()))
	link := filepath.Join(physicalDir(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Run("through a symbolic link", func(t *testing.T) {
		if b, err := Load(link); err != nil || b.Dir != dir || b.Rootfs != dir+"/rootfs" {
			t.Errorf("got %+v, %v", b, err)
		}
	})
	t.Run("relative", func(t *testing.T) {
		t.Chdir(filepath.Dir(dir))
		if b, err := Load("./" + filepath.Base(dir)); err != nil || b.Dir != dir {
			t.Errorf("got %+v, %v", b, err)
		}
	})
	t.Run("here", func(t *testing.T) {
		t.Chdir(dir)
		if b, err := Load("."); err != nil || b.Dir != dir {
			t.Errorf("got %+v, %v", b, err)
		}
	})
	t.Run("absolute root", func(t *testing.T) {
		spec := baseSpec()
		spec.Root.Path = dir + "/./rootfs/"
		if b, err := Load(makeBundle(t, marshal(t, spec))); err != nil || b.Rootfs != dir+"/rootfs" {
			t.Errorf("got %+v, %v", b, err)
		}
	})
}

// TestLoadRefuses has every way in which a bundle can be no bundle. want is the whole error, with
// DIR for the bundle's directory.
func TestLoadRefuses(t *testing.T) {
	rows := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  string
		errno error
	}{
		{"no directory", func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, "bundle DIR: ENOENT (2)", unix.ENOENT},
		{"file for a directory", func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)); writeFile(t, dir, nil) }, "config.json: open DIR/config.json: ENOTDIR (20)", unix.ENOTDIR},
		{"no config", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/config.json")) }, "config.json: open DIR/config.json: ENOENT (2)", unix.ENOENT},
		{"directory for a config", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/config.json"))
			must(t, os.Mkdir(dir+"/config.json", 0o755))
		}, "config.json: DIR/config.json: expected a regular file, found a directory", nil},
		{"FIFO for a config", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/config.json"))
			must(t, unix.Mkfifo(dir+"/config.json", 0o644))
		}, "config.json: DIR/config.json: expected a regular file, found a FIFO", nil},
		{"device for a config", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/config.json"))
			must(t, os.Symlink("/dev/zero", dir+"/config.json"))
		}, "config.json: DIR/config.json: expected a regular file, found a character device", nil},
		{"loop of links", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/config.json"))
			must(t, os.Symlink("config.json", dir+"/config.json"))
		}, "config.json: open DIR/config.json: ELOOP (40)", unix.ELOOP},
		{"empty", func(t *testing.T, dir string) { writeFile(t, dir+"/config.json", nil) }, "config.json: DIR/config.json: the file is empty", nil},
		{"white space", func(t *testing.T, dir string) { writeFile(t, dir+"/config.json", []byte(" \n\t\r\n")) }, "config.json: the file holds nothing but white space", nil},
		{"too large", func(t *testing.T, dir string) { must(t, os.Truncate(dir+"/config.json", MaxFileSize+1)) }, "config.json: DIR/config.json: larger than 16 MiB", nil},
		{"zeros", func(t *testing.T, dir string) { writeFile(t, dir+"/config.json", make([]byte, 512)) }, `config.json: invalid character '\x00' looking for beginning of value (line 1, column 1, byte 0)`, nil},
		{"no root file system", func(t *testing.T, dir string) { must(t, os.Remove(dir+"/rootfs")) }, "config.json: root.path: lstat DIR/rootfs: ENOENT (2)", unix.ENOENT},
		{"file for a root file system", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/rootfs"))
			writeFile(t, dir+"/rootfs", nil)
		}, "config.json: root.path: DIR/rootfs: expected a directory, found a regular file", nil},
		{"link for a root file system", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/rootfs"))
			must(t, os.Mkdir(dir+"/other", 0o755))
			must(t, os.Symlink("other", dir+"/rootfs"))
		}, "config.json: root.path: DIR/rootfs: reached through a symbolic link (to DIR/other)", nil},
		{"link to nothing for a root file system", func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/rootfs"))
			must(t, os.Symlink("other", dir+"/rootfs"))
		}, "config.json: root.path: lookup DIR/rootfs: ENOENT (2)", unix.ENOENT},
		{"link on the way to the root file system", func(t *testing.T, dir string) {
			must(t, os.Mkdir(dir+"/other", 0o755))
			must(t, os.Mkdir(dir+"/other/root", 0o755))
			must(t, os.Symlink("other", dir+"/way"))
			spec := baseSpec()
			spec.Root.Path = "way/root"
			writeFile(t, dir+"/config.json", marshal(t, spec))
		}, "config.json: root.path: DIR/way/root: reached through a symbolic link (to DIR/other/root)", nil},
		{"refused field", func(t *testing.T, dir string) {
			spec := baseSpec()
			spec.Linux.Namespaces[2].Type = "foo"
			writeFile(t, dir+"/config.json", marshal(t, spec))
		}, `config.json: linux.namespaces[2].type: unknown namespace "foo"`, nil},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			dir := makeBundle(t, marshal(t, baseSpec()))
			r.spoil(t, dir)
			_, err := Load(dir)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); got != r.want {
				t.Errorf("got  %s\nwant %s", got, r.want)
			}
			if r.errno != nil && !errors.Is(err, r.errno) {
				t.Errorf("%v is not %v", err, r.errno)
			}
			checkWords(t, err)
		})
	}
}

func TestLoadUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything; the error is that of TestErrnoText")
	}
	dir := makeBundle(t, marshal(t, baseSpec()))
	must(t, os.Chmod(dir+"/config.json", 0))
	if _, err := Load(dir); !errors.Is(err, unix.EACCES) {
		t.Errorf("got %v", err)
	}
}

func TestErrnoText(t *testing.T) {
	for _, r := range []struct {
		err  error
		want string
	}{
		{unix.EACCES, "EACCES (13)"},
		{&os.PathError{Op: "open", Path: "/x", Err: unix.EISDIR}, "EISDIR (21)"},
		{unix.Errno(9999), "errno (9999)"},
		{errors.New("x"), "x"},
	} {
		if got := errnoText(r.err); got != r.want {
			t.Errorf("%v: got %q, want %q", r.err, got, r.want)
		}
	}
}

// TestLoadReadsTheWholeFile reads a file whose size is a guess: larger than the first buffer, and
// from a pipe, which has none.
func TestLoadReadsTheWholeFile(t *testing.T) {
	spec := baseSpec()
	spec.Annotations = map[string]string{"a": strings.Repeat("x", 1<<20)}
	if b, err := Load(makeBundle(t, marshal(t, spec))); err != nil || len(b.Spec.Annotations["a"]) != 1<<20 {
		t.Errorf("got %v", err)
	}
	r, w, err := os.Pipe()
	must(t, err)
	want := bytes.Repeat([]byte("0123456789"), 10000)
	go func() {
		_, _ = w.Write(want)
		_ = w.Close()
	}()
	got, err := readBounded(r, "x", "x", 0)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(want), err)
	}
}

func TestReadBoundedStops(t *testing.T) {
	f, err := os.Open("/dev/zero")
	must(t, err)
	defer f.Close() //nolint:errcheck // read only
	if _, err := readBounded(f, "config.json", "/x/config.json", 0); err == nil || err.Error() != "config.json: /x/config.json: larger than 16 MiB" {
		t.Errorf("got %v", err)
	}
}

func TestLoadProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "process.json")
	rows := []struct {
		name, text, want string
	}{
		{"good", `{"cwd":"/","args":["sh"],"user":{"uid":5},"env":["A=1"]}`, ""},
		{"list", `[]`, "FILE: expected an object, got a list (line 1, column 1, byte 0)"},
		{"null", `null`, "FILE: expected an object, got null"},
		{"empty", ``, "FILE: the file is empty"},
		{"cut short", "{\"cwd\": \"/\",\n \"args\": [\"sh\"", "FILE: args[0]: the file ends in the middle of the document (line 2, column 15, byte 27)"},
		{"no args", `{"cwd":"/"}`, "FILE: args: must have at least one entry"},
		{"relative cwd", `{"cwd":"x","args":["sh"]}`, `FILE: cwd: "x": must be an absolute path`},
		{"limit", `{"cwd":"/","args":["sh"],"rlimits":[{"type":"x"}]}`, `FILE: rlimits[0].type: unknown limit "x"`},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			writeFile(t, file, []byte(r.text))
			p, err := LoadProcess(file)
			if r.want == "" {
				if err != nil || p.User.UID != 5 || p.Args[0] != "sh" {
					t.Errorf("got %+v, %v", p, err)
				}
				return
			}
			if err == nil || strings.ReplaceAll(err.Error(), file, "FILE") != r.want {
				t.Errorf("got  %v\nwant %s", err, r.want)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		_, err := LoadProcess("/no/such/file")
		if !errors.Is(err, unix.ENOENT) || err.Error() != "open /no/such/file: ENOENT (2)" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("directory", func(t *testing.T) {
		_, err := LoadProcess("/")
		if !errors.Is(err, unix.EISDIR) || err.Error() != "read /: EISDIR (21)" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("pipe", func(t *testing.T) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		must(t, unix.Mkfifo(fifo, 0o600))
		go func() { _ = os.WriteFile(fifo, []byte(rows[0].text), 0) }()
		if p, err := LoadProcess(fifo); err != nil || p.Cwd != "/" {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
