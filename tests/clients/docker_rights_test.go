package clients

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Users, capabilities, filters, devices.
var dockerRights = []feature[docker]{
	{"--user", func(d docker) {
		const ids = "id -u; id -g; id -G"
		wantEqual(d.T, "by name", d.out(with("--user", "web"), "sh", "-c", ids), "1000\n1000\n1000\n")
		wantEqual(d.T, "by number", d.out(with("--user", "12:34", "--group-add", "99"), "sh", "-c", ids), "12\n34\n34 99\n")
		r := d.run(with("--user", "nobody-there"), "true")
		wantCode(d.T, r, 125)
	}},
	{"--cap-add, --cap-drop", func(d docker) {
		wantEqual(d.T, "by default", caps(d.out(nil, "cat", "/proc/self/status")), "00000000a80425fb")
		wantEqual(d.T, "one alone", caps(d.out(with("--cap-drop", "ALL", "--cap-add", "NET_RAW"), "cat", "/proc/self/status")), "0000000000002000")
		wantEqual(d.T, "for a user", caps(d.out(with("--user", "web"), "cat", "/proc/self/status")), "0000000000000000")
	}},
	{"no-new-privileges", func(d docker) {
		wantEqual(d.T, "by default", field(d.out(nil, "cat", "/proc/self/status"), "NoNewPrivs"), "0")
		id := d.waiter("--security-opt", "no-new-privileges")
		wantEqual(d.T, "of init", field(d.exec(id, "cat", "/proc/1/status"), "NoNewPrivs"), "1")
		wantEqual(d.T, "of exec", field(d.exec(id, "cat", "/proc/self/status"), "NoNewPrivs"), "1")
	}},
	{"seccomp default", func(d docker) {
		id := d.waiter()
		wantEqual(d.T, "mode of init", field(d.exec(id, "cat", "/proc/1/status"), "Seccomp"), "2")
		wantEqual(d.T, "mode of exec", field(d.exec(id, "cat", "/proc/self/status"), "Seccomp"), "2")
		wantContains(d.T, "unshare with CAP_SYS_ADMIN missing", d.cmd("exec", id, "unshare", "-n", "true").Fails(1), "Operation not permitted")
	}},
	{"seccomp custom", func(d docker) {
		profile := d.File("profile.json", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
			{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
			{"names": ["swapon"], "action": "SCMP_ACT_KILL_PROCESS"}]}`)
		r := d.run(with("--security-opt", "seccomp="+profile), "mkdir", "/tmp/made")
		wantCode(d.T, r, 1)
		wantContains(d.T, "mkdir", r.Stderr, "No space left on device")
		// Not at its start: a program that has been reaped by then looks like a stage that its filter killed.
		wantCode(d.T, d.run(with("--security-opt", "seccomp="+profile), "sh", "-c", "sleep 1; exec swapon /tmp"), 128+31)
	}},
	{"seccomp unconfined", func(d docker) {
		wantEqual(d.T, "mode", field(d.out(with("--security-opt", "seccomp=unconfined"), "cat", "/proc/self/status"), "Seccomp"), "0")
	}},
	{"--device", func(d docker) {
		const try = "(: </dev/given) && echo read; (: >/dev/given) && echo write; true"
		device := someDevice(d.T)
		wantEqual(d.T, "read-only", d.out(with("--device", device+":/dev/given:r"), "sh", "-c", try), "read\n")
		wantEqual(d.T, "all", d.out(with("--device", device+":/dev/given"), "sh", "-c", try), "read\nwrite\n")
		// Docker leaves CAP_MKNOD: the cgroup is what stands between a container and the host's devices.
		r := d.run(nil, "sh", "-c", "mknod /tmp/mem c 1 1 && cat /tmp/mem")
		wantCode(d.T, r, 1)
		wantContains(d.T, "a device that was not given", r.Stderr, "Operation not permitted")
	}},
	{"--privileged", func(d docker) {
		out := d.out(with("--privileged"), "sh", "-c", "mount -t tmpfs none /mnt && echo mounted; cat /proc/self/status; ls /dev/full")
		wantContains(d.T, "the output", out, "mounted", "/dev/full")
		wantAllCaps(d.T, caps(out))
		wantEqual(d.T, "Seccomp", field(out, "Seccomp"), "0")
	}},
	{"masked and read-only paths", func(d docker) {
		out := d.out(nil, "sh", "-c", "for f in kcore keys timer_list; do [ ! -e /proc/$f ] || wc -c </proc/$f; done | sort -u; (echo 1 >/proc/sys/kernel/panic) 2>&1; true")
		wantContains(d.T, "the output", out, "0\n", "Read-only file system")
		wantEqual(d.T, "lines of output", fmt.Sprint(len(lines(out))), "2")
	}},
}

// wantAllCaps checks that a privileged container has what this host gives to root at most, as far
// as the client knows its capabilities: docker 20.10 ends at number 37.
func wantAllCaps(t testing.TB, got string) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	have, err := strconv.ParseUint(got, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.ParseUint(field(string(status), "CapBnd"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if have != want && have != want&(1<<38-1) {
		t.Errorf("capabilities %x, want %x", have, want)
	}
}

// someDevice is a device that any container may open if it is given it, and none is by default.
func someDevice(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/dev/fuse", "/dev/net/tun", "/dev/loop-control"} {
		if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
			_ = f.Close()
			return path
		}
	}
	t.Skip("this host has none of /dev/fuse, /dev/net/tun and /dev/loop-control to give away")
	return ""
}
