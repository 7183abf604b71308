package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The views of the host's cgroups that RUNACK_VIEW can ask for. In a private mount namespace a
// hybrid host looks like a pure one, as far as a runtime can see:
//
//	""    the host as it is
//	"v1"  the unified hierarchy unmounted
//	"v2"  the unified hierarchy over /sys/fs/cgroup, with the few controllers it has
//
// Where the host has no such view, every test is skipped and says so.
func enterView(view string) error {
	if view == "" || shared.skip != "" {
		return nil
	}
	v1, v2 := cgroupMounts()
	if len(v1) == 0 || len(v2) == 0 {
		shared.skip = fmt.Sprintf("the %s view of cgroups needs a hybrid host, and this is a pure one, tested as it is", view)
		return nil
	}
	switch view {
	case "v1":
		for _, dir := range v2 {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("view v1: unmount %s: %w", dir, err)
			}
		}
	case "v2":
		if err := unix.Mount(v2[0], cgroupRoot, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("view v2: bind %s over %s: %w", v2[0], cgroupRoot, err)
		}
	default:
		return fmt.Errorf("RUNACK_VIEW=%s: want v1 or v2", view)
	}
	return nil
}

const cgroupRoot = "/sys/fs/cgroup"

// CgroupVersion is "v1", "hybrid" or "v2", as the tests' mount namespace shows it.
func CgroupVersion() string {
	v1, v2 := cgroupMounts()
	switch {
	case len(v1) == 0:
		return "v2"
	case len(v2) == 0:
		return "v1"
	}
	return "hybrid"
}

// cgroupMounts lists where hierarchies are mounted. What another mount hides is not counted: of
// two mounts in one place the later one is seen.
func cgroupMounts() (v1, v2 []string) {
	seen := map[string]string{} // place: type
	var order []string
	for _, m := range mountTable() {
		if m.fstype != "cgroup" && m.fstype != "cgroup2" {
			continue
		}
		if m.place == cgroupRoot { // whatever lies below it is hidden
			seen, order = map[string]string{}, nil
		}
		if _, ok := seen[m.place]; !ok {
			order = append(order, m.place)
		}
		seen[m.place] = m.fstype
	}
	for _, place := range order {
		if seen[place] == "cgroup" {
			v1 = append(v1, place)
		} else {
			v2 = append(v2, place)
		}
	}
	return v1, v2
}

// HasController tells whether a container can have limits of this controller here.
func HasController(name string) bool {
	v1, _ := cgroupMounts()
	for _, place := range v1 {
		if filepath.Base(place) == name {
			return true
		}
	}
	if CgroupVersion() != "v2" {
		return false
	}
	list, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil && slices.Contains(strings.Fields(string(list)), name)
}

// ControlFile is where a file of a container's cgroup is: v1 and v2 have names of their own.
func ControlFile(controller, path, v1Name, v2Name string) string {
	if CgroupVersion() == "v2" {
		return filepath.Join(cgroupRoot, path, v2Name)
	}
	return filepath.Join(cgroupRoot, controller, path, v1Name)
}

// HasPSI tells whether the kernel measures pressure by cgroup, which it does on v2.
func HasPSI() bool {
	found, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", "memory.pressure"))
	return len(found) > 0 && CgroupVersion() == "v2"
}
