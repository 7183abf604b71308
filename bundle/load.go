package bundle

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// MaxFileSize bounds config.json and process.json, in bytes. The largest configurations seen in
// the field (thousands of mounts, several seccomp profiles) stay below 1 MiB.
const MaxFileSize = 16 << 20

// A Bundle is a read, completed and checked configuration.
type Bundle struct {
	Dir      string // physical path of the bundle: absolute, without symbolic links
	Spec     *specs.Spec
	Text     []byte // of config.json, as it was read
	Rootfs   string // absolute path of the root file system, without symbolic links
	Warnings []Warning
}

// Load reads dir/config.json, completes it and checks it, and finds the root file system. Every
// error is one line that names the file and, where there is one, the JSON path.
func Load(dir string) (*Bundle, error) {
	dir, err := physical(dir)
	if err != nil {
		return nil, &FieldError{Reason: fmt.Sprintf("bundle %s: %s", dir, errnoText(err)), Err: err}
	}
	data, err := readRegular(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, err
	}
	spec, err := Parse(data)
	if err != nil {
		return nil, inFile(ConfigFile, err)
	}
	warnings, err := Check(spec)
	if err != nil {
		return nil, err
	}
	rootfs, err := findRootfs(dir, spec.Root.Path)
	if err != nil {
		return nil, inFile(ConfigFile, err)
	}
	return &Bundle{Dir: dir, Spec: spec, Text: data, Rootfs: rootfs, Warnings: warnings}, nil
}

// LoadProcess reads and checks the process of `exec --process`. Unlike a bundle's config.json the
// file may be a pipe (a shell's process substitution).
func LoadProcess(path string) (*specs.Process, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError("", "", "open", path, err)
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := readBounded(f, "", path, 0)
	if err != nil {
		return nil, err
	}
	var p specs.Process
	if err := decode(data, &p); err != nil {
		return nil, inFile(path, err)
	}
	c := &checker{}
	if err := c.process(&p, ""); err != nil {
		return nil, inFile(path, err)
	}
	return &p, nil
}

// Parse turns the bytes of config.json into a completed spec that is not yet checked. Its errors
// name no file.
func Parse(data []byte) (*specs.Spec, error) {
	var spec specs.Spec
	if err := decode(data, &spec); err != nil {
		return nil, err
	}
	complete(&spec)
	return &spec, nil
}

// complete fills in what the specification gives a meaning when it is missing, so that no later
// reader has to know it too.
func complete(spec *specs.Spec) {
	if spec.Linux == nil {
		spec.Linux = &specs.Linux{}
	}
}

// physical resolves symbolic links, as the kernel's getcwd(2) after a chdir(2) would. On failure
// it returns the path as far as it is known, for the message.
func physical(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return abs, err
	}
	return resolved, nil
}

// findRootfs gives the absolute path of the root file system, and refuses, as runc does, one that
// is reached through a symbolic link: what it points to could change between two lookups.
func findRootfs(dir, path string) (string, error) {
	rootfs := path
	if !filepath.IsAbs(rootfs) {
		rootfs = filepath.Join(dir, rootfs)
	}
	rootfs = filepath.Clean(rootfs)
	var st unix.Stat_t
	if err := unix.Lstat(rootfs, &st); err != nil {
		return "", fileError("", "root.path", "lstat", rootfs, err)
	}
	resolved, err := physical(rootfs)
	if err != nil {
		return "", fileError("", "root.path", "lookup", rootfs, err)
	}
	if resolved != rootfs {
		return "", refuse("root.path", "%s: reached through a symbolic link (to %s)", rootfs, resolved)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return "", refuse("root.path", "%s: expected a directory, found %s", rootfs, fileKind(st.Mode))
	}
	return rootfs, nil
}

// readRegular reads a regular file. O_NONBLOCK: opening a FIFO must not wait for a writer.
func readRegular(path string) ([]byte, error) {
	name := filepath.Base(path)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fileError(name, "", "open", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() //nolint:errcheck // read only
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fileError(name, "", "fstat", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &FieldError{File: name, Reason: fmt.Sprintf("%s: expected a regular file, found %s", path, fileKind(st.Mode))}
	}
	return readBounded(f, name, path, st.Size)
}

// readBounded reads f to its end, and refuses a file that is empty or larger than MaxFileSize.
// size is a guess that saves copying.
func readBounded(f *os.File, name, path string, size int64) ([]byte, error) {
	if size > MaxFileSize {
		return nil, tooLarge(name, path)
	}
	data := make([]byte, 0, size+512)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if len(data) > MaxFileSize {
			return nil, tooLarge(name, path)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fileError(name, "", "read", path, err)
		}
	}
	if len(data) == 0 {
		return nil, &FieldError{File: name, Reason: path + ": the file is empty"}
	}
	return data, nil
}

func tooLarge(name, path string) error {
	return &FieldError{File: name, Reason: fmt.Sprintf("%s: larger than %d MiB", path, MaxFileSize>>20)}
}

// fileKind says what a file is, in words that no client takes for an error about the program.
func fileKind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a regular file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFIFO:
		return "a FIFO"
	case unix.S_IFSOCK:
		return "a socket"
	case unix.S_IFCHR:
		return "a character device"
	case unix.S_IFBLK:
		return "a block device"
	}
	return fmt.Sprintf("a file of mode %#o", mode)
}
