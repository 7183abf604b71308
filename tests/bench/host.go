package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Host is what results depend on.
type Host struct {
	Kernel       string `json:"kernel"`
	CPUs         int    `json:"cpus"`
	RCUExpedited string `json:"rcu_expedited"` // with it, no RCU grace period is waited for
	RCUNormal    string `json:"rcu_normal"`
	FavorDynMods int    `json:"favordynmods"` // cgroup hierarchies mounted with it: joining is quick, forking slower
	CgroupMounts string `json:"cgroup_mounts"`
	LoadBefore   string `json:"load_before"`
	LoadAfter    string `json:"load_after"`
	Commit       string `json:"commit"`
}

func describeHost() Host {
	var u unix.Utsname
	_ = unix.Uname(&u)
	h := Host{
		Kernel: unix.ByteSliceToString(u.Release[:]), CPUs: runtime.NumCPU(),
		RCUExpedited: setting("/sys/kernel/rcu_expedited"), RCUNormal: setting("/sys/kernel/rcu_normal"),
		LoadBefore: load(),
	}
	var v1, v2 int
	for _, m := range cgroupMounts() {
		if m.v2 {
			v2++
		} else {
			v1++
		}
		if m.favorDynMods {
			h.FavorDynMods++
		}
	}
	h.CgroupMounts = fmt.Sprintf("v1 %d, v2 %d", v1, v2)
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		h.Commit = strings.TrimSpace(string(out))
	}
	return h
}

func setting(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "not there"
	}
	return strings.TrimSpace(string(data))
}

func load() string {
	fields := strings.Fields(setting("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

type cgroupMount struct {
	place            string
	v2, favorDynMods bool
}

func cgroupMounts() []cgroupMount {
	data, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	var all []cgroupMount
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) > 3 && strings.HasPrefix(f[2], "cgroup") {
			all = append(all, cgroupMount{f[1], f[2] == "cgroup2", strings.Contains(f[3], "favordynmods")})
		}
	}
	return all
}

// viewVariable names, for the child of a run, the view that it is to enter.
const viewVariable = "RUNACK_BENCH_VIEW"

const cgroupRoot = "/sys/fs/cgroup"

// views are those that this host can show.
func views() []string {
	var v1, v2 bool
	for _, m := range cgroupMounts() {
		v1, v2 = v1 || !m.v2, v2 || m.v2
	}
	switch {
	case v1 && v2:
		return []string{"v1", "v2"}
	case v2:
		return []string{"v2"}
	}
	return []string{"v1"}
}

// enter turns this process's mount namespace into the view: on a hybrid host either the v2 hierarchy goes,
// or it comes over the others.
func enter(view string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if len(views()) == 1 {
		return nil
	}
	for _, m := range cgroupMounts() {
		if !m.v2 {
			continue
		}
		if view == "v1" {
			return unix.Unmount(m.place, unix.MNT_DETACH)
		}
		return unix.Mount(m.place, cgroupRoot, "", unix.MS_BIND, "")
	}
	return nil
}

// removePlaceholders takes away the plain directories that crun makes, and leaves, where a v2 hierarchy
// would be.
func removePlaceholders(id string) {
	_ = os.Remove(filepath.Join(cgroupRoot, "unified", id))
}
