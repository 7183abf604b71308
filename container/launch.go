package container

import (
	"errors"
	"fmt"
	"os"
	"time"

	"runack/cgroupjoin"
	"runack/handshake"
	"runack/internal/act"
	"runack/nsexec"
	"runack/plan"
)

// A launch is a process on its way from the stage's first line to its program: what create and exec
// have in common.
type launch struct {
	child     *nsexec.Child
	entry     *nsexec.Entry // open from spawn to join
	cg        *cgroupjoin.Cgroup
	oomBefore uint64
	proc      *Process // made by process
	times     *handshake.Transcript
	// opened, where set, is called when the plan's sources are open, and may object.
	opened func() error
}

// startLaunch starts stage-0, which then waits for spawn. What the namespaces want opened is opened
// before there is a process that a failure would have to end.
func startLaunch(o nsexec.Options, mix nsexec.Mix, cg *cgroupjoin.Cgroup) (*launch, error) {
	table, err := mix.Table()
	if err != nil {
		return nil, err
	}
	var entry *nsexec.Entry
	err = act.Do(o.Transcript, act.Namespaces, func() (err error) {
		entry, err = table.Open()
		return err
	})
	if err != nil {
		return nil, err
	}
	child, err := nsexec.Start(o)
	if err != nil {
		entry.Close()
		return nil, err
	}
	return &launch{child: child, entry: entry, cg: cg, times: o.Transcript}, nil
}

// spawn lets stage-0 clone stage-1, in the target cgroup where it can be born there, and does not wait.
func (l *launch) spawn(target *cgroupjoin.Target) error {
	birth, err := target.BirthFD()
	if err != nil {
		return err
	}
	body, fds := l.entry.Spawn, l.entry.SpawnFDs
	if birth != nil {
		defer birth.Close()
		index := len(fds)
		body.Cgroup, fds = &index, append(fds, int(birth.Fd()))
	}
	l.child.Spawn(body, fds)
	return nil
}

// ready waits until stage-1 exists, with its namespaces and with nothing done yet.
func (l *launch) ready() error {
	l.countOOM()
	return l.explain(l.child.Ready())
}

// kill ends the process and reaps it, and closes all that belongs to it.
func (l *launch) kill() error {
	l.entry.Close()
	err := joinTeardown(l.child.Kill(), l.child.Close())
	if l.child.PidFD != nil {
		err = joinTeardown(err, ignoreClosed(l.child.PidFD.Close()))
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// process is the handle for what comes after the launch. It takes the pidfd over.
func (l *launch) process() *Process {
	if l.proc == nil {
		l.proc = &Process{Pid: l.child.Pid, PidFD: l.child.PidFD}
	}
	return l.proc
}

// An enterer brings a child into its cgroup: a Cgroup (the first process) or a Target.
type enterer interface {
	Enter(pid int, born bool) ([]*os.File, error)
}

// join brings stage-1 into its cgroup and lets it go on. What can only be done by the process
// itself goes along as descriptors.
func (l *launch) join(e enterer) error {
	var files []*os.File
	err := act.Do(l.times, act.JoinCgroup, func() (err error) {
		files, err = e.Enter(l.child.Pid, l.child.Born)
		return err
	})
	if err != nil {
		return err
	}
	defer closeFiles(files)
	body, fds := l.entry.Join, l.entry.JoinFDs
	for _, f := range files {
		body.Tasks = append(body.Tasks, len(fds))
		fds = append(fds, int(f.Fd()))
	}
	err = nameTasks(l.child.Join(body, fds), files)
	l.entry.Close()
	return l.explain(err)
}

// nameTasks completes an error of the stage's, which knows the files by number.
func nameTasks(err error, files []*os.File) error {
	var failure *handshake.StageError
	if errors.As(err, &failure) {
		for i, f := range files {
			if failure.Object == fmt.Sprintf("tasks file %d", i) {
				failure.Object = f.Name()
			}
		}
	}
	return err
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// sendPlan opens what the plan wants opened and sends both.
func (l *launch) sendPlan(p *plan.Plan, dir *os.File) error {
	steps, err := p.WireSteps()
	if err != nil {
		return err
	}
	var files []*os.File
	err = act.Do(l.times, act.Sources, func() (err error) {
		files, err = openSources(p.Sources, dir, l.process().PidFD)
		return err
	})
	if err != nil {
		return err
	}
	defer closeFiles(files)
	if l.times.Timed() {
		l.times.StagePlan(p.StepWords(), clockAhead(p))
	}
	if l.opened != nil {
		if err := l.opened(); err != nil {
			return err
		}
	}
	return l.explain(l.child.Plan(handshake.PlanBody{Steps: steps}, descriptors(files)))
}

// clockAhead is the offset of the stage's CLOCK_MONOTONIC in a time namespace of its own.
func clockAhead(p *plan.Plan) time.Duration {
	o := p.TimeOffsets["monotonic"]
	return time.Duration(o.Secs)*time.Second + time.Duration(o.Nanosecs)
}

func descriptors(files []*os.File) []int {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	return fds
}

// countOOM notes the cgroup's count of OOM kills, so that explain can tell a new one.
func (l *launch) countOOM() {
	if l.cg != nil {
		l.oomBefore, _ = l.cg.OOMKills() // no count, no explanation
	}
}

// explain adds what the cgroup knows about the death of a stage.
func (l *launch) explain(err error) error {
	var death *nsexec.Death
	if l.cg == nil || !errors.As(err, &death) {
		return err
	}
	n, cerr := l.cg.OOMKills()
	if cerr != nil || n <= l.oomBefore {
		return err
	}
	return fmt.Errorf("%w (the cgroup counted %d OOM kill(s): is the memory limit too low?)", err, n-l.oomBefore)
}
