package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"runack/tests/harness"
)

// File systems and namespaces.
var dockerPlaces = []feature[docker]{
	{"--read-only", func(d docker) {
		r := d.run(with("--read-only"), "touch", "/file")
		wantCode(d.T, r, 1)
		wantContains(d.T, "touch", r.Stderr, "Read-only file system")
	}},
	{"--tmpfs", func(d docker) {
		out := d.out(with("--read-only", "--tmpfs", "/scratch:size=1m,mode=700"), "sh", "-c",
			"touch /scratch/a && stat -c %a /scratch && df -k /scratch | tail -n 1")
		wantContains(d.T, "the output", strings.Join(strings.Fields(out), " "), "700 tmpfs 1024 ")
	}},
	{"--volume", func(d docker) {
		dir := filepath.Join(d.Dir, "volume")
		if err := os.Mkdir(dir, 0o755); err != nil {
			d.T.Fatal(err)
		}
		d.out(with("--volume", dir+":/there"), "sh", "-c", "echo text >/there/made")
		wantEqual(d.T, "the file", d.Read(filepath.Join(dir, "made")), "text\n")
		r := d.run(with("--volume", dir+":/there:ro"), "touch", "/there/made")
		wantContains(d.T, "touch", r.Stderr, "Read-only file system")
		r = d.run(with("--volume", filepath.Join(dir, "made")+":/etc/one:ro"), "cat", "/etc/one")
		wantEqual(d.T, "a single file", r.Stdout, "text\n")
		d.ok("volume", "create", "named")
		d.out(with("--volume", "named:/there"), "touch", "/there/kept")
		wantEqual(d.T, "a named volume", d.out(with("--volume", "named:/there"), "ls", "/there"), "kept\n")
		d.ok("volume", "rm", "named")
	}},
	{"--volume with propagation", func(d docker) {
		dir := filepath.Join(d.Dir, "propagated")
		if err := os.Mkdir(dir, 0o755); err != nil {
			d.T.Fatal(err)
		}
		id := d.waiter("--volume", dir+":/there:rslave", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
		d.exec(id, "sh", "-c", "mkdir /there/sub && mount -t tmpfs none /there/sub && touch /there/sub/inside")
		wantEqual(d.T, "seen outside", strings.Join(listDir(d.T, filepath.Join(dir, "sub")), " "), "")
	}},
	{"--sysctl", func(d docker) {
		out := d.out(with("--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=4321"), "sysctl", "-n", "net.ipv4.ip_forward", "kernel.msgmax")
		wantEqual(d.T, "values", out, "1\n4321\n")
	}},
	{"--ipc container:", func(d docker) {
		id := d.waiter("--ipc", "shareable")
		d.exec(id, "touch", "/dev/shm/shared")
		wantEqual(d.T, "/dev/shm", d.out(with("--ipc", "container:"+id), "ls", "/dev/shm"), "shared\n")
	}},
	{"--pid container:", func(d docker) {
		id := d.waiter()
		other := d.start(with("--pid", "container:"+id), "sh", "-c", "echo ready; sleep 600")
		d.logged(other, "ready")
		wantContains(d.T, "ps", d.exec(other, "ps", "-o", "pid,args"), "1 probe wait", "sleep 600")
		d.ok("stop", "-t", "1", other)
		wantEqual(d.T, "the owner of the namespace", d.inspect(id, "{{.State.Status}}"), "running")
		other = d.start(with("--pid", "container:"+id), "sleep", "600")
		d.ok("stop", id)
		wantEqual(d.T, "a guest when the owner ends", d.wait(other), "137")
	}},
	{"--network container:", func(d docker) {
		d.needsBridge()
		id := d.waiter()
		out := d.out(with("--network", "container:"+id), "ip", "-o", "addr", "show", "eth0")
		wantContains(d.T, "the address", out, d.inspect(id, "{{.NetworkSettings.IPAddress}}")+"/")
	}},
	{"--network bridge, --publish", func(d docker) {
		d.needsBridge()
		id := d.start(with("--publish", "8080:80"), "sh", "-c",
			"mkdir /srv && echo page >/srv/index.html && echo ready && exec httpd -f -p 80 -h /srv")
		d.logged(id, "ready")
		get := "until wget -q -O - http://%s/; do sleep 0.05; done"
		ip := d.inspect(id, "{{.NetworkSettings.IPAddress}}")
		wantEqual(d.T, "from a container", d.out(nil, "sh", "-c", strings.ReplaceAll(get, "%s", ip)), "page\n")
		wantEqual(d.T, "by the published port", d.out(with("--network", "host"), "sh", "-c", strings.ReplaceAll(get, "%s", "127.0.0.1:8080")), "page\n")
	}},
	{"--network none, host", func(d docker) {
		wantEqual(d.T, "none", d.out(with("--network", "none"), "ls", "/sys/class/net"), "lo\n")
		own := d.out(with("--network", "host"), "readlink", "/proc/self/ns/net")
		want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", d.daemon.Pid))
		if err != nil {
			d.T.Fatal(err)
		}
		wantEqual(d.T, "host", own, want+"\n")
	}},
	{"--uts host, --cgroupns", func(d docker) {
		name, err := os.Hostname()
		if err != nil {
			d.T.Fatal(err)
		}
		wantEqual(d.T, "host name", d.out(with("--uts", "host"), "hostname"), name+"\n")
		own := d.out(with("--cgroupns", "private"), "cat", "/proc/self/cgroup")
		for _, line := range lines(own) {
			if !strings.HasSuffix(line, ":/") {
				d.T.Errorf("cgroup in a cgroup namespace: %q", line)
			}
		}
		if harness.CgroupVersion() != "v2" {
			wantContains(d.T, "cgroup of the host", d.out(with("--cgroupns", "host"), "cat", "/proc/self/cgroup"), d.Cgroup("")[:len(d.Cgroup(""))-1])
		}
	}},
	{"hosts, resolv.conf, hostname", func(d docker) {
		out := d.out(with("--hostname", "web", "--add-host", "other:10.1.2.3", "--dns", "10.9.8.7"), "cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname")
		wantContains(d.T, "the files", out, "10.1.2.3\tother", "nameserver 10.9.8.7", "web\n")
	}},
}
