package plan

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// builder collects a plan.
type builder struct {
	spec   *specs.Spec
	linux  *specs.Linux // never nil
	proc   *specs.Process
	at     string // the process's path in the configuration: "process"
	dir    string
	rootfs string
	f      Facts
	o      Options
	ns     map[specs.LinuxNamespaceType]Namespace
	plan   *Plan
}

func newBuilder(spec *specs.Spec, proc *specs.Process, at string, f Facts, o Options) (*builder, error) {
	switch {
	case spec == nil:
		return nil, refuse("", "no configuration")
	case proc == nil:
		return nil, refuse(at, "missing")
	}
	b := &builder{spec: spec, linux: spec.Linux, proc: proc, at: at, f: f, o: o, plan: &Plan{}}
	if b.linux == nil {
		b.linux = &specs.Linux{}
	}
	return b, b.namespaces()
}

func (b *builder) add(steps ...Step) { b.plan.Steps = append(b.plan.Steps, steps...) }

func (b *builder) warn(field, text string) {
	b.plan.Warnings = append(b.plan.Warnings, field+": "+text)
}

// source adds a descriptor to be opened by the runtime, and gives its index for a step.
func (b *builder) source(s Source) *int {
	b.plan.Sources = append(b.plan.Sources, s)
	n := len(b.plan.Sources) - 1
	return &n
}

func (b *builder) mode(t specs.LinuxNamespaceType) Mode { return b.ns[t].Mode }

// own tells whether the container has a namespace of its own, new or joined.
func (b *builder) own(t specs.LinuxNamespaceType) bool { return b.mode(t) != Host }

// restricted tells whether the container's processes lack privileges over the host: some mounts are
// refused by the kernel there.
func (b *builder) restricted() bool {
	return b.own(specs.UserNamespace) || b.f.InUserNS || b.f.Rootless
}

// namespaceTypes is the order of Plan.Namespaces: that of the table in nsexec.
var namespaceTypes = [...]specs.LinuxNamespaceType{
	specs.UserNamespace, specs.TimeNamespace, specs.PIDNamespace, specs.MountNamespace,
	specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace,
}

func (b *builder) namespaces() error {
	b.ns = make(map[specs.LinuxNamespaceType]Namespace, len(namespaceTypes))
	for _, t := range namespaceTypes {
		b.ns[t] = Namespace{Type: t, Mode: Host}
	}
	for i, n := range b.linux.Namespaces {
		at := item("linux.namespaces", i)
		was, known := b.ns[n.Type]
		switch {
		case !known:
			return refuse(at+".type", "unknown namespace "+strconv.Quote(string(n.Type)))
		case was.Mode != Host:
			return refuse(at, "a second "+string(n.Type)+" namespace")
		case n.Path != "":
			b.ns[n.Type] = Namespace{Type: n.Type, Mode: Joined, Path: n.Path}
		default:
			b.ns[n.Type] = Namespace{Type: n.Type, Mode: New}
		}
	}
	return nil
}

// rootPropagation gives linux.rootfsPropagation as flags, 0 where it is not set.
func (b *builder) rootPropagation() (uint64, error) {
	word := b.linux.RootfsPropagation
	if word == "" {
		return 0, nil
	}
	flags, ok := PropagationFlags(word)
	if !ok {
		return 0, refuse("linux.rootfsPropagation", "unknown propagation "+strconv.Quote(word))
	}
	if b.o.NoPivot && flags&unix.MS_PRIVATE != 0 {
		// The host's mounts stay reachable below the moved root, and would never be unmounted.
		return 0, refuse("linux.rootfsPropagation", word+" is not safe without pivot_root")
	}
	return flags, nil
}

func refuse(field, reason string) error { return &Error{Field: field, Reason: reason} }

func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }
