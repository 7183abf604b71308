package clients

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"runack/tests/harness"
)

// ownHost is a shell script that makes a host of a mount and a network namespace, prepares it
// further, and executes its arguments there. Every daemon gets an empty /run, where programs keep
// sockets under fixed names, and a network, where it may set up bridges and filters as it likes. The
// mounts are shared, as systemd leaves them, with nobody outside. What clients write to /etc stays there.
// Unpacked packages lie over /usr, since clients start helpers with an environment of their own. busybox
// does it, as a small system may have neither mount(8) nor ip(8).
func ownHost(prepare string) string {
	script := "set -e; busybox mount --make-rshared /; busybox mount -t tmpfs -o mode=755 tmpfs /run; busybox ip link set lo up\n" +
		"mkdir -p /run/etc/upper /run/etc/work\n" +
		"busybox mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc\n"
	if libraryPath() != "" {
		script += fmt.Sprintf("busybox mount -t overlay -o lowerdir=%s:/usr overlay /usr\n", unpacked("usr"))
	}
	return script + prepare + `exec "$@"`
}

// daemon starts a daemon in a host of its own and waits until it says that it is ready
// (sd_notify(3)).
func daemon(e *harness.Env, prepare, path string, args ...string) *harness.Proc {
	e.T.Helper()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(e.Temp, "notify")})
	if err != nil {
		e.T.Fatal(err)
	}
	defer os.Remove(notify.LocalAddr().String())
	defer notify.Close()
	p := e.Command(path, args...).
		Env(append(clientEnv(), "NOTIFY_SOCKET="+notify.LocalAddr().String())...).
		Through("unshare", "--mount", "--net", "sh", "-c", ownHost(prepare), "sh").
		Within(time.Minute).Start()
	buf := make([]byte, 4096)
	for end := time.Now().Add(harness.Deadline(time.Minute)); !p.Exited() && time.Now().Before(end); {
		_ = notify.SetReadDeadline(time.Now().Add(time.Second))
		n, err := notify.Read(buf)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			e.T.Fatal(err)
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			return p
		}
	}
	if !p.Exited() {
		p.Signal(syscall.SIGTERM)
	}
	e.T.Fatalf("the daemon is not ready: %s", p.Wait())
	return nil
}

// stopDaemon ends a daemon the way an init system does.
func stopDaemon(e *harness.Env, p *harness.Proc) {
	e.T.Helper()
	if !p.Exited() {
		p.Signal(syscall.SIGTERM)
	}
	if r := p.Wait(); r.Code != 0 {
		e.T.Errorf("the daemon: %s", r)
	}
}
