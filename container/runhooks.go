package container

import (
	"context"
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"

	"runack/hooks"
)

// stateJSON is the state that a hook reads.
func (r *Record) stateJSON(status specs.ContainerState) ([]byte, error) {
	data, err := json.Marshal(r.hookState(status))
	return data, failed("encode state", r.ID, err)
}

// runCreateHooks runs prestart and createRuntime hooks, in the runtime's namespaces, and returns
// the state for the createContainer hooks, which the stage runs. No lock is held: a hook may call
// runack.
func (cr *creation) runCreateHooks() ([]byte, error) {
	state, err := cr.c.rec.stateJSON(specs.StateCreating)
	h := cr.bundle.Spec.Hooks
	if err != nil || h == nil {
		return state, err
	}
	cr.hooked = true
	for _, point := range []struct {
		name  string
		hooks []specs.Hook
	}{{hooks.Prestart, h.Prestart}, {hooks.CreateRuntime, h.CreateRuntime}} { //nolint:staticcheck // deprecated, still to be run
		if err := hooks.Run(cr.opts.Context, point.name, point.hooks, state); err != nil {
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
	state, err := c.rec.stateJSON(specs.StateRunning)
	if err != nil {
		return err
	}
	return hooks.Run(ctx, hooks.Poststart, spec.Hooks.Poststart, state)
}

// runPoststop runs the poststop hooks of a container that is gone. A failure is a warning and the
// others run nevertheless, as the specification says.
func (r *Record) runPoststop(ctx context.Context, spec *specs.Spec) {
	if !r.Poststop || spec == nil || spec.Hooks == nil {
		return
	}
	state, err := r.stateJSON(specs.StateStopped)
	if err != nil {
		logrus.Warn(err)
		return
	}
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
