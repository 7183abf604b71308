package reaper

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrInitExited refuses the start of an exec in a container whose init has ended.
var ErrInitExited = errors.New("reaper: init process has exited")

// DefaultHoldLimit bounds the hold of an init's exit where the PID namespace is shared.
const DefaultHoldLimit = 10 * time.Second

// GroupOptions say what order needs to know about a container.
type GroupOptions struct {
	// SharedPIDs: the init's end does not end the execs, because the PID namespace is the host's
	// or another container's. Then HoldLimit zero means DefaultHoldLimit; otherwise unlimited.
	SharedPIDs bool
	HoldLimit  time.Duration
	// Held is called, on a goroutine of its own and at most once, when the init has ended and its
	// exit must wait. It should end the processes that remain (cgroup.kill) and may log.
	Held func(Hold)
	// OOMKills is called on the loop after each process of the group was reaped. It must be quick
	// and not call the Reaper; reading a counter from an open file is meant.
	OOMKills func() uint64
}

// Hold tells why an init's exit has not been told yet.
type Hold struct {
	Group   *Group
	Exit    Exit          // the init's
	Waiting []string      // the execs it waits for, oldest first
	Limit   time.Duration // 0: none
}

func (h Hold) String() string {
	limit := "without limit"
	if h.Limit > 0 {
		limit = "at most " + h.Limit.String()
	}
	return fmt.Sprintf("container %s: exit of init is held, %s, for %v", h.Group.id, limit, h.Waiting)
}

// initState is the life of a group's init as far as order is concerned.
type initState uint8

const (
	initUnknown initState = iota // not started, or being started
	initRunning
	initHeld // reaped, not told
	initTold
)

// Group is one container: an init and its execs, whose exits are told in order.
type Group struct {
	r    *Reaper
	id   string
	opts GroupOptions

	// Guarded by r.mu.
	init     initState
	held     Exit      // initHeld: what will be told
	deadline time.Time // initHeld: when it will be told in any case; zero: never
	open     []*Start  // execs being started or running, oldest first
}

// Container makes a group. id is for messages only; the caller keeps it unique if it must be.
func (r *Reaper) Container(id string, o GroupOptions) *Group {
	if o.SharedPIDs && o.HoldLimit == 0 {
		o.HoldLimit = DefaultHoldLimit
	}
	return &Group{r: r, id: id, opts: o}
}

// ID is the name given to Container.
func (g *Group) ID() string { return g.id }

// Waiting names the execs that are being started or are running, oldest first: whom the init's exit
// would have to wait for, or is waiting for.
func (g *Group) Waiting() []string {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	return g.waiting()
}

func (g *Group) waiting() []string {
	names := make([]string, 0, len(g.open))
	for _, s := range g.open {
		if s.watch == nil {
			names = append(names, s.name+" (starting)")
			continue
		}
		names = append(names, fmt.Sprintf("%s (pid %d)", s.name, s.watch.pid))
	}
	return names
}

// initExited decides whether an init's exit is told now. Caller holds r.mu.
func (g *Group) initExited(s *Start, e Exit) {
	if len(g.open) == 0 {
		g.tellInit(s, e)
		return
	}
	g.init, g.held = initHeld, e
	g.r.held[g] = s
	if limit := g.opts.HoldLimit; limit > 0 {
		g.deadline = time.Now().Add(limit)
	}
	if g.opts.Held != nil {
		go g.opts.Held(Hold{Group: g, Exit: e, Waiting: g.waiting(), Limit: g.opts.HoldLimit})
	}
}

// leave takes an exec off the list and tells a held init when it was the last. Caller holds r.mu.
func (g *Group) leave(s *Start) {
	if i := slices.Index(g.open, s); i >= 0 {
		g.open = slices.Delete(g.open, i, i+1)
	}
	if g.init == initHeld && len(g.open) == 0 {
		g.tellInit(g.r.held[g], g.held)
	}
}

// release tells a held init although others remain. Caller holds r.mu.
func (g *Group) release() {
	e := g.held
	e.Overtook = g.waiting()
	g.tellInit(g.r.held[g], e)
}

func (g *Group) tellInit(s *Start, e Exit) {
	delete(g.r.held, g)
	g.init, g.held, g.deadline = initTold, Exit{}, time.Time{}
	s.told(g.r.publish(e))
}
