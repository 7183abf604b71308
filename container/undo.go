package container

import "errors"

// undoStack collects what must be taken back if a transition fails, in the order of acquiring.
type undoStack struct {
	acts []func() error
}

// add registers an act that takes back what was just acquired.
func (u *undoStack) add(act func() error) { u.acts = append(u.acts, act) }

// release forgets everything: the transition succeeded and its resources stay.
func (u *undoStack) release() { u.acts = nil }

// unwind takes everything back in reverse order and joins what could not be taken back to err.
func (u *undoStack) unwind(err error) error {
	for i := len(u.acts) - 1; i >= 0; i-- {
		err = errors.Join(err, u.acts[i]())
	}
	u.acts = nil
	return err
}

// joinTeardown adds what went wrong while taking something back to the error that made it
// necessary.
func joinTeardown(err error, teardown ...error) error {
	return errors.Join(append([]error{err}, teardown...)...)
}
