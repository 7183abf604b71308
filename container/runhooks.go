package container

import (
	"context"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"

	"runack/hooks"
	"runack/internal/act"
	"runack/internal/specjson"
)

// stateJSON is the state that a hook reads.
func (r *Record) stateJSON(status specs.ContainerState) []byte {
	var w specjson.Writer
	specjson.WriteState(&w, r.hookState(status))
	return w.Buf
}

// runCreateHooks runs prestart and createRuntime hooks, in the runtime's namespaces, and returns
// the state for the createContainer hooks, which the stage runs. No lock is held: a hook may call
// runack.
func (cr *creation) runCreateHooks() ([]byte, error) {
	state := cr.c.rec.stateJSON(specs.StateCreating)
	h := cr.bundle.Spec.Hooks
	if h == nil {
		return state, nil
	}
	cr.hooked = true
	for _, point := range []struct {
		name  string
		hooks []specs.Hook
	}{{hooks.Prestart, h.Prestart}, {hooks.CreateRuntime, h.CreateRuntime}} { //nolint:staticcheck // deprecated, still to be run
		err := cr.act(act.Hooks, func() error { return hooks.Run(cr.opts.Context, point.name, point.hooks, state) })
		if err != nil {
			return nil, err
		}
	}
	return state, nil
}

// runPoststart runs the poststart hooks of a container whose program runs.
func (c *Container) runPoststart(ctx context.Context) error {
	if !c.rec.Poststart {
		return nil
	}
	spec, err := c.spec()
	if err != nil {
		return err
	}
	state := c.rec.stateJSON(specs.StateRunning)
	return c.act(act.Hooks, func() error { return hooks.Run(ctx, hooks.Poststart, spec.Hooks.Poststart, state) })
}

// runPoststop runs the poststop hooks of a container that is gone. A failure is a warning and the
// others run nevertheless, as the specification says.
func (r *Record) runPoststop(ctx context.Context, spec *specs.Spec) {
	if !r.Poststop || spec == nil || spec.Hooks == nil {
		return
	}
	state := r.stateJSON(specs.StateStopped)
	if err := hooks.Run(ctx, hooks.Poststop, spec.Hooks.Poststop, state); err != nil {
		logrus.Warnf("container %s: %v", r.ID, err)
	}
}

// poststopAfterFailure: from the first hook on, the lifecycle of the specification ends in poststop
// even where the create fails.
func (cr *creation) poststopAfterFailure() {
	if cr.hooked {
		cr.c.rec.runPoststop(context.Background(), cr.bundle.Spec)
	}
}
