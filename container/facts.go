package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/bundle"
	"runack/cgroupjoin"
	"runack/internal/smallfile"
	"runack/plan"
)

// inUserNamespace says whether this runtime runs in a user namespace other than the initial one:
// the initial namespace alone maps the whole range of ids onto itself (user_namespaces(7)).
var inUserNamespace = sync.OnceValue(func() bool {
	data, err := smallfile.Read("/proc/self/uid_map")
	if err != nil {
		return false // a kernel without user namespaces
	}
	return strings.Join(strings.Fields(string(data)), " ") != "0 0 4294967295"
})

// hostFacts gathers what a plan has to know about the host, whatever the container.
func hostFacts(cg *cgroupjoin.Cgroup) (plan.Facts, error) {
	host, err := cgroupjoin.Detect()
	if err != nil {
		return plan.Facts{}, err
	}
	f := plan.Facts{
		Rootless:      os.Geteuid() != 0,
		InUserNS:      inUserNamespace(),
		CgroupVersion: string(host.Layout),
		CgroupMounts:  host.Mounts,
		AppArmor:      appArmorEnabled(),
		SELinux:       exists("/sys/fs/selinux/enforce"),
		Kcore:         exists("/proc/kcore"),
	}
	f.BoundingCaps, f.LastCap = capabilities()
	if cg != nil {
		f.CgroupPaths = cg.Paths()
	}
	f.OwnCgroups, err = ownCgroups(host.Mounts)
	return f, err
}

// ownCgroups gives the directories of the cgroups that this process is in, by controller. Where a
// path leads nowhere, as when the hierarchy's mount shows only a part of it, the mount point stands
// for it.
func ownCgroups(mounts map[string]string) (map[string]string, error) {
	const path = "/proc/self/cgroup"
	data, err := smallfile.Read(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // a kernel without cgroups
	}
	if err != nil {
		return nil, failed("read", path, err)
	}
	own := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) != 3 {
			return nil, fmt.Errorf("read %s: line %q: not the form of cgroups(7)", path, line)
		}
		for c := range strings.SplitSeq(parts[1], ",") {
			mount, ok := mounts[c]
			if !ok {
				continue
			}
			own[c] = mount
			if dir := filepath.Join(mount, parts[2]); exists(dir) {
				own[c] = dir
			}
		}
	}
	return own, nil
}

// appArmorEnabled reads the module's own switch, Y or N.
func appArmorEnabled() bool {
	data, err := smallfile.Read("/sys/module/apparmor/parameters/enabled")
	return err == nil && len(data) > 0 && data[0] == 'Y'
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }

// capabilities gives this process's own bounding set, as nothing that it lacks can be given on, and
// the highest capability of this kernel, by asking for one after the other. That takes 10 us, while
// the kernel takes 60 to write /proc/self/status.
func capabilities() (bounding uint64, last int) {
	for c := range 64 {
		in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if err != nil {
			return bounding, c - 1 // EINVAL: there is no such capability
		}
		bounding |= uint64(in) << c
	}
	return bounding, 63
}

// hostOf is what validation has to know about the host.
func hostOf(f *plan.Facts) bundle.Host {
	return bundle.Host{
		Rootless: f.Rootless, SELinux: f.SELinux, CgroupV2: f.CgroupVersion == string(cgroupjoin.V2),
		SameNetNS: sameNetNS,
		UserNSMaps: func(string) (uids, gids []specs.LinuxIDMapping, err error) {
			return f.UIDMappings, f.GIDMappings, nil
		},
	}
}

// sameNetNS tells whether path is this process's network namespace.
func sameNetNS(path string) (bool, error) {
	var own, other unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &own); err != nil {
		return false, err
	}
	if err := unix.Stat(path, &other); err != nil {
		return false, err
	}
	return own.Dev == other.Dev && own.Ino == other.Ino, nil
}

// createFacts adds what the plan has to know about the bundle's own paths.
func createFacts(f *plan.Facts, spec *specs.Spec, dir, rootfs string) error {
	userNS := userNamespace(spec)
	if f.Rootless && userNS == nil {
		return errNoUserNamespace
	}
	f.Root = plan.SourceFact{Unreachable: userNS != nil}
	f.Sources = make(map[string]plan.SourceFact)
	for _, m := range spec.Mounts {
		if !plan.ReadMount(m.Type, m.Options).Bind {
			continue
		}
		path := m.Source
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		_, err := os.Stat(path)
		f.Sources[path] = plan.SourceFact{
			Missing: errors.Is(err, os.ErrNotExist),
			// Root of another user namespace is nobody in particular to the host's directories.
			// Root of this one is the user who runs us, and opens what we could.
			Unreachable: userNS != nil && !f.Rootless,
		}
	}
	f.Root.Unreachable = f.Root.Unreachable && !f.Rootless
	if userNS != nil && userNS.Path != "" {
		return joinedMaps(f, userNS.Path)
	}
	f.SetgroupsDenied = setgroupsDenied() || f.Rootless && mapsOnly(spec.Linux.GIDMappings, os.Getegid())
	return nil
}

// userNamespace finds the user namespace that a configuration asks for, nil where it has none.
func userNamespace(spec *specs.Spec) *specs.LinuxNamespace {
	for i := range spec.Linux.Namespaces {
		if spec.Linux.Namespaces[i].Type == specs.UserNamespace {
			return &spec.Linux.Namespaces[i]
		}
	}
	return nil
}

// joinedMaps reads the id maps of a user namespace that is joined by path.
func joinedMaps(f *plan.Facts, path string) error {
	uid, gid, deny, err := userNSMaps(path)
	if err != nil {
		return err
	}
	f.UIDMappings, f.GIDMappings, f.SetgroupsDenied = uid, gid, deny
	return nil
}

// execFacts adds what the plan has to know about a container that runs: its root and its maps are
// those of its init.
func execFacts(f *plan.Facts, spec *specs.Spec, init int) error {
	f.InitRoot = procFile(init, "root")
	if userNamespace(spec) == nil {
		f.SetgroupsDenied = setgroupsDenied()
		return nil
	}
	return joinedMaps(f, procFile(init, "ns/user"))
}

// privileged says whether this runtime has the host's CAP_SYS_ADMIN.
func privileged() bool { return os.Geteuid() == 0 && !inUserNamespace() }
