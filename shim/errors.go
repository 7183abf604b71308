package shim

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"runack/container"
	"runack/reaper"
)

// containerd's errdefs cross ttrpc as codes of gRPC; these are the ones that its clients act upon.
var (
	errNotFound  = codes.NotFound
	errExists    = codes.AlreadyExists
	errPrecond   = codes.FailedPrecondition
	errInvalid   = codes.InvalidArgument
	errNotDone   = codes.Unimplemented
	errCancelled = codes.Canceled
)

func refuse(code codes.Code, format string, args ...any) error {
	return status.Errorf(code, format, args...)
}

// answer gives an error the code that containerd expects. The text stays as it is, since docker and
// others search it.
func answer(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if what != "" {
		what += ": "
	}
	return status.Error(codeOf(err), what+err.Error())
}

func codeOf(err error) codes.Code {
	var r *refusal
	if st, ok := status.FromError(err); ok {
		return st.Code()
	}
	switch {
	case errors.Is(err, container.ErrNotRunning), errors.Is(err, container.ErrNotExist):
		return errNotFound
	case errors.Is(err, container.ErrExist):
		return errExists
	case errors.As(err, &r), errors.Is(err, reaper.ErrInitExited),
		errors.Is(err, container.ErrPaused), errors.Is(err, container.ErrNotPaused):
		return errPrecond
	case errors.Is(err, container.ErrInvalidID), errors.Is(err, container.ErrEmptyID):
		return errInvalid
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errCancelled
	case errors.Is(err, errClosed):
		return codes.Unavailable
	}
	return codes.Unknown
}
