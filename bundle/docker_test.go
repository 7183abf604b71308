package bundle

import (
	"fmt"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// dockerSpec has the size and the shape of what docker writes for `docker run`: the mounts, devices
// rules, capabilities and paths of its template, and a seccomp profile of some 400 names in 20 rules.
func dockerSpec() *specs.Spec {
	s := DefaultSpec()
	caps := capabilityNames()[:14]
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	s.Process.Env = append(s.Process.Env, "HOSTNAME=0123456789ab", "HOME=/root")
	s.Process.ApparmorProfile = "docker-default"
	s.Process.OOMScoreAdj = new(0)
	s.Linux.CgroupsPath = "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
	for _, name := range []string{"resolv.conf", "hostname", "hosts"} {
		s.Mounts = append(s.Mounts, specs.Mount{
			Destination: "/etc/" + name, Type: "bind",
			Source:  "/var/lib/docker/containers/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/" + name,
			Options: []string{"rbind", "rprivate"},
		})
	}
	for i := range int64(12) {
		s.Linux.Resources.Devices = append(s.Linux.Resources.Devices,
			specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: new(int64(1)), Minor: new(i), Access: "rwm"})
	}
	s.Hooks = &specs.Hooks{Prestart: []specs.Hook{{
		Path: "/proc/1234/exe",
		Args: []string{"libnetwork-setkey", "-exec-root=/var/run/docker", "0123456789abcdef", "fedcba9876543210"},
	}}}
	s.Linux.Seccomp = dockerSeccomp()
	return s
}

func dockerSeccomp() *specs.LinuxSeccomp {
	names := make([]string, 360)
	for i := range names {
		names[i] = fmt.Sprintf("syscall_name_%d", i)
	}
	p := &specs.LinuxSeccomp{
		DefaultAction:   specs.ActErrno,
		DefaultErrnoRet: new(uint(1)),
		Architectures:   []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Syscalls:        []specs.LinuxSyscall{{Names: names, Action: specs.ActAllow}},
	}
	for i := range 20 {
		p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{
			Names: []string{"personality", "socket"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: uint64(i), Op: specs.OpEqualTo}},
		})
	}
	return p
}

func TestDockerSpecIsAccepted(t *testing.T) {
	warnings, err := Check(dockerSpec())
	if err != nil || len(warnings) != 0 {
		t.Errorf("got %v, %v", warnings, err)
	}
}

// BenchmarkLoad reads, decodes and checks. What it cannot show is the first decode of a process,
// which costs three times as much: encoding/json looks at every type then.
func BenchmarkLoad(b *testing.B) {
	for _, size := range []struct {
		name string
		spec *specs.Spec
	}{{"default", DefaultSpec()}, {"docker", dockerSpec()}} {
		b.Run(size.name, func(b *testing.B) {
			dir := b.TempDir()
			data := marshal(b, size.spec)
			benchBundle(b, dir, data)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := Load(dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, size := range []struct {
		name string
		spec *specs.Spec
	}{{"default", DefaultSpec()}, {"docker", dockerSpec()}} {
		b.Run(size.name, func(b *testing.B) {
			for b.Loop() {
				if err := Validate(size.spec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
