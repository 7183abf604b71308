package container

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"runack/internal/smallfile"
	"runack/plan"
)

// userNSMaps reads the id maps of the user namespace at path, and whether setgroups is denied there.
// The kernel shows a namespace's maps only as those of a process in it. A path of /proc names such a
// process; for any other (a bind mount made to keep the namespace) one is looked for among all.
func userNSMaps(path string) (uid, gid []specs.LinuxIDMapping, deny bool, err error) {
	proc, err := processIn(path)
	if err != nil {
		return nil, nil, false, err
	}
	if uid, err = readIDMap(proc + "/uid_map"); err != nil {
		return nil, nil, false, err
	}
	if gid, err = readIDMap(proc + "/gid_map"); err != nil {
		return nil, nil, false, err
	}
	data, err := smallfile.Read(proc + "/setgroups")
	if err != nil {
		return nil, nil, false, failed("read", proc+"/setgroups", err)
	}
	return uid, gid, strings.TrimSpace(string(data)) == "deny", nil
}

// setgroupsDenied tells whether our own user namespace refuses setgroups(2), as that of a rootless
// podman without subordinate IDs does. Those made below it inherit that.
func setgroupsDenied() bool {
	if !inUserNamespace() {
		return false
	}
	data, err := os.ReadFile("/proc/self/setgroups")
	return err == nil && strings.TrimSpace(string(data)) == "deny"
}

// processIn gives the /proc directory of a process that is in the user namespace at path.
func processIn(path string) (string, error) {
	if dir, ok := strings.CutSuffix(path, "/ns/user"); ok && strings.HasPrefix(dir, "/proc/") {
		return dir, nil
	}
	var want unix.Stat_t
	if err := unix.Stat(path, &want); err != nil {
		return "", failed("read user namespace", path, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return "", failed("read", "/proc", err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := "/proc/" + e.Name()
		var st unix.Stat_t
		if unix.Stat(dir+"/ns/user", &st) == nil && st.Dev == want.Dev && st.Ino == want.Ino {
			return dir, nil
		}
	}
	return "", fmt.Errorf("read id maps of user namespace %s: no process is in it", path)
}

func readIDMap(path string) ([]specs.LinuxIDMapping, error) {
	data, err := smallfile.Read(path)
	if err != nil {
		return nil, failed("read id map", path, err)
	}
	maps, err := parseIDMap(string(data))
	if err != nil {
		return nil, fmt.Errorf("read id map %s: %w", path, err)
	}
	return maps, nil
}

// parseIDMap reads lines of three numbers (user_namespaces(7)).
func parseIDMap(text string) ([]specs.LinuxIDMapping, error) {
	var maps []specs.LinuxIDMapping
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %q: not three numbers", strings.TrimSpace(line))
		}
		var n [3]uint32
		for i, f := range fields {
			v, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("line %q: %q is not an id", strings.TrimSpace(line), f)
			}
			n[i] = uint32(v)
		}
		maps = append(maps, specs.LinuxIDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return maps, nil
}

// openUserNS gives a descriptor of the user namespace of an ID mapping: one that exists, or one
// made for it, which lives as long as the descriptor.
func openUserNS(m *plan.IDMap) (*os.File, error) {
	if m.UserNS != "" {
		f, err := os.Open(m.UserNS)
		return f, failed("open user namespace", m.UserNS, err)
	}
	return NewUserNS(m.UIDMappings, m.GIDMappings)
}

// NewUserNS makes a user namespace with the given maps and no process in it, which lives as long as the
// descriptor that the caller gets and has to close. The kernel makes one only with a process, so a child
// is cloned into it that is stopped by its tracer, this thread, before its execve returns to user space:
// it runs no instruction of any program. Then it is killed.
func NewUserNS(uids, gids []specs.LinuxIDMapping) (*os.File, error) {
	// The tracer is a thread, and the child dies with it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child, err := os.StartProcess("/proc/self/exe", []string{"runack:[userns]"}, &os.ProcAttr{
		Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, Ptrace: true, Pdeathsig: unix.SIGKILL,
			UidMappings: procIDMaps(uids), GidMappings: procIDMaps(gids), GidMappingsEnableSetgroups: true,
		},
	})
	if err != nil {
		return nil, failed("make user namespace", "", err)
	}
	defer func() {
		_ = child.Kill()
		_, _ = child.Wait()
	}()
	path := procFile(child.Pid, "ns/user")
	f, err := os.Open(path)
	return f, failed("open user namespace", path, err)
}

func procIDMaps(maps []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(maps))
	for i, m := range maps {
		out[i] = syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)}
	}
	return out
}
