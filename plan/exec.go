package plan

import (
	"cmp"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Exec plans one more process in a container. What proc leaves open is taken from the container's
// own process, as runc does: capabilities, labels, limits, scheduling, umask, OOM score. Its
// environment, user and no_new_privs are its own. The container's seccomp filter, personality and
// memory policy hold for it. An error is an *Error; the fields it names are proc's.
func Exec(container *specs.Spec, proc *specs.Process, f Facts, o Options) (*Plan, error) {
	o.Init, o.ListenFDs, o.ListenFDNames = false, 0, ""
	b, err := newBuilder(container, proc, "process", f, o)
	if err != nil {
		return nil, err
	}
	if err := b.exec(); err != nil {
		return nil, err
	}
	return b.plan, nil
}

func (b *builder) exec() error {
	base := b.spec.Process
	if base == nil {
		base = &specs.Process{}
	}
	if NeedsSeccomp(b.spec) && b.o.Seccomp == nil {
		return refuse("linux.seccomp", "not compiled")
	}
	caps := b.proc.Capabilities
	if caps == nil {
		caps = base.Capabilities
	}
	p, err := b.readProgram(caps, labels{
		appArmor: cmp.Or(b.proc.ApparmorProfile, base.ApparmorProfile),
		seLinux:  cmp.Or(b.proc.SelinuxLabel, base.SelinuxLabel),
	})
	if err != nil {
		return err
	}
	limits := b.proc.Rlimits
	if len(limits) == 0 {
		limits = base.Rlimits
	}
	if err := b.outside(limits, cmp.Or(b.proc.OOMScoreAdj, base.OOMScoreAdj)); err != nil {
		return err
	}
	b.enterRoot()
	b.keyring(p.labels.seLinux, 0)
	if err := b.affinity(cmp.Or(b.proc.ExecCPUAffinity, base.ExecCPUAffinity)); err != nil {
		return err
	}
	b.console(false)
	b.execUmask(base)
	err = b.attributes(cmp.Or(b.proc.Scheduler, base.Scheduler), cmp.Or(b.proc.IOPriority, base.IOPriority))
	if err != nil {
		return err
	}
	b.place(&p)
	b.hold(&p)
	b.last(&p, true)
	return nil
}

// enterRoot goes to the root of the container's init where no mount namespace leads there: joining
// namespaces leaves an exec process in the host's root then.
func (b *builder) enterRoot() {
	if b.own(specs.MountNamespace) || b.f.InitRoot == "" {
		return
	}
	fd := b.source(Source{Kind: SourceDirectory, Path: b.f.InitRoot, Field: "root.path"})
	b.add(Root{Path: "/", FD: fd, Plain: true}, Pivot{Method: "chroot"})
}

// hold waits for a fifo, where the stage has done all that can fail and takes no rights away: what
// fails later, a runtime that does not stay cannot tell.
func (b *builder) hold(p *program) {
	if b.o.WaitFifo == "" {
		return
	}
	b.execLabels(p.labels)
	p.labels = labels{}
	b.lookup(p)
	fifo := b.source(Source{Kind: SourceFifo, Path: b.o.WaitFifo, Field: "--exec-wait-fifo"})
	b.add(Hold{FD: *fifo, Detach: b.o.Detach})
}

// affinity sets the CPUs of an exec process. Without any it gets all of them back, since the
// runtime's own affinity is nothing that a container should inherit.
func (b *builder) affinity(a *specs.CPUAffinity) error {
	if a == nil || a.Initial == "" && a.Final == "" {
		b.add(Affinity{CPUs: []int{}})
		return nil
	}
	initial, reason := parseList(a.Initial)
	if reason != "" {
		return refuse(b.at+".execCPUAffinity.initial", reason)
	}
	final, reason := parseList(a.Final)
	if reason != "" {
		return refuse(b.at+".execCPUAffinity.final", reason)
	}
	b.plan.InitialAffinity = initial
	if len(final) > 0 {
		b.add(Affinity{CPUs: final})
	}
	return nil
}

// execUmask sets the umask as for the container's init. (runc lets an exec inherit the caller's where
// the container has none, so that the result depends on who calls.)
func (b *builder) execUmask(base *specs.Process) {
	mask := uint32(defaultUmask)
	if u := cmp.Or(b.proc.User.Umask, base.User.Umask); u != nil {
		mask = *u
	}
	b.add(Umask{Mask: mask})
}
