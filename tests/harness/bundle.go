package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A Bundle is a directory with a root file system and a configuration.
type Bundle struct {
	Dir    string
	Rootfs string
	Spec   *specs.Spec

	e *Env
}

// An Edit changes the default configuration.
type Edit func(*specs.Spec)

// Bundle makes a bundle: the configuration that `spec` of the runtime under test writes, without a
// terminal and with edits, and a root file system of busybox and the probe.
func (e *Env) Bundle(edits ...Edit) *Bundle {
	e.T.Helper()
	e.mu.Lock()
	e.bundles++
	dir := filepath.Join(e.Dir, fmt.Sprintf("bundle-%d", e.bundles))
	e.mu.Unlock()
	return e.BundleIn(dir, edits...)
}

// BundleIn makes a bundle in a directory of the caller's choice.
func (e *Env) BundleIn(dir string, edits ...Edit) *Bundle {
	e.T.Helper()
	b := &Bundle{Dir: dir, Rootfs: filepath.Join(dir, "rootfs"), Spec: &specs.Spec{}, e: e}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		e.T.Fatal(err)
	}
	if err := makeRootfs(b.Rootfs); err != nil {
		e.T.Fatalf("root file system: %v", err)
	}
	if err := json.Unmarshal(e.defaultConfig(), b.Spec); err != nil {
		e.T.Fatalf("default config.json: %v", err)
	}
	b.Spec.Process.Terminal = false
	b.Edit(edits...)
	return b
}

// Edit changes the configuration and writes it again.
func (b *Bundle) Edit(edits ...Edit) {
	b.e.T.Helper()
	for _, edit := range edits {
		edit(b.Spec)
	}
	text, err := json.MarshalIndent(b.Spec, "", "\t")
	if err != nil {
		b.e.T.Fatal(err)
	}
	b.Write(string(text))
}

// Write replaces config.json by any text at all.
func (b *Bundle) Write(text string) {
	b.e.T.Helper()
	if err := os.WriteFile(filepath.Join(b.Dir, "config.json"), []byte(text), 0o644); err != nil {
		b.e.T.Fatal(err)
	}
}

// Asked of the runtime once per process.
var (
	configOnce sync.Once
	configText []byte
)

func (e *Env) defaultConfig() []byte {
	e.T.Helper()
	configOnce.Do(func() {
		dir := filepath.Join(e.Dir, "spec")
		if err := os.Mkdir(dir, 0o755); err != nil {
			e.T.Fatal(err)
		}
		e.Bare("spec", "-b", dir).OK()
		configText = []byte(e.Read(filepath.Join(dir, "config.json")))
	})
	if configText == nil {
		e.T.Fatalf("%s spec has failed before", shared.name)
	}
	return configText
}

// The parts of a root file system that are made once and then linked.
var base struct {
	once    sync.Once
	err     error
	busybox string
	probe   string
	applets []string
}

// makeRootfs makes a root file system of hard links, which takes milliseconds. A test must not
// write into /bin/busybox or /bin/probe: they are everybody's.
func makeRootfs(dir string) error {
	base.once.Do(func() { base.err = makeBase() })
	if base.err != nil {
		return base.err
	}
	for _, d := range []string{"bin", "dev", "etc", "home", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr/bin", "var"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), os.ModeSticky|0o777); err != nil {
		return err
	}
	err := errors.Join(
		os.Link(base.busybox, filepath.Join(dir, "bin/busybox")),
		os.Link(base.probe, filepath.Join(dir, "bin/probe")),
		os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/home:/bin/sh\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "etc/group"), []byte("root:x:0:\nweb:x:1000:\n"), 0o644),
	)
	for _, a := range base.applets {
		err = errors.Join(err, os.Symlink("busybox", filepath.Join(dir, "bin", a)))
	}
	return err
}

// makeBase copies busybox and the probe into the run's directory, on the file system where links
// to them will be made.
func makeBase() error {
	busybox, err := staticBusybox()
	if err != nil {
		return err
	}
	probe := ProbePath()
	if _, err := os.Stat(probe); err != nil {
		return fmt.Errorf("there is no %s: run `make test-build` first", probe)
	}
	base.busybox, base.probe = filepath.Join(shared.dir, "busybox"), filepath.Join(shared.dir, "probe")
	if err := errors.Join(copyFile(busybox, base.busybox), copyFile(probe, base.probe)); err != nil {
		return err
	}
	cmd := exec.Command(base.busybox, "--list")
	var out strings.Builder
	cmd.Stdout = &out
	if err := children.fork(cmd); err != nil {
		return err
	}
	if err := children.wait(cmd); err != nil {
		return fmt.Errorf("busybox --list: %w", err)
	}
	for _, a := range strings.Fields(out.String()) {
		if a != "busybox" {
			base.applets = append(base.applets, a)
		}
	}
	return nil
}

// ProbePath is the probe on the host.
func ProbePath() string { return filepath.Join(shared.repo, "build", "probe") }

func staticBusybox() (string, error) {
	if p := os.Getenv("RUNACK_BUSYBOX"); p != "" {
		return p, nil
	}
	p, err := exec.LookPath("busybox")
	if err != nil {
		return "", errors.New("there is no busybox: `make deps` installs Debian's busybox-static")
	}
	return p, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// Args sets the program.
func Args(args ...string) Edit {
	return func(s *specs.Spec) { s.Process.Args = args }
}

// Shell has busybox's shell run a script.
func Shell(script string) Edit { return Args("/bin/sh", "-c", script) }

// Probe has the probe run a verb.
func Probe(args ...string) Edit { return Args(append([]string{"/bin/probe"}, args...)...) }

// CgroupsPath sets linux.cgroupsPath.
func CgroupsPath(path string) Edit {
	return func(s *specs.Spec) { s.Linux.CgroupsPath = path }
}

// WritableRoot makes the root file system writable.
func WritableRoot(s *specs.Spec) { s.Root.Readonly = false }

// WithoutNamespace leaves a namespace out, so that it is the host's.
func WithoutNamespace(kind specs.LinuxNamespaceType) Edit {
	return func(s *specs.Spec) {
		var kept []specs.LinuxNamespace
		for _, n := range s.Linux.Namespaces {
			if n.Type != kind {
				kept = append(kept, n)
			}
		}
		s.Linux.Namespaces = kept
	}
}

// Namespace makes a new namespace, or joins the one at path.
func Namespace(kind specs.LinuxNamespaceType, path string) Edit {
	return func(s *specs.Spec) {
		WithoutNamespace(kind)(s)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
}

// WithoutMount leaves out the mounts of a place.
func WithoutMount(place string) Edit {
	return func(s *specs.Spec) {
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == place })
	}
}

// Mount adds a mount.
func Mount(kind, source, target string, options ...string) Edit {
	return func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Type: kind, Source: source, Destination: target, Options: options})
	}
}
