package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"runack/tests/harness"
)

// The ordinary user of these tests has an account on a host of the test's own alone: the files that
// name it lie over those of /etc there.
const (
	ordinaryUID = 4242
	subordinate = "300000:65536"
)

// ordinary prepares such a host. Where subuids is set, the user has subordinate IDs.
func ordinary(e *harness.Env, subuids bool) (prepare string, user []string) {
	e.T.Helper()
	files := map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\nordinary:x:%d:%[1]d::%s:/bin/sh\n", ordinaryUID, filepath.Join(e.Dir, "home")),
		"group":  fmt.Sprintf("root:x:0:\nordinary:x:%d:\n", ordinaryUID),
		"subuid": "", "subgid": "",
	}
	if subuids {
		files["subuid"], files["subgid"] = "ordinary:"+subordinate+"\n", "ordinary:"+subordinate+"\n"
	}
	for name, text := range files {
		e.File("etc/"+name, text)
		prepare += fmt.Sprintf("[ -e /etc/%[2]s ] || : >/etc/%[2]s; busybox mount -o bind %[1]s/%[2]s /etc/%[2]s\n", filepath.Join(e.Dir, "etc"), name)
	}
	home := e.File("home/.profile", "")
	for _, path := range []string{filepath.Dir(home), home} {
		if err := os.Chown(path, ordinaryUID, ordinaryUID); err != nil {
			e.T.Fatal(err)
		}
	}
	// The checkout may lie where only root can go.
	runtime := e.File("bin/runack", e.Read(harness.RuntimePath()))
	runtimeDir := fmt.Sprintf("/run/user/%d", ordinaryUID)
	id := fmt.Sprint(ordinaryUID)
	return prepare, []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps=-all", "--",
		"env", "USER=ordinary", "HOME=" + filepath.Dir(home), "TMPDIR=" + filepath.Dir(home), "XDG_RUNTIME_DIR=" + runtimeDir, "RUNACK=" + runtime}
}

// needsUserNamespaces skips the test where an ordinary user can have none.
func (h host) needsUserNamespaces(e *harness.Env, user []string) {
	e.T.Helper()
	if r := h.in(e.Command("unshare", "--user", "true").Through(user[0], user[1:]...)).Do(); r.Code != 0 {
		e.T.Skipf("an ordinary user can have no user namespace here, as in a chroot or with kernel.unprivileged_userns_clone=0: %s", r.Stderr)
	}
}

// login makes the directory that a login would have made.
func (h host) login(e *harness.Env) {
	e.T.Helper()
	dir := fmt.Sprintf("/run/user/%d", ordinaryUID)
	h.in(e.Command("install", "-d", "-m", "700", "-o", fmt.Sprint(ordinaryUID), "-g", fmt.Sprint(ordinaryUID), dir)).OK()
}

func TestPodmanRootless(t *testing.T) {
	e := harness.New(t)
	prepare, user := ordinary(e, true)
	p := newPodman(e, podmanSetup{prepare: prepare, user: user, uid: ordinaryUID})
	e.T.Cleanup(p.leave)
	p.versions("podman, rootless")
	run(t, podmanEverywhere, p.on, podman.clean)
}

func TestPodmanWithoutSubuids(t *testing.T) {
	e := harness.New(t)
	prepare, user := ordinary(e, false)
	p := newPodman(e, podmanSetup{prepare: prepare, user: user, uid: ordinaryUID})
	e.T.Cleanup(p.leave)
	p.versions("podman, rootless without subordinate IDs")
	run(t, []feature[podman]{
		{"run", func(p podman) {
			out := p.out(with("--network", "none"), "sh", "-c", "id -u; cat /proc/self/uid_map")
			wantEqual(p.T, "the map", strings.Join(strings.Fields(out), " "), fmt.Sprintf("0 0 %d 1", ordinaryUID))
		}},
		{"exec", func(p podman) {
			id := p.waiter("--network", "none")
			wantEqual(p.T, "exec", p.exec(id, "id", "-u"), "0\n")
		}},
		{"a user that is not mapped", func(p podman) {
			r := p.run(with("--network", "none", "--user", "web"), "true")
			wantCode(p.T, r, 126)
			wantContains(p.T, "the error", r.Stderr, "1000", "not mapped")
		}},
	}, p.on, podman.clean)
}

// leave ends the process that keeps a rootless podman's namespaces.
func (p podman) leave() {
	p.T.Helper()
	text := p.host.in(p.Command("cat", fmt.Sprintf("/run/user/%d/libpod/tmp/pause.pid", p.uid))).Do().Stdout
	var pid int
	if _, err := fmt.Sscan(strings.TrimSpace(text), &pid); err != nil {
		return // it has none
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.T.Fatal(err)
	}
	p.WaitExit(pid)
}
