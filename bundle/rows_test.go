package bundle

import (
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A row is one configuration, made by an edit of baseSpec, and what has to become of it.
type row struct {
	name string
	edit func(s *specs.Spec)
	// path of the refusal, or empty where the configuration is accepted.
	path string
	// reason must be part of the refusal's words, where it is not empty.
	reason string
	// warn is the path of a warning that must be among those of an accepted configuration. A
	// configuration without it must give no warning at all.
	warn string
	// differs says why libcontainer decides otherwise, where it does.
	differs string
}

// The reasons for which libcontainer may accept what is refused here.
const (
	runcMain   = "runc refuses it too, in its main package, before libcontainer sees it"
	runcStart  = "runc refuses it too, when the stage it starts meets it"
	kernelWill = "runc starts and then gets an errno from the kernel: refused here, with the field's name"
	specMust   = "the specification demands an error"
	hostMounts = "runc would change the host's own mounts"
	specAbs    = "the specification demands an absolute path; runc takes it as relative to its working directory"
)

// The reasons for which libcontainer may refuse what is accepted here.
const (
	hostLacks  = "whether the machine has it is ValidateOn's question"
	runcLacks  = "the specification has it, and runc does not"
	seccompOff = "the oracle is built without libseccomp, whose flags it would ask for"
)

// baseSpec is a small configuration that everybody accepts.
func baseSpec() *specs.Spec {
	return &specs.Spec{
		Version: "1.3.0",
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Args: []string{"/bin/true"}, Cwd: "/", Env: []string{"PATH=/bin"}},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.UTSNamespace},
			{Type: specs.IPCNamespace}, {Type: specs.NetworkNamespace},
		}},
	}
}

// otherUserNS stands for a user namespace with the mappings of addUserNS(1); the oracle, which
// opens it, gets a real one instead.
const otherUserNS = "/run/other/user"

// addUserNS gives the container a user namespace with the given number of ids.
func addUserNS(s *specs.Spec, size uint32) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: size}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: size}}
}

func addNS(s *specs.Spec, t specs.LinuxNamespaceType, path string) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t, Path: path})
}

func dropNS(s *specs.Spec, t specs.LinuxNamespaceType) {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == t })
}

func mount(m specs.Mount) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) }
}

func resources(r specs.LinuxResources) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Resources = &r }
}

func seccomp(p specs.LinuxSeccomp) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Seccomp = &p }
}

func scheduler(p specs.Scheduler) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Process.Scheduler = &p }
}

func sysctl(key, value string, edits ...func(*specs.Spec)) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.Sysctl = map[string]string{key: value}
		for _, e := range edits {
			e(s)
		}
	}
}

func withDevice(d specs.LinuxDevice) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Devices = append(s.Linux.Devices, d) }
}

func mode(m os.FileMode) *os.FileMode { return &m }

// allRows is every row of the topics below.
func allRows() []row {
	return slices.Concat(processRows, schedulerRows, namespaceRows, mountRows, sysctlRows, deviceRows,
		resourceRows, seccompRows, linuxRows, hookRows)
}
