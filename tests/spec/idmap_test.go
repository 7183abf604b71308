package spec

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"runack/tests/harness"
)

// owned makes a directory with a file of uid and gid 5, and another such directory mounted below.
func owned(e *harness.Env) string {
	e.T.Helper()
	top := dir(e, "owned")
	hostMount(e, "tmpfs", "tmpfs", top, 0, "")
	hostMount(e, "tmpfs", "tmpfs", top+"/sub", 0, "")
	for _, d := range []string{top, top + "/sub"} {
		if err := os.WriteFile(d+"/file", nil, 0o644); err != nil {
			e.T.Fatal(err)
		}
		if err := os.Chown(d+"/file", 5, 5); err != nil {
			e.T.Fatal(err)
		}
	}
	return top
}

// ids maps one range.
func ids(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

func mapped(source, target string, uids, gids []specs.LinuxIDMapping, options ...string) harness.Edit {
	return func(s *spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Type: "bind", Source: source, Destination: target, Options: options, UIDMappings: uids, GIDMappings: gids})
	}
}

func TestIDMappedMounts(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 has no id-mapped mounts")
	top := owned(e)
	show := sh("stat -c '%n %u:%g' /mnt/file /mnt/sub/file; touch /mnt/new")
	out := e.Run(show, mapped(top, "/mnt", ids(0, 0, 1), ids(0, 0, 1), "rbind", "idmap"), caps("CAP_DAC_OVERRIDE"))
	wantEqual(t, "unmapped ids, not recursive", out, lines("/mnt/file 65534:65534", "/mnt/sub/file 5:5"))
	to := func(id uint32) []specs.LinuxIDMapping { return append(ids(0, 0, 1), ids(5, id, 1)...) }
	for _, row := range []struct {
		what    string
		options string
		want    []string
	}{
		{"of its own, by the option", "idmap", []string{"/mnt/file 2:1", "/mnt/sub/file 5:5"}},
		{"of its own, below too", "ridmap", []string{"/mnt/file 2:1", "/mnt/sub/file 2:1"}},
		{"of its own, by the mappings alone", "private", []string{"/mnt/file 2:1", "/mnt/sub/file 5:5"}},
	} {
		out := e.Run(show, mapped(top, "/mnt", to(2), to(1), "rbind", row.options))
		wantEqual(t, row.what, out, lines(row.want...))
	}
}

// Without mappings of its own a mount takes those of the container's user namespace: the host's files
// then have the ids in the container that they have on the host.
func TestIDMappedMountsOfAUserNamespace(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 has no id-mapped mounts")
	top := owned(e)
	show := sh("stat -c '%n %u:%g' /mnt/file /mnt/sub/file; touch /mnt/new; stat -c %u:%g /mnt/new")
	b := withUserNS(e, show, mapped(top, "/mnt", nil, nil, "rbind", "ridmap"), caps("CAP_DAC_OVERRIDE"))
	wantEqual(t, "owners", e.OK("run", "-b", b.Dir, e.ID("c")), lines("/mnt/file 5:5", "/mnt/sub/file 5:5", "0:0"))
	if st, err := os.Stat(top + "/new"); err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the new file on the host: %v, %v", st, err)
	}
	// Joined by path, too.
	id, pid := e.Detached(userNS)
	b = e.Bundle(show, harness.Namespace(specs.UserNamespace, fmt.Sprintf("/proc/%d/ns/user", pid)), mapped(top, "/mnt", nil, nil, "rbind", "idmap"), caps("CAP_DAC_OVERRIDE"))
	give(e, b.Rootfs, 100000)
	wantEqual(t, "owners, joined", e.OK("run", "-b", b.Dir, e.ID("j")), lines("/mnt/file 5:5", "/mnt/sub/file 65534:65534", "0:0"))
	e.Remove(id)
}

func TestIDMappedMountsThatCannotBe(t *testing.T) {
	e := harness.New(t)
	e.RunackOnly("1.1.5 has no id-mapped mounts")
	top := owned(e)
	e.Refused([]harness.Edit{mapped(top, "/mnt", nil, nil, "bind", "idmap")}, "mounts[7]", "apping")
	e.Refused([]harness.Edit{mapped(top, "/mnt", ids(0, 0, 5), nil, "bind")}, "mounts[7]", "gidMappings")
	e.Refused([]harness.Edit{mount("tmpfs", "tmpfs", "/mnt", "idmap")}, "mounts[7].options", "bind mount")
	// procfs knows no id mapping.
	message := e.Refused([]harness.Edit{mapped("/proc", "/mnt", ids(0, 0, 5), ids(0, 0, 5), "bind")}, "/proc", "EINVAL (22)")
	if !strings.Contains(message, "may not support ID-mapped mounts") {
		t.Error(message)
	}
}
