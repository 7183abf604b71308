package shim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/containerd/containerd/api/events"
	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"runack/tests/harness"
)

func TestLifeOfATask(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/sleep", "1000"))
	id := d.ID("c")
	s := d.start(b, id)

	pid := s.create(b, id, stdio{})
	if got := s.status(id, ""); got != tasktypes.Status_CREATED {
		t.Errorf("after create: %v", got)
	}
	if got := s.begin(id, ""); got != pid {
		t.Errorf("start gives pid %d, create gave %d", got, pid)
	}
	if got := s.status(id, ""); got != tasktypes.Status_RUNNING {
		t.Errorf("after start: %v", got)
	}
	path, uri := d.output("out")
	s.add(id, "e", stdio{out: uri}, "/bin/sh", "-c", "echo hello; exit 7")
	s.begin(id, "e")
	if code := s.end(id, "e"); code != 7 {
		t.Errorf("exec ended with %d", code)
	}
	if got := d.text(path); got != "hello\n" {
		t.Errorf("exec wrote %q", got)
	}
	if resp := s.remove(id, "e"); resp.ExitStatus != 7 || resp.Pid == 0 {
		t.Errorf("delete of the exec: %v", resp)
	}
	s.signal(id, "", unix.SIGKILL)
	if code := s.end(id, ""); code != 137 {
		t.Errorf("init ended with %d", code)
	}
	if got := s.status(id, ""); got != tasktypes.Status_STOPPED {
		t.Errorf("after kill: %v", got)
	}
	if resp := s.remove(id, ""); resp.ExitStatus != 137 || int(resp.Pid) != pid {
		t.Errorf("delete: %v", resp)
	}
	_, err := s.State(d.ctx(), &taskapi.StateRequest{ID: id})
	refused(t, codes.NotFound, err)
	log := d.awaitTopic("/tasks/delete", 1)
	want := []string{"create", "start", "exec-added", "exec-started", "exit", "exit", "delete"}
	if got := topics(log); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	exit := log[4].event.(*events.TaskExit)
	if exit.ContainerID != id || exit.ID != "e" || exit.ExitStatus != 7 || exit.ExitedAt == nil {
		t.Errorf("exit of the exec: %v", exit)
	}
	s.quit()
}

func (s *shim) status(id, exec string) tasktypes.Status {
	s.T.Helper()
	resp, err := s.State(s.ctx(), &taskapi.StateRequest{ID: id, ExecID: exec})
	if err != nil {
		s.T.Fatal(err)
	}
	return resp.Status
}

// A container that was never started is deleted as docker does after a failed start.
func TestDeleteOfACreatedTask(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/true"))
	id := d.ID("c")
	s := d.start(b, id)
	s.create(b, id, stdio{})
	if resp := s.remove(id, ""); resp.ExitStatus != 137 {
		t.Errorf("delete: %v", resp)
	}
	log := d.awaitTopic("/tasks/delete", 1)
	if got := fmt.Sprint(topics(log)); got != "[create exit delete]" {
		t.Errorf("events %v", got)
	}
	s.quit()
}

func TestBadRequests(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/sleep", "1000"))
	id := d.ID("c")
	s := d.start(b, id)
	ctx := d.ctx()

	_, err := s.Start(ctx, &taskapi.StartRequest{ID: id})
	refused(t, codes.NotFound, err)
	_, err = s.Create(ctx, &taskapi.CreateTaskRequest{ID: id, Bundle: "relative"})
	refused(t, codes.InvalidArgument, err)
	_, err = s.Create(ctx, &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Checkpoint: "/x"})
	refused(t, codes.Unimplemented, err)
	_, err = s.Create(ctx, &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Options: process(false, "x")})
	refused(t, codes.InvalidArgument, err)

	s.create(b, id, stdio{})
	_, err = s.Create(ctx, &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Options: d.options(nil)})
	refused(t, codes.AlreadyExists, err)
	_, err = s.Pause(ctx, &taskapi.PauseRequest{ID: id})
	refused(t, codes.FailedPrecondition, err)
	s.begin(id, "")
	_, err = s.Start(ctx, &taskapi.StartRequest{ID: id})
	refused(t, codes.FailedPrecondition, err)
	_, err = s.Delete(ctx, &taskapi.DeleteRequest{ID: id})
	refused(t, codes.FailedPrecondition, err)
	_, err = s.ResizePty(ctx, &taskapi.ResizePtyRequest{ID: id, Width: 80, Height: 24})
	refused(t, codes.InvalidArgument, err)
	_, err = s.Resume(ctx, &taskapi.ResumeRequest{ID: id})
	refused(t, codes.FailedPrecondition, err)
	_, err = s.Checkpoint(ctx, &taskapi.CheckpointTaskRequest{ID: id})
	refused(t, codes.Unimplemented, err)
	_, err = s.State(ctx, &taskapi.StateRequest{ID: id, ExecID: "none"})
	refused(t, codes.NotFound, err)

	s.add(id, "e", stdio{}, "/bin/nosuch")
	_, err = s.Exec(ctx, &taskapi.ExecProcessRequest{ID: id, ExecID: "e", Spec: process(false, "/bin/true")})
	refused(t, codes.AlreadyExists, err)
	_, err = s.Kill(ctx, &taskapi.KillRequest{ID: id, ExecID: "e", Signal: 9})
	refused(t, codes.FailedPrecondition, err)
	_, err = s.Start(ctx, &taskapi.StartRequest{ID: id, ExecID: "e"})
	refused(t, codes.Unknown, err, "no such file or directory")
	if code := s.end(id, "e"); code != 255 {
		t.Errorf("an exec that could not start ended with %d", code)
	}
	s.remove(id, "e")

	s.signal(id, "", unix.SIGKILL)
	s.end(id, "")
	_, err = s.Kill(ctx, &taskapi.KillRequest{ID: id, Signal: 9})
	refused(t, codes.NotFound, err, "process already finished")
	_, err = s.Exec(ctx, &taskapi.ExecProcessRequest{ID: id, ExecID: "late", Spec: process(false, "/bin/true")})
	refused(t, codes.FailedPrecondition, err)
	s.remove(id, "")
	_, err = s.Delete(ctx, &taskapi.DeleteRequest{ID: id})
	refused(t, codes.NotFound, err)
	s.quit()
}
