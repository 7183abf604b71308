package bundle

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// DefaultSpec is the configuration that `spec` writes: that of runc, so that whoever starts from it
// meets nothing new. Like runc's it has a cgroup namespace where cgroup v2 is the one hierarchy.
func DefaultSpec() *specs.Spec {
	spec := &specs.Spec{
		Version:  specs.Version,
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Process:  defaultProcess(),
		Hostname: "runc",
		Mounts:   defaultMounts(),
		Linux: &specs.Linux{
			MaskedPaths:   defaultMaskedPaths(),
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
			Resources: &specs.LinuxResources{
				Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
			},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.NetworkNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.MountNamespace},
			},
		},
	}
	if unifiedCgroups() {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return spec
}

func defaultProcess() *specs.Process {
	caps := func() []string { return []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"} }
	return &specs.Process{
		Terminal: true,
		Args:     []string{"sh"},
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"TERM=xterm",
		},
		Cwd:             "/",
		NoNewPrivileges: true,
		Capabilities:    &specs.LinuxCapabilities{Bounding: caps(), Permitted: caps(), Effective: caps()},
		Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
	}
}

func defaultMounts() []specs.Mount {
	mount := func(destination, fstype, source string, options ...string) specs.Mount {
		return specs.Mount{Destination: destination, Type: fstype, Source: source, Options: options}
	}
	return []specs.Mount{
		mount("/proc", "proc", "proc"),
		mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
		mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
		mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
		mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
		mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
	}
}

func defaultMaskedPaths() []string {
	return []string{
		"/proc/acpi",
		"/proc/asound",
		"/proc/kcore",
		"/proc/keys",
		"/proc/latency_stats",
		"/proc/timer_list",
		"/proc/timer_stats",
		"/proc/sched_debug",
		"/sys/firmware",
		"/proc/scsi",
	}
}

// RootlessSpec is the configuration that `spec --rootless` writes: the default one with a user
// namespace in which uid and gid are root, without a network namespace and without limits.
func RootlessSpec(uid, gid uint32) *specs.Spec {
	spec := DefaultSpec()
	var namespaces []specs.LinuxNamespace
	for _, ns := range spec.Linux.Namespaces {
		if ns.Type != specs.NetworkNamespace {
			namespaces = append(namespaces, ns)
		}
	}
	spec.Linux.Namespaces = append(namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	spec.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: uid, Size: 1}}
	spec.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: gid, Size: 1}}
	spec.Linux.Resources = nil
	for i := range spec.Mounts {
		spec.Mounts[i] = rootlessMount(spec.Mounts[i])
	}
	return spec
}

// rootlessMount leaves out what a user without privilege cannot have: a sysfs of the network
// namespace that stays the host's, and owners that the user namespace does not map.
func rootlessMount(m specs.Mount) specs.Mount {
	if path.Clean(m.Destination) == "/sys" {
		return specs.Mount{
			Destination: "/sys",
			Type:        "none",
			Source:      "/sys",
			Options:     []string{"rbind", "nosuid", "noexec", "nodev", "ro"},
		}
	}
	var options []string
	for _, o := range m.Options {
		if !strings.HasPrefix(o, "gid=") && !strings.HasPrefix(o, "uid=") {
			options = append(options, o)
		}
	}
	m.Options = options
	return m
}

// unifiedCgroups tells whether cgroup v2 is mounted at its place.
func unifiedCgroups() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}
