package shim

import (
	"context"
	"os"
	"path/filepath"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The task API's versions 2 and 3 differ in the name of their package and in nothing that is sent,
// so one table serves both. The messages are those of version 2, whose Go package does not
// bring gRPC along (4 MB of resident memory).
const (
	taskService2 = "containerd.task.v2.Task"
	taskService3 = "containerd.task.v3.Task"
)

// register adds the shim's services to a server.
func (s *Service) register(server *ttrpc.Server) {
	desc := &ttrpc.ServiceDesc{Methods: s.taskMethods()}
	for name, call := range desc.Methods {
		desc.Methods[name] = func(ctx context.Context, unmarshal func(any) error) (any, error) {
			s.events.hurry()
			defer s.touch()
			return call(ctx, unmarshal)
		}
	}
	server.RegisterService(taskService2, desc)
	server.RegisterService(taskService3, desc)
	server.RegisterService(sandboxService, &ttrpc.ServiceDesc{Methods: s.sandboxMethods()})
}

func (s *Service) taskMethods() map[string]ttrpc.Method {
	return map[string]ttrpc.Method{
		"State":      method(s.State),
		"Create":     method(s.Create),
		"Start":      method(s.Start),
		"Delete":     method(s.Delete),
		"Pids":       method(s.Pids),
		"Pause":      method(s.Pause),
		"Resume":     method(s.Resume),
		"Checkpoint": method(s.Checkpoint),
		"Kill":       method(s.Kill),
		"Exec":       method(s.Exec),
		"ResizePty":  method(s.ResizePty),
		"CloseIO":    method(s.CloseIO),
		"Update":     method(s.Update),
		"Wait":       method(s.Wait),
		"Stats":      method(s.Stats),
		"Connect":    method(s.Connect),
		"Shutdown":   method(s.Shutdown),
	}
}

// method makes a typed function into what ttrpc calls.
func method[Request, Response any](f func(context.Context, *Request) (*Response, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		r := new(Request)
		if err := unmarshal(r); err != nil {
			return nil, refuse(errInvalid, "request: %v", err)
		}
		resp, err := f(ctx, r)
		if err != nil {
			return nil, answer("", err)
		}
		return resp, nil
	}
}

var empty = &emptypb.Empty{}

// Create makes a container.
func (s *Service) Create(ctx context.Context, r *taskapi.CreateTaskRequest) (*taskapi.CreateTaskResponse, error) {
	if r.Checkpoint != "" {
		return nil, refuse(errNotDone, "container %s: restore from a checkpoint is not implemented", r.ID)
	}
	if !filepath.IsAbs(r.Bundle) {
		return nil, refuse(errInvalid, "container %s: bundle %q is not an absolute path", r.ID, r.Bundle)
	}
	opts, err := parseOptions(r.Options)
	if err != nil {
		return nil, err
	}
	opts.logIgnored(r.ID)
	req := &createRequest{
		state: containerState{
			ID: r.ID, Root: storeRoot(opts.Root, s.namespace), Bundle: r.Bundle, Mounts: len(r.Rootfs) > 0,
		},
		rootfs: r.Rootfs, opts: opts,
	}
	if err := req.state.save(); err != nil {
		return nil, err
	}
	pid, err := s.create(ctx, req, streams{r.Stdin, r.Stdout, r.Stderr, r.Terminal})
	if err != nil {
		return nil, answer("OCI runtime create failed", err)
	}
	return &taskapi.CreateTaskResponse{Pid: uint32(pid)}, nil
}

// Start runs the program of a container or an exec.
func (s *Service) Start(ctx context.Context, r *taskapi.StartRequest) (*taskapi.StartResponse, error) {
	var pid int
	var err error
	if r.ExecID == "" {
		pid, err = s.startInit(ctx, r.ID)
		err = answer("OCI runtime start failed", err)
	} else {
		pid, err = s.startExec(ctx, r.ID, r.ExecID)
		err = answer("OCI runtime exec failed", err)
	}
	if err != nil {
		return nil, err
	}
	return &taskapi.StartResponse{Pid: uint32(pid)}, nil
}

// Delete removes a process that has ended, or a container that was never started.
func (s *Service) Delete(ctx context.Context, r *taskapi.DeleteRequest) (*taskapi.DeleteResponse, error) {
	pid, exit, err := s.remove(ctx, r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	return &taskapi.DeleteResponse{Pid: uint32(pid), ExitStatus: exit.status, ExitedAt: timestamp(exit.at)}, nil
}

// timestamp leaves out a time that is not known yet.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Exec takes down what to run in a container; Start runs it.
func (s *Service) Exec(_ context.Context, r *taskapi.ExecProcessRequest) (*emptypb.Empty, error) {
	return empty, s.addExec(r.ID, r.ExecID, r.Spec.GetValue(), streams{r.Stdin, r.Stdout, r.Stderr, r.Terminal})
}

// State tells what is known of a process. It waits for nothing but the loop.
func (s *Service) State(_ context.Context, r *taskapi.StateRequest) (*taskapi.StateResponse, error) {
	p, err := s.find(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	var resp *taskapi.StateResponse
	err = s.loop.try(func() error {
		resp = &taskapi.StateResponse{
			ID: p.tag(), ExecID: p.id, Bundle: p.task.state.Bundle, Pid: uint32(p.pid), Status: p.status(),
			Stdin: p.req.stdin, Stdout: p.req.stdout, Stderr: p.req.stderr, Terminal: p.req.terminal,
		}
		if resp.Status == tasktypes.Status_STOPPED {
			resp.ExitStatus, resp.ExitedAt = p.exit.status, timestamp(p.exit.at)
		}
		return nil
	})
	return resp, err
}

// status is a state in containerd's words. An exit that has not been told has not happened yet. Runs
// on the loop.
func (p *process) status() tasktypes.Status {
	switch p.state {
	case created, starting, ended:
		return tasktypes.Status_CREATED
	case running, burying:
		if p.kind == initProcess {
			switch p.task.freeze {
			case pausing:
				return tasktypes.Status_PAUSING
			case paused:
				return tasktypes.Status_PAUSED
			case thawed:
			}
		}
		return tasktypes.Status_RUNNING
	case stopped, deleting, gone:
		return tasktypes.Status_STOPPED
	case creating:
	}
	return tasktypes.Status_UNKNOWN
}

// Kill sends a signal.
func (s *Service) Kill(_ context.Context, r *taskapi.KillRequest) (*emptypb.Empty, error) {
	return empty, s.kill(r.ID, r.ExecID, unix.Signal(r.Signal), r.All)
}

// Pause freezes a container.
func (s *Service) Pause(_ context.Context, r *taskapi.PauseRequest) (*emptypb.Empty, error) {
	return empty, s.pause(r.ID)
}

// Resume thaws a container.
func (s *Service) Resume(_ context.Context, r *taskapi.ResumeRequest) (*emptypb.Empty, error) {
	return empty, s.resume(r.ID)
}

// Checkpoint is not implemented.
func (s *Service) Checkpoint(_ context.Context, r *taskapi.CheckpointTaskRequest) (*emptypb.Empty, error) {
	return nil, refuse(errNotDone, "container %s: checkpoint is not implemented", r.ID)
}

// ResizePty sets the size of a terminal.
func (s *Service) ResizePty(_ context.Context, r *taskapi.ResizePtyRequest) (*emptypb.Empty, error) {
	return empty, s.resize(r.ID, r.ExecID, r.Width, r.Height)
}

// CloseIO ends a process's standard input.
func (s *Service) CloseIO(_ context.Context, r *taskapi.CloseIORequest) (*emptypb.Empty, error) {
	if !r.Stdin {
		return empty, nil
	}
	return empty, s.closeIO(r.ID, r.ExecID)
}

// Update changes a container's limits.
func (s *Service) Update(_ context.Context, r *taskapi.UpdateTaskRequest) (*emptypb.Empty, error) {
	return empty, s.update(r.ID, r.Resources.GetValue())
}

// Wait answers when the end of a process has been told.
func (s *Service) Wait(ctx context.Context, r *taskapi.WaitRequest) (*taskapi.WaitResponse, error) {
	exit, err := s.wait(ctx, r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	return &taskapi.WaitResponse{ExitStatus: exit.status, ExitedAt: timestamp(exit.at)}, nil
}

// Pids lists a container's processes.
func (s *Service) Pids(_ context.Context, r *taskapi.PidsRequest) (*taskapi.PidsResponse, error) {
	pids, execs, err := s.pids(r.ID)
	if err != nil {
		return nil, err
	}
	resp := &taskapi.PidsResponse{}
	for _, pid := range pids {
		info := &tasktypes.ProcessInfo{Pid: uint32(pid)}
		if id := execs[pid]; id != "" {
			if info.Info, err = marshalEvent(&runcoptions.ProcessDetails{ExecID: id}); err != nil {
				return nil, err
			}
		}
		resp.Processes = append(resp.Processes, info)
	}
	return resp, nil
}

// Stats measures a container's cgroup.
func (s *Service) Stats(_ context.Context, r *taskapi.StatsRequest) (*taskapi.StatsResponse, error) {
	p, err := s.find(r.ID, "")
	if err != nil {
		return nil, err
	}
	stats, err := p.task.metrics()
	if err != nil {
		return nil, err
	}
	return &taskapi.StatsResponse{Stats: stats}, nil
}

// Connect tells the shim's pid and a container's.
func (s *Service) Connect(_ context.Context, r *taskapi.ConnectRequest) (*taskapi.ConnectResponse, error) {
	resp := &taskapi.ConnectResponse{ShimPid: uint32(os.Getpid()), Version: "2"}
	if p, err := s.find(r.ID, ""); err == nil {
		s.loop.do(func() { resp.TaskPid = uint32(p.pid) })
	}
	return resp, nil
}

// Shutdown ends the shim, unless it has tasks.
func (s *Service) Shutdown(_ context.Context, r *taskapi.ShutdownRequest) (*emptypb.Empty, error) {
	if s.idle() {
		s.shutdown()
	}
	return empty, nil
}
