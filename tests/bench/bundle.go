package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// bundle makes a bundle that runs args, with busybox alone, and the starter configuration of runack's
// without a terminal, changed by edits.
func (b *bench) bundle(name string, args []string, edits ...func(*specs.Spec)) (string, error) {
	dir := filepath.Join(b.work, name)
	bin := filepath.Join(dir, "rootfs/bin")
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			return "", err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("%w (Debian package busybox-static)", err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), program, 0o755); err != nil {
		return "", err
	}
	for _, applet := range []string{"true", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(bin, applet)); err != nil && !os.IsExist(err) {
			return "", err
		}
	}
	spec, err := b.starterSpec()
	if err != nil {
		return "", err
	}
	spec.Version = "1.0.2" // what all of them read: crun 1.8 knows no 1.1 and later
	spec.Process.Terminal, spec.Process.Args = false, args
	for _, edit := range edits {
		edit(spec)
	}
	data, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
}

// starterSpec is what `runack spec` writes.
func (b *bench) starterSpec() (*specs.Spec, error) {
	dir, err := os.MkdirTemp(b.work, "spec")
	if err != nil {
		return nil, err
	}
	if err := exec.Command(b.view.Runtimes[0].Path, "spec", "--bundle", dir).Run(); err != nil {
		return nil, fmt.Errorf("runack spec: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	var spec specs.Spec
	return &spec, json.Unmarshal(data, &spec)
}

// withDockerSeccomp adds Docker's default profile.
func withDockerSeccomp(spec *specs.Spec) error {
	data, err := os.ReadFile("internal/seccomp/testdata/docker-default.json")
	if err != nil {
		return err
	}
	var profile specs.LinuxSeccomp
	if err := json.Unmarshal(data, &profile); err != nil {
		return err
	}
	spec.Linux.Seccomp = &profile
	return nil
}

func withMemoryLimit(bytes int64) func(*specs.Spec) {
	return func(spec *specs.Spec) {
		if spec.Linux.Resources == nil {
			spec.Linux.Resources = &specs.LinuxResources{}
		}
		spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &bytes}
	}
}
