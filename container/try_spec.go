package container

import (
	_ "embed"
	"os"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"runack/bundle"
)

// tryTour is what runs where there is nothing to run and nobody to type.
//
//go:embed try_tour.sh
var tryTour string

// tryCaps are the capabilities that docker and podman's users are used to: enough for a package
// manager, a server or a chown, and none that reaches the host.
var tryCaps = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
	"CAP_SETUID", "CAP_SYS_CHROOT",
}

// trySpec is the default configuration with a writable root at rootfs, and with what o asks for.
func trySpec(o *TryOptions, id, rootfs string) (*specs.Spec, error) {
	spec := bundle.DefaultSpec()
	spec.Root = &specs.Root{Path: tryRootfs}
	spec.Hostname = o.Hostname
	if spec.Hostname == "" {
		spec.Hostname = id
	}
	tryProcess(spec.Process, o, rootfs)
	tryMounts(spec, o)
	if !o.OwnNet {
		spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
			return n.Type == specs.NetworkNamespace
		})
	}
	if o.Memory > 0 {
		spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &o.Memory}
	}
	if o.Pids > 0 {
		spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &o.Pids}
	}
	return spec, bundle.Validate(spec)
}

func tryProcess(p *specs.Process, o *TryOptions, rootfs string) {
	p.Terminal = o.Terminal
	p.Rlimits = nil // as the caller's
	p.Capabilities = &specs.LinuxCapabilities{
		Bounding: slices.Clone(tryCaps), Permitted: slices.Clone(tryCaps), Effective: slices.Clone(tryCaps),
	}
	p.Env = tryEnv(o)
	p.Args = o.Args
	if len(p.Args) == 0 {
		p.Args = defaultArgs(o.Terminal, rootfs)
	}
	p.Cwd = o.Cwd
	if p.Cwd == "" {
		p.Cwd = "/"
		if dir, err := os.Getwd(); err == nil && isDir(rootfs, dir) {
			p.Cwd = dir
		}
	}
}

// tryEnv is a fresh environment and not the caller's, which may hold secrets and is full of what
// does not hold inside.
func tryEnv(o *TryOptions) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	for _, name := range []string{"TERM", "LANG"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, o.Env...)
}

func defaultArgs(terminal bool, rootfs string) []string {
	const shell = "/bin/sh"
	if !terminal {
		return []string{shell, "-c", tryTour}
	}
	if st, err := os.Stat(rootfs + "/bin/bash"); err == nil && st.Mode().IsRegular() {
		return []string{"/bin/bash"}
	}
	return []string{shell}
}

// tryMounts adds a /run of its own, which keeps the host's sockets and runtime state out, and the
// binds.
func tryMounts(spec *specs.Spec, o *TryOptions) {
	spec.Mounts = append(spec.Mounts, specs.Mount{
		Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=755"},
	})
	if path := resolver(); path != "" && !o.OwnNet {
		spec.Mounts = append(spec.Mounts, bindMount(TryBind{Source: path, Destination: path, ReadOnly: true}))
	}
	for _, b := range o.Binds {
		spec.Mounts = append(spec.Mounts, bindMount(b))
	}
}

func bindMount(b TryBind) specs.Mount {
	m := specs.Mount{Destination: b.Destination, Type: "bind", Source: b.Source, Options: []string{"rbind", "rprivate"}}
	if b.ReadOnly {
		m.Options = append(m.Options, "rro") // with all that is mounted below
	}
	return m
}
