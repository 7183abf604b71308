package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"runack/bundle"
	"runack/cgroupjoin"
	"runack/handshake"
	"runack/internal/act"
	"runack/internal/netdev"
	"runack/nsexec"
	"runack/plan"
)

// CreateOptions say what to create, from what, and how.
type CreateOptions struct {
	ID           string
	Bundle       string // directory; empty for the current one
	NoPivot      bool
	NoNewKeyring bool
	Init         bool   // the stage stays as pid 1
	Systemd      bool   // let systemd make the cgroup
	Rootless     *bool  // do without cgroups that cannot be made; nil decides by itself
	NotifySocket string // systemd's NOTIFY_SOCKET; empty for none
	IO           IO
	Context      context.Context // its end interrupts the create, which then leaves nothing; nil for none
	Settled      func()          // waits until Context's end can come, before the first side effect; nil for nothing
	Timeout      time.Duration   // for each wait on the stage; 0 for DefaultTimeout
	Transcript   *handshake.Transcript
}

// DefaultTimeout bounds each wait on the stage but the one between create and start, which has no
// bound. It is long: a slow mount is no failure.
const DefaultTimeout = 5 * time.Minute

func timeoutOr(d time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return DefaultTimeout
}

// A creation is a create on its way. Its undo stack takes back what was done so far.
type creation struct {
	store  *Store
	opts   CreateOptions
	bundle *bundle.Bundle
	cg     *cgroupjoin.Cgroup
	rdt    *cgroupjoin.RDT // nil where none is asked for
	filter *plan.Seccomp   // nil where none is asked for
	plan   *plan.Plan
	moved  *netdev.Moved // network devices; nil where none are
	peers  peers
	undo   undoStack
	c      *Container
	launch *launch
	// interruptible is called once nothing can be interrupted any more; it returns the interruption
	// that was quicker.
	interruptible func() error
	aim           func(*Process) // run: where set, told of init before it is started
	starting      bool           // run: this process starts the container, too
	hooked        bool           // a hook ran, so that poststop hooks are due even if the create fails
}

// Create creates a container up to the point where its program would run. It happens whole, or it
// fails and nothing is left. Close the container that is returned.
func (s *Store) Create(o CreateOptions) (*Container, error) {
	nsexec.Prepare()
	cr, err := s.compile(o)
	if err != nil {
		return nil, err
	}
	return cr.create()
}

// Plan compiles what Create would do with o, and does nothing.
func (s *Store) Plan(o CreateOptions) (*plan.Plan, error) {
	cr, err := s.compile(o)
	if err != nil {
		return nil, err
	}
	return cr.plan, nil
}

// compile does all that touches nothing: what is wrong with the configuration costs no undoing.
func (s *Store) compile(o CreateOptions) (*creation, error) {
	if err := checkID(o.ID); err != nil {
		return nil, err
	}
	cr := &creation{store: s, opts: o}
	if cr.opts.Context == nil {
		cr.opts.Context = context.Background()
	}
	if err := cr.act(act.ReadBundle, cr.compile); err != nil {
		return nil, fmt.Errorf("container %s: %w", o.ID, err)
	}
	return cr, nil
}

// create does what was compiled.
func (cr *creation) create() (*Container, error) {
	if err := cr.act(act.Connect, cr.connect); err != nil {
		return nil, fmt.Errorf("container %s: %w", cr.opts.ID, err)
	}
	defer cr.peers.close()
	defer func() { cr.moved.Close() }()
	settle(cr.opts.Settled)
	if err := cr.claim(); err != nil {
		return nil, cr.undo.unwind(err)
	}
	if err := cr.carryOut(); err != nil {
		err = cr.undo.unwind(cr.c.wrap(cr.blame(err)))
		cr.poststopAfterFailure()
		cr.c.Close()
		return nil, err
	}
	cr.undo.release()
	return cr.c, nil
}

func (cr *creation) act(a act.Act, f func() error) error { return act.Do(cr.opts.Transcript, a, f) }

// settle calls an option's Settled.
func settle(settled func()) {
	if settled != nil {
		settled()
	}
}

// blame says it where a failure is due to an interruption, or to somebody who forced the container
// away meanwhile.
func (cr *creation) blame(err error) error {
	if cause := context.Cause(cr.opts.Context); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	current, cerr := cr.c.dir.isCurrent()
	if cerr != nil || current || errors.Is(err, errDeleted) {
		return err
	}
	return fmt.Errorf("%w: %w", errDeleted, err)
}

// connect checks the command line against the configuration, and reaches whoever is to be told.
func (cr *creation) connect() error {
	if err := cr.opts.IO.check(cr.bundle.Spec.Process.Terminal); err != nil {
		return err
	}
	var err error
	cr.peers, err = cr.opts.IO.dial()
	return err
}

// compile reads the bundle and plans.
func (cr *creation) compile() error {
	var err error
	if cr.bundle, err = bundle.Load(cr.opts.Bundle); err != nil {
		return err
	}
	spec := cr.bundle.Spec
	if cr.filter, err = cr.store.filter(spec); err != nil {
		return err
	}
	cr.cg, err = cgroupjoin.New(cgroupjoin.Config{
		ID: cr.opts.ID, Path: spec.Linux.CgroupsPath, Resources: spec.Linux.Resources,
		Devices: spec.Linux.Devices, Systemd: cr.opts.Systemd, Rootless: cr.rootless(),
		Annotations: spec.Annotations,
	})
	if err != nil {
		return err
	}
	if r := spec.Linux.IntelRdt; r != nil {
		if cr.rdt, err = cgroupjoin.NewRDT(cr.opts.ID, r); err != nil {
			return fmt.Errorf("config.json: linux.intelRdt: %w", err)
		}
	}
	return cr.makePlan()
}

// makePlan plans with what is known of the host and of the cgroup.
func (cr *creation) makePlan() error {
	spec := cr.bundle.Spec
	facts, err := hostFacts(cr.cg)
	if err != nil {
		return err
	}
	if err := createFacts(&facts, spec, cr.bundle.Dir, cr.bundle.Rootfs); err != nil {
		return err
	}
	if err := bundle.ValidateOn(spec, hostOf(&facts)); err != nil {
		return err
	}
	if cr.opts.NotifySocket != "" {
		stateDir := filepath.Join(cr.store.Root, cr.opts.ID)
		notifyFacts(&facts, spec, stateDir)
		spec = withNotify(spec, stateDir)
	}
	if cr.plan, err = plan.Create(spec, cr.bundle.Dir, cr.bundle.Rootfs, facts, cr.planOptions()); err != nil {
		return err
	}
	cr.cg.GiveTo(cr.plan.CgroupOwner)
	return nil
}

func (cr *creation) planOptions() plan.Options {
	o := &cr.opts
	return plan.Options{
		ID: o.ID, NoPivot: o.NoPivot, NoNewKeyring: o.NoNewKeyring, Init: o.Init,
		ListenFDs: o.IO.ListenFDs, ListenFDNames: o.IO.ListenFDNames, PreserveFDs: o.IO.preserved(),
		Seccomp: cr.filter,
	}
}

// rootless: a runtime that is not the host's root may have no cgroup to give.
func (cr *creation) rootless() bool {
	if cr.opts.Rootless != nil {
		return *cr.opts.Rootless
	}
	if os.Geteuid() != 0 || !inUserNamespace() {
		return os.Geteuid() != 0
	}
	// Root of a user namespace: systemd may be that of a system container, and serve us as root.
	return !cr.opts.Systemd || !cgroupjoin.SystemdIsRoots()
}

// claim takes the ID and writes the record before the first side effect.
func (cr *creation) claim() error {
	var dir *stateDir
	err := cr.act(act.ClaimID, func() (err error) {
		dir, err = cr.store.claim(cr.opts.ID)
		return err
	})
	if err != nil {
		return err
	}
	defer dir.unlock()
	cr.undo.add(func() error { return removeOwn(dir) })
	cr.c = &Container{store: cr.store, dir: dir, rec: cr.newRecord(), cg: cr.cg, times: cr.opts.Transcript}
	self, err := identOf(os.Getpid())
	if err != nil {
		return err
	}
	cr.c.rec.Actor = &self
	if err := cr.act(act.SaveConfig, func() error { return cr.c.saveConfig(cr.bundle.Text) }); err != nil {
		return err
	}
	if cr.c.rec.Notify {
		if err := makeNotifyDir(dir); err != nil {
			return err
		}
	}
	return cr.act(act.Record, func() error { return dir.writeRecord(cr.c.rec) })
}

// removeOwn takes back the claim of an ID.
func removeOwn(dir *stateDir) error {
	err := dir.locked(dir.remove)
	if errors.Is(err, ErrNotExist) {
		return nil // a delete --force was quicker
	}
	return err
}

func (cr *creation) newRecord() *Record {
	spec := cr.bundle.Spec
	saved := cr.cg.Saved()
	r := &Record{
		Version: recordVersion, OCIVersion: spec.Version, ID: cr.opts.ID, Phase: phaseCreating,
		Bundle: cr.bundle.Dir, Rootfs: cr.bundle.Rootfs, Created: time.Now().UTC(),
		Annotations: spec.Annotations, Cgroup: &saved,
		PrivatePID: slices.ContainsFunc(cr.plan.Namespaces, func(n plan.Namespace) bool {
			return n.Type == specs.PIDNamespace && n.Mode == plan.New
		}),
		Rootless: cr.rootless(), Systemd: cr.opts.Systemd, Terminal: spec.Process.Terminal,
		Notify: cr.opts.NotifySocket != "", Agent: cr.filter != nil && cr.filter.Listener,
	}
	if h := spec.Hooks; h != nil {
		r.Poststart, r.Poststop = len(h.Poststart) > 0, len(h.Poststop) > 0
	}
	return r
}

// saveConfig keeps the configuration: exec and hooks need it, and the specification says that
// a later change of the bundle's must not reach the container.
func (c *Container) saveConfig(text []byte) error { return c.dir.replaceFile(configName, text) }

// carryOut makes the container.
func (cr *creation) carryOut() error {
	cr.logWarnings()
	cr.undo.add(cr.cg.Undo) // after the process is gone: the stack is unwound from its top
	if err := cr.start(); err != nil {
		return err
	}
	if err := cr.cgroupAndSpawn(); err != nil {
		return err
	}
	if err := cr.enter(); err != nil {
		return err
	}
	if err := cr.converse(); err != nil {
		return cr.launch.explain(err)
	}
	return cr.finish()
}

func (cr *creation) logWarnings() {
	for _, w := range cr.bundle.Warnings {
		logrus.Warn(cr.c.wrap(errors.New(w.String())))
	}
	for _, w := range cr.plan.Warnings {
		logrus.Warn(cr.c.wrap(errors.New(w)))
	}
}

// makeCgroup makes the cgroup, without limits. A systemd scope exists with its first process only.
func (cr *creation) makeCgroup() error {
	wanted := len(cr.cg.Paths())
	if err := cr.act(act.MakeCgroup, cr.cg.Create); err != nil {
		return err
	}
	if !cr.cg.Systemd() && len(cr.cg.Paths()) != wanted {
		// Rootless: some hierarchies are not ours, and the container cannot be shown a directory
		// of its own there.
		return cr.makePlan()
	}
	return nil
}

// limit sets limits and device rules.
func (cr *creation) limit() error {
	return cr.act(act.Limits, func() error { return cr.cg.Set(cr.bundle.Spec.Linux.Resources) })
}

// start starts stage-0, which takes its time to come up: the cgroup is made meanwhile.
func (cr *creation) start() error {
	var files []*os.File
	var cleanup func()
	err := cr.act(act.OpenStdio, func() (err error) {
		files, cleanup, err = cr.opts.IO.files(cr.bundle.Spec.Process.Terminal)
		return err
	})
	if err != nil {
		return err
	}
	defer cleanup()
	cr.launch, err = startLaunch(nsexec.Options{
		Files: files, Timeout: timeoutOr(cr.opts.Timeout),
		Transcript: cr.opts.Transcript, Protocol: handshake.CreateProtocol,
	}, createMix(cr.plan), cr.cg)
	if err != nil {
		return err
	}
	cr.undo.add(cr.launch.kill)
	return nil
}

// cgroupAndSpawn makes the cgroup and brings stage-1 into existence: into the cgroup on v2, where it is
// born there, and beside the making of it on v1. The limits are set while stage-0 clones, and before
// stage-1 is told anything: device rules cannot be late, and its work is to be counted.
func (cr *creation) cgroupAndSpawn() error {
	target := cr.cg.Target()
	late := target.GivesBirth()
	if !late {
		if err := cr.launch.spawn(target); err != nil {
			return err
		}
	}
	if err := cr.makeCgroup(); err != nil {
		return err
	}
	if late {
		// A rootless cgroup may have turned out to be another than was wanted.
		if err := cr.launch.spawn(cr.cg.Target()); err != nil {
			return err
		}
	}
	if !cr.cg.Systemd() {
		if err := cr.limit(); err != nil {
			return err
		}
	}
	if err := cr.launch.ready(); err != nil {
		return err
	}
	cr.interruptible = killWith(cr.opts.Context, cr.launch.process())
	return nil
}

// recordInit writes down who init is. A runtime that is killed before takes init with it, and a delete
// --force finds init in the cgroup.
func (cr *creation) recordInit() error {
	init, err := identOf(cr.launch.child.Pid)
	if err != nil {
		return err
	}
	return cr.update(func(r *Record) {
		saved := cr.cg.Saved()
		r.Init, r.Cgroup, r.OOMBefore = &init, &saved, cr.launch.oomBefore
	})
}

// errDeleted: somebody forced the container away while it was being made.
var errDeleted = errors.New("deleted while it was being created")

// update changes the record of a container that this process is creating.
func (cr *creation) update(change func(*Record)) error {
	err := cr.act(act.Record, func() error {
		return cr.c.dir.locked(func() error {
			change(cr.c.rec)
			return cr.c.dir.writeRecord(cr.c.rec)
		})
	})
	if errors.Is(err, ErrNotExist) {
		return errDeleted
	}
	return err
}

// enter does from outside what the new process cannot do for itself, and lets it join.
func (cr *creation) enter() error {
	pid := cr.launch.child.Pid
	if err := cr.act(act.IDMaps, func() error { return writeIDMaps(pid, cr.plan) }); err != nil {
		return err
	}
	if err := cr.act(act.OOMScore, func() error { return writeOOMScoreAdj(pid, cr.plan) }); err != nil {
		return err
	}
	if err := cr.applyRDT(pid); err != nil {
		return err
	}
	if err := cr.launch.join(cr.cg); err != nil {
		return err
	}
	if cr.cg.Systemd() {
		if err := cr.limit(); err != nil {
			return err
		}
	}
	if err := cr.moveDevices(pid); err != nil {
		return err
	}
	if err := cr.launch.sendPlan(cr.plan, cr.c.dir.file); err != nil {
		return err
	}
	return cr.recordInit() // while the stage works, and before hooks ask for it
}

// applyRDT puts the process into its resctrl group, and records the group.
func (cr *creation) applyRDT(pid int) error {
	if cr.rdt == nil {
		return nil
	}
	if err := cr.act(act.Resctrl, func() error { return cr.rdt.Apply(pid) }); err != nil {
		return err
	}
	cr.undo.add(cr.rdt.Destroy)
	saved := cr.rdt.Saved()
	if err := cr.update(func(r *Record) { r.RDT = &saved }); err != nil {
		return err
	}
	return cr.rdt.Set()
}

// moveDevices moves network devices into the container. The process is in all its namespaces now. If
// the create fails, they come back.
func (cr *creation) moveDevices(pid int) error {
	if len(cr.plan.NetDevices) == 0 {
		return nil
	}
	return cr.act(act.NetDevices, func() error {
		var err error
		if cr.moved, err = netdev.Move(procFile(pid, "ns/net"), cr.plan.NetDevices); err != nil {
			return fmt.Errorf("%s: %w", bundle.ConfigFile, err)
		}
		cr.undo.add(cr.moved.Back)
		return nil
	})
}

// converse answers the stage until the container is created.
func (cr *creation) converse() error {
	for {
		f, err := cr.launch.child.Next()
		if err != nil {
			return err
		}
		switch f.Type {
		case handshake.Console:
			err = cr.act(act.Terminal, func() error { return deliverConsole(f, &cr.opts.IO, cr.peers) })
		case handshake.Mounted:
			err = cr.mounted()
		case handshake.Created:
			f.CloseFDs()
			return nil
		default:
			f.CloseFDs()
			err = fmt.Errorf("runtime: message %s: nobody expects it here", f.Type)
		}
		if err != nil {
			return err
		}
	}
}

// mounted runs the hooks that belong before the pivot and lets the stage go on.
func (cr *creation) mounted() error {
	state, err := cr.runCreateHooks()
	if err != nil {
		return err
	}
	return cr.launch.child.Proceed(state)
}

// finish makes the container known and lets it go. The limits come as late as possible: the stage
// has done what needs files and memory, and all that is left happens on behalf of the container.
func (cr *creation) finish() error {
	cr.c.init = cr.launch.process()
	if err := cr.act(act.Rlimits, func() error { return setRlimits(cr.c.init.Pid, cr.plan.Rlimits) }); err != nil {
		return err
	}
	if err := cr.act(act.Announce, func() error { return cr.opts.IO.announce(cr.peers, cr.c.init) }); err != nil {
		return err
	}
	if cr.opts.IO.PidFile != "" {
		cr.undo.add(func() error { return os.Remove(cr.opts.IO.PidFile) })
	}
	if err := cr.interruptible(); err != nil {
		return err
	}
	if err := cr.update(cr.recordCreated); err != nil {
		return err
	}
	return cr.launch.child.Close()
}

// recordCreated ends the creating. Where this process goes on to start the container, it claims the
// start along with it: until it has said so to the stage, others see the container as created.
func (cr *creation) recordCreated(r *Record) {
	if cr.starting {
		r.Phase = phaseStarting
		return
	}
	r.Phase, r.Actor = phaseCreated, nil
}
