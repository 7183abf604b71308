package shim

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/containerd/containerd/api/types"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The sandbox API (containerd 2.x) lets a shim manage a pod's sandbox. This shim's sandbox is its
// group: containers come to share namespaces by their configurations, so there is nothing to make.
// The service keeps the sandbox's state, and ends what is left when the sandbox is stopped.
//
// Its Go package would bring gRPC along (4 MB of resident memory) for messages of a few fields, so
// these are read and written field by field; the numbers are those of
// containerd/api/runtime/sandbox/v1/sandbox.proto.
const sandboxService = "containerd.runtime.sandbox.v1.Sandbox"

// The states of a sandbox in the words of CRI.
const (
	sandboxReady    = "SANDBOX_READY"
	sandboxNotReady = "SANDBOX_NOTREADY"
)

// A sandbox is the loop's alone, but for done.
type sandbox struct {
	id      string
	created time.Time
	ready   bool
	exit    exitInfo
	done    chan struct{} // closed when it has been stopped
}

func (s *Service) sandboxMethods() map[string]ttrpc.Method {
	return map[string]ttrpc.Method{
		"CreateSandbox":   sandboxMethod(s.createSandbox),
		"StartSandbox":    sandboxMethod(s.startSandbox),
		"Platform":        sandboxMethod(s.sandboxPlatform),
		"StopSandbox":     sandboxMethod(s.stopSandbox),
		"WaitSandbox":     sandboxMethod(s.waitSandbox),
		"SandboxStatus":   sandboxMethod(s.sandboxStatus),
		"PingSandbox":     sandboxMethod(s.pingSandbox),
		"ShutdownSandbox": sandboxMethod(s.shutdownSandbox),
		"SandboxMetrics":  sandboxMethod(unimplementedSandbox("metrics of a sandbox")),
		"UpdateSandbox":   sandboxMethod(unimplementedSandbox("update of a sandbox")),
	}
}

// sandboxMethod reads the one field that all requests have, sandbox_id, and hands over the fields
// of the response.
func sandboxMethod(f func(ctx context.Context, id string) (fields, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		req := new(emptypb.Empty) // keeps the fields it does not know
		if err := unmarshal(req); err != nil {
			return nil, refuse(errInvalid, "request: %v", err)
		}
		id, err := stringField(req.ProtoReflect().GetUnknown(), 1)
		if err != nil {
			return nil, refuse(errInvalid, "request: %v", err)
		}
		out, err := f(ctx, id)
		if err != nil {
			return nil, answer("", err)
		}
		resp := new(emptypb.Empty)
		resp.ProtoReflect().SetUnknown([]byte(out))
		return resp, nil
	}
}

// stringField finds the string with a number; empty where there is none.
func stringField(data []byte, number protowire.Number) (string, error) {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return "", protowire.ParseError(size)
		}
		data = data[size:]
		if n == number && kind == protowire.BytesType {
			v, size := protowire.ConsumeString(data)
			return v, protowire.ParseError(min(size, 0))
		}
		if size = protowire.ConsumeFieldValue(n, kind, data); size < 0 {
			return "", protowire.ParseError(size)
		}
		data = data[size:]
	}
	return "", nil
}

// fields are a message in its wire form.
type fields []byte

func (f fields) number(n protowire.Number, v uint64) fields {
	return protowire.AppendVarint(protowire.AppendTag(f, n, protowire.VarintType), v)
}

func (f fields) text(n protowire.Number, v string) fields {
	return protowire.AppendString(protowire.AppendTag(f, n, protowire.BytesType), v)
}

func (f fields) message(n protowire.Number, m proto.Message) (fields, error) {
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	return protowire.AppendBytes(protowire.AppendTag(f, n, protowire.BytesType), data), nil
}

func (f fields) time(n protowire.Number, t time.Time) (fields, error) {
	if t.IsZero() {
		return f, nil
	}
	return f.message(n, timestamp(t))
}

func unimplementedSandbox(what string) func(context.Context, string) (fields, error) {
	return func(context.Context, string) (fields, error) {
		return nil, refuse(errNotDone, "%s: not implemented", what)
	}
}

func (s *Service) createSandbox(_ context.Context, id string) (fields, error) {
	return nil, s.loop.try(func() error {
		if s.loop.sandbox != nil {
			return refuse(errExists, "sandbox %s: the shim has sandbox %s", id, s.loop.sandbox.id)
		}
		s.loop.sandbox = &sandbox{id: id, created: time.Now(), done: make(chan struct{})}
		return nil
	})
}

// withSandbox runs f on the loop.
func (s *Service) withSandbox(id string, f func(*sandbox) error) error {
	return s.loop.try(func() error {
		b := s.loop.sandbox
		if b == nil || b.id != id {
			return refuse(errNotFound, "sandbox %s: no such sandbox", id)
		}
		return f(b)
	})
}

func (s *Service) startSandbox(_ context.Context, id string) (out fields, err error) {
	err = s.withSandbox(id, func(b *sandbox) error {
		if !b.exit.at.IsZero() {
			return refuse(errPrecond, "sandbox %s: it has been stopped", id)
		}
		b.ready = true
		out, err = out.number(1, uint64(os.Getpid())).time(2, b.created)
		return err
	})
	return out, err
}

func (s *Service) sandboxPlatform(context.Context, string) (fields, error) {
	return fields(nil).message(1, &types.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH})
}

// stopSandbox ends what is left in the sandbox.
func (s *Service) stopSandbox(_ context.Context, id string) (fields, error) {
	var left []*task
	err := s.withSandbox(id, func(b *sandbox) error {
		for _, t := range s.loop.tasks {
			left = append(left, t)
		}
		if b.exit.at.IsZero() {
			b.ready, b.exit = false, exitInfo{at: time.Now()}
			close(b.done)
		}
		return nil
	})
	for _, t := range left {
		if kerr := s.engine.kill(t.state, unix.SIGKILL, true); kerr != nil && codeOf(kerr) != errNotFound {
			warn(t.id, "stop its sandbox: %v", kerr)
		}
	}
	return nil, err
}

func (s *Service) waitSandbox(ctx context.Context, id string) (out fields, err error) {
	var done chan struct{}
	if err := s.withSandbox(id, func(b *sandbox) error { done = b.done; return nil }); err != nil {
		return nil, err
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	err = s.withSandbox(id, func(b *sandbox) error {
		out, err = out.number(1, uint64(b.exit.status)).time(2, b.exit.at)
		return err
	})
	return out, err
}

func (s *Service) sandboxStatus(_ context.Context, id string) (out fields, err error) {
	err = s.withSandbox(id, func(b *sandbox) error {
		state := sandboxNotReady
		if b.ready {
			state = sandboxReady
		}
		out = out.text(1, b.id).number(2, uint64(os.Getpid())).text(3, state)
		if out, err = out.time(5, b.created); err != nil {
			return err
		}
		out, err = out.time(6, b.exit.at)
		return err
	})
	return out, err
}

func (s *Service) pingSandbox(_ context.Context, id string) (fields, error) {
	return nil, s.withSandbox(id, func(*sandbox) error { return nil })
}

// shutdownSandbox ends the shim, with what is left.
func (s *Service) shutdownSandbox(ctx context.Context, id string) (fields, error) {
	out, err := s.stopSandbox(ctx, id)
	if err == nil {
		s.shutdown()
	}
	return out, err
}
