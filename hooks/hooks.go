package hooks

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The points whose hooks run here, as config.json names them.
const (
	Prestart      = "prestart"
	CreateRuntime = "createRuntime"
	Poststart     = "poststart"
	Poststop      = "poststop"
)

// KeepOutput is how much of a hook's stdout and stderr is kept, from the end, in bytes each.
const KeepOutput = 64 << 10

// Policy says what a failing hook means for those behind it.
type Policy uint8

// The policies.
const (
	ByPoint     Policy = iota // as runtime-spec 1.3 says for the point
	StopAtFirst               // the rest is not run
	RunAll                    // all are run, the failures joined
)

// Options of RunWith; the zero value is what Run uses.
type Options struct {
	Policy Policy
	Dir    string       // working directory; "": the runtime's
	Log    func(Report) // told of every hook that was run, failed or not
}

// Report is what a hook did, for logs.
type Report struct {
	Point          string
	Index          int
	Path           string
	Duration       time.Duration
	Stdout, Stderr string // the last KeepOutput bytes
	Err            error  // nil or *Error
}

// Run runs the hooks of a point in their order, with the container's state as JSON. The errors are
// *Error, joined where several failed: only at poststop, where the caller should log them and go on.
func Run(ctx context.Context, point string, list []specs.Hook, state []byte) error {
	return RunWith(ctx, point, list, state, Options{})
}

// RunWith is Run with options.
func RunWith(ctx context.Context, point string, list []specs.Hook, state []byte, o Options) error {
	policy, err := policyOf(point, o.Policy)
	if err != nil {
		return err
	}
	var failed []error
	for i := range list {
		err := runOne(ctx, point, i, &list[i], state, o)
		if err == nil {
			continue
		}
		failed = append(failed, err)
		// Once the context has ended, the others would only be killed in turn.
		if policy == StopAtFirst || ctx.Err() != nil {
			break
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

func policyOf(point string, asked Policy) (Policy, error) {
	switch point {
	case Prestart, CreateRuntime, Poststart:
		return pick(asked, StopAtFirst), nil
	case Poststop:
		return pick(asked, RunAll), nil
	}
	return 0, fmt.Errorf("hook %s: does not run in the runtime's namespaces: %w", point, unix.EINVAL)
}

func pick(asked, usual Policy) Policy {
	if asked == ByPoint {
		return usual
	}
	return asked
}

func runOne(ctx context.Context, point string, index int, h *specs.Hook, state []byte, o Options) error {
	begin := time.Now()
	res := &Error{Point: point, Index: index, Path: h.Path}
	ok := false
	if res.Err = check(ctx, h); res.Err == nil {
		ok = run(ctx, h, state, o.Dir, res)
	}
	var err error
	if !ok {
		err = res
	}
	if o.Log != nil {
		o.Log(Report{Point: point, Index: index, Path: h.Path, Duration: time.Since(begin), Stdout: res.Stdout, Stderr: res.Stderr, Err: err})
	}
	return err
}

// check refuses what bundle should have refused: a relative path would be searched for somewhere.
func check(ctx context.Context, h *specs.Hook) error {
	switch {
	case !filepath.IsAbs(h.Path):
		return fmt.Errorf("path must be absolute: %w", unix.EINVAL)
	case h.Timeout != nil && *h.Timeout <= 0:
		return fmt.Errorf("timeout must be greater than zero: %w", unix.EINVAL)
	}
	return ctx.Err()
}
