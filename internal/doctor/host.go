package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"

	"runack/cgroupjoin"
)

// read gives a small file without the white space around it; "" where there is none.
func read(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// wanted are the controllers that limits of a configuration go to.
var wanted = []string{"cpu", "cpuset", "io", "memory", "pids"}

func cgroups() []Check {
	host, err := cgroupjoin.Detect()
	if err != nil {
		return []Check{{Name: "layout", State: Missing, Found: err.Error(), Advice: "mount cgroups, or run with --rootless"}}
	}
	layout := Check{Name: "layout", State: OK, Found: string(host.Layout)}
	var have []string
	switch host.Layout {
	case cgroupjoin.V2:
		have = strings.Fields(read("/sys/fs/cgroup/cgroup.controllers"))
	case cgroupjoin.V1, cgroupjoin.Hybrid:
		for name := range host.Mounts {
			have = append(have, strings.Replace(name, "blkio", "io", 1))
		}
	default:
		layout.State, layout.Advice = Limited, "without cgroups no limit holds, and --rootless is needed"
	}
	checks := []Check{layout}
	for _, name := range wanted {
		c := Check{Name: "controller " + name, State: OK}
		if !slices.Contains(have, name) {
			c.State, c.Found = Limited, "not there"
			c.Advice = "limits of it are refused; enable it in the kernel (cgroup_enable=" + name + ") or in the cgroup above"
		}
		checks = append(checks, c)
	}
	return append(checks, frozenSupport(host))
}

// frozenSupport: pause and resume need a freezer.
func frozenSupport(host cgroupjoin.Host) Check {
	c := Check{Name: "freezer", State: OK}
	if _, v1 := host.Mounts["freezer"]; v1 || host.Layout == cgroupjoin.V2 {
		return c
	}
	c.State, c.Found, c.Advice = Limited, "not there", "pause and resume do not work; mount the freezer controller"
	return c
}

func security() []Check {
	lsm := Check{Name: "modules", State: Info, Found: read("/sys/kernel/security/lsm")}
	if lsm.Found == "" {
		lsm.Found = "not shown (securityfs is not mounted at /sys/kernel/security)"
	}
	appArmor := Check{Name: "AppArmor", State: Info, Found: "off", Advice: "profiles in a configuration are refused"}
	if read("/sys/module/apparmor/parameters/enabled") == "Y" {
		appArmor = Check{Name: "AppArmor", State: OK, Found: "on"}
	}
	selinux := Check{Name: "SELinux", State: Info, Found: "off", Advice: "labels in a configuration are refused"}
	switch read("/sys/fs/selinux/enforce") {
	case "0":
		selinux = Check{Name: "SELinux", State: OK, Found: "permissive"}
	case "1":
		selinux = Check{Name: "SELinux", State: OK, Found: "enforcing"}
	}
	return []Check{lsm, appArmor, selinux}
}

// users looks at what containers with a user namespace need.
func users() []Check {
	most := Check{Name: "user namespaces", State: OK, Found: "at most " + read("/proc/sys/user/max_user_namespaces")}
	switch {
	case read("/proc/sys/user/max_user_namespaces") == "0":
		most.State, most.Advice = Limited, "sysctl -w user.max_user_namespaces=10000"
	case os.Geteuid() != 0 && read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		most.State, most.Found, most.Advice = Limited, "for root alone", "sysctl -w kernel.unprivileged_userns_clone=1"
	case os.Geteuid() != 0 && read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		most.State, most.Found, most.Advice = Limited, "restricted by AppArmor", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or a profile for runack"
	}
	return append([]Check{most}, subordinate("subuid", "newuidmap"), subordinate("subgid", "newgidmap"))
}

// subordinate: an ordinary user's container has more than one id only by these.
func subordinate(file, helper string) Check {
	c := Check{Name: file, State: OK}
	if os.Geteuid() == 0 {
		c.State, c.Found = Info, "root needs none"
		return c
	}
	if _, err := exec.LookPath(helper); err != nil {
		c.State, c.Found, c.Advice = Limited, "no "+helper, "install Debian's uidmap"
		return c
	}
	uid := strconv.Itoa(os.Geteuid())
	names := []string{uid}
	if u, err := user.LookupId(uid); err == nil {
		names = append(names, u.Username)
	}
	for line := range strings.Lines(read("/etc/" + file)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && slices.Contains(names, f[0]) {
			c.Found = f[2] + " from " + f[1]
			return c
		}
	}
	c.State, c.Found = Limited, "no line for "+names[len(names)-1]
	c.Advice = fmt.Sprintf("usermod --add-%ss 100000-165535 %s", file, names[len(names)-1])
	return c
}

// speed: settings that change the time of a start by milliseconds.
func speed() []Check {
	expedited, normal := read("/sys/kernel/rcu_expedited"), read("/sys/kernel/rcu_normal")
	rcu := Check{Name: "RCU", State: Info, Found: fmt.Sprintf("rcu_expedited %s, rcu_normal %s", expedited, normal)}
	if normal == "1" {
		rcu.State, rcu.Advice = Limited, "grace periods are never expedited: moving a process between cgroups takes some 10 ms (echo 0 >/sys/kernel/rcu_normal)"
	}
	return []Check{rcu, favorDynMods()}
}

func favorDynMods() Check {
	c := Check{Name: "favordynmods", State: Info, Found: "off",
		Advice: "mount -o remount,favordynmods /sys/fs/cgroup (6.0) makes moves between cgroups quicker, and forks a little slower"}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2", "cgroup"))
	if err != nil {
		c.Found = err.Error()
		return c
	}
	for _, m := range mounts {
		if slices.Contains(strings.Split(m.VFSOptions, ","), "favordynmods") {
			return Check{Name: c.Name, State: Info, Found: "on at " + m.Mountpoint}
		}
	}
	return c
}

func tools() []Check {
	criu := Check{Name: "criu", State: Info, Found: "not installed", Advice: "checkpoint and restore, which runack has not yet, will need it"}
	if path, err := exec.LookPath("criu"); err == nil {
		criu = Check{Name: "criu", State: OK, Found: path}
	}
	systemd := Check{Name: "systemd", State: Info, Found: "not running", Advice: "--systemd-cgroup does not work"}
	if info, err := os.Stat("/run/systemd/system"); err == nil && info.IsDir() {
		systemd = Check{Name: "systemd", State: OK, Found: "running"}
	}
	temp := Check{Name: "TMPDIR", State: OK, Found: filepath.Clean(os.TempDir())}
	if _, err := os.Stat(temp.Found); err != nil {
		temp.State, temp.Found, temp.Advice = Limited, err.Error(), "runack try and hosts without executable memfds need it"
	}
	return []Check{criu, systemd, temp}
}
