package shim

import (
	"context"
	"testing"

	sandboxapi "github.com/containerd/containerd/api/runtime/sandbox/v1"
	"google.golang.org/grpc/codes"

	"runack/tests/harness"
)

// The shim writes the messages of the sandbox API field by field; here containerd's own code reads
// them.
func TestSandbox(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/sleep", "100000"))
	id := d.ID("pod")
	s := d.start(b, id)
	box := sandboxapi.NewTTRPCSandboxClient(s.client)
	ctx := d.ctx()

	_, err := box.StartSandbox(ctx, &sandboxapi.StartSandboxRequest{SandboxID: id})
	refused(t, codes.NotFound, err)
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	create := &sandboxapi.CreateSandboxRequest{SandboxID: id, BundlePath: b.Dir, NetnsPath: "/run/netns/x"}
	_, err = box.CreateSandbox(ctx, create)
	must("create", err)
	_, err = box.CreateSandbox(ctx, create)
	refused(t, codes.AlreadyExists, err)
	started, err := box.StartSandbox(ctx, &sandboxapi.StartSandboxRequest{SandboxID: id})
	must("start", err)
	if int(started.Pid) != s.pid || started.CreatedAt.AsTime().IsZero() {
		t.Errorf("start answers %v", started)
	}
	platform, err := box.Platform(ctx, &sandboxapi.PlatformRequest{SandboxID: id})
	must("platform", err)
	if platform.Platform.OS != "linux" || platform.Platform.Architecture == "" {
		t.Errorf("platform %v", platform)
	}
	_, err = box.PingSandbox(ctx, &sandboxapi.PingRequest{SandboxID: id})
	must("ping", err)
	_, err = box.SandboxMetrics(ctx, &sandboxapi.SandboxMetricsRequest{SandboxID: id})
	refused(t, codes.Unimplemented, err)
	status := func() *sandboxapi.SandboxStatusResponse {
		t.Helper()
		resp, err := box.SandboxStatus(ctx, &sandboxapi.SandboxStatusRequest{SandboxID: id, Verbose: true})
		must("status", err)
		return resp
	}
	if got := status(); got.State != "SANDBOX_READY" || got.SandboxID != id || got.CreatedAt == nil || got.ExitedAt != nil {
		t.Errorf("status %v", got)
	}
	container := d.ID("c")
	s.run(b, container, stdio{})
	waited := make(chan *sandboxapi.WaitSandboxResponse, 1)
	go func() {
		resp, _ := box.WaitSandbox(context.Background(), &sandboxapi.WaitSandboxRequest{SandboxID: id})
		waited <- resp
	}()
	_, err = box.StopSandbox(ctx, &sandboxapi.StopSandboxRequest{SandboxID: id})
	must("stop", err)
	if resp := <-waited; resp == nil || resp.ExitedAt == nil || resp.ExitStatus != 0 {
		t.Errorf("wait answers %v", resp)
	}
	if got := status(); got.State != "SANDBOX_NOTREADY" || got.ExitedAt == nil {
		t.Errorf("status %v", got)
	}
	if code := s.end(container, ""); code != 137 {
		t.Errorf("the container ended with %d", code)
	}
	s.remove(container, "")
	_, err = box.ShutdownSandbox(ctx, &sandboxapi.ShutdownSandboxRequest{SandboxID: id})
	must("shutdown", err)
	d.WaitExit(s.pid)
}
