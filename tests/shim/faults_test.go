package shim

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/api/events"
	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"runack/tests/harness"
)

// While containerd is away, or refuses, nothing waits and nothing is lost, and the order stays.
func TestEventsWaitForContainerd(t *testing.T) {
	for name, away := range map[string]func(*daemon) (back func()){
		"refusing": func(d *daemon) func() {
			d.fail(status.Error(codes.Internal, "not now"))
			return func() { d.fail(nil) }
		},
		"stopped": func(d *daemon) func() {
			// Once what it has taken is answered: an event whose answer is lost comes again.
			if err := d.server.Shutdown(d.ctx()); err != nil {
				d.T.Fatal(err)
			}
			return d.listen
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, id := sleeper(t)
			s.awaitTopic("/tasks/start", 1)
			back := away(s.daemon)
			const execs = 10
			for n := range execs {
				exec := fmt.Sprint("e", n)
				s.add(id, exec, stdio{}, "/bin/sh", "-c", fmt.Sprintf("exit %d", n))
				s.begin(id, exec)
				if code := s.end(id, exec); code != n {
					t.Errorf("%s ended with %d", exec, code)
				}
			}
			s.signal(id, "", unix.SIGKILL)
			s.end(id, "")
			s.remove(id, "")
			back()
			log := s.awaitTopic("/tasks/delete", 1)
			want := []string{"create", "start"}
			for range execs {
				want = append(want, "exec-added", "exec-started", "exit")
			}
			want = append(want, "exit", "delete")
			if got := fmt.Sprint(topics(log)); got != fmt.Sprint(want) {
				t.Errorf("events %v, want %v", got, want)
			}
			s.quit()
		})
	}
}

// A shim that is killed leaves its container; `delete` removes it, with the status that fits.
func TestDeleteAfterTheShimWasKilled(t *testing.T) {
	for _, row := range []struct {
		name   string
		script string
		wait   bool // for the end of init, before the shim is killed
		want   uint32
	}{
		{"running", "sleep 100000", false, 137},
		{"ended", "exit 42", true, 42},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDaemon(t)
			b := d.Bundle(harness.Shell(row.script))
			id := d.ID("c")
			s := d.start(b, id)
			pid := s.run(b, id, stdio{})
			if row.wait {
				s.end(id, "")
			}
			if err := unix.Kill(s.pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			d.WaitExit(s.pid)
			for range 2 { // a second time finds nothing and says the same
				var resp taskapi.DeleteResponse
				out := d.call(b, id, "delete").OK()
				if err := proto.Unmarshal([]byte(out), &resp); err != nil {
					t.Fatal(err)
				}
				if resp.ExitStatus != row.want || resp.ExitedAt == nil {
					t.Errorf("delete says %v, want status %d", &resp, row.want)
				}
				if row.wait && int(resp.Pid) != pid {
					t.Errorf("delete says pid %d, want %d", resp.Pid, pid)
				}
			}
		})
	}
}

// `delete` of a bundle in which no container was made is no error: containerd calls it after a start
// that failed.
func TestDeleteOfNothing(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle()
	d.call(b, d.ID("c"), "delete").OK()
}

// With the host's PID namespace init's end takes nobody along by itself.
func TestSharedPIDNamespace(t *testing.T) {
	s, id := sleeper(t, harness.WithoutNamespace(specs.PIDNamespace))
	path, uri := s.output("out")
	s.add(id, "e", stdio{out: uri}, "/bin/sh", "-c", "sleep 100000 & echo ready; wait")
	s.begin(id, "e")
	s.WaitFor("the exec", func() bool { return s.text(path) == "ready\n" })
	// The exec has a child, which is neither.
	s.signal(id, "", unix.SIGKILL)
	if code := s.end(id, ""); code != 137 {
		t.Errorf("init ended with %d", code)
	}
	log := s.awaitTopic("/tasks/exit", 2)
	if first := log[len(log)-2].event.(*events.TaskExit); first.ID != "e" || first.ExitStatus != 137 {
		t.Errorf("the first exit is %v", first)
	}
	// What has been killed may take a moment to go.
	s.WaitFor("the end of what was left behind", func() bool {
		pids, err := s.Pids(s.ctx(), &taskapi.PidsRequest{ID: id})
		return err == nil && len(pids.Processes) == 0
	})
	s.remove(id, "")
	s.quit()
}

// A container that cannot be made leaves no task, no event and no mount.
func TestCreateThatFails(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Args("/bin/true"), harness.Mount("bind", "/no/such/source", "/mnt"))
	id := d.ID("c")
	s := d.start(b, id)
	_, err := s.Create(d.ctx(), &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Options: d.options(nil), Stdout: filepath.Join(d.dir, "no-fifo")})
	refused(t, codes.Unknown, err, "OCI runtime create failed", "open fifo")
	_, err = s.Create(d.ctx(), &taskapi.CreateTaskRequest{ID: id, Bundle: b.Dir, Options: d.options(nil)})
	refused(t, codes.Unknown, err, "OCI runtime create failed", "/no/such/source")
	_, err = s.State(d.ctx(), &taskapi.StateRequest{ID: id})
	refused(t, codes.NotFound, err)
	s.quit()
	if len(d.log) > 0 {
		t.Errorf("events %v", topics(d.log))
	}
}

// A stage whose filter denies execve and the report of that ends without a word. The shim, which is
// its parent, must not reap it before the start has looked at it: of a zombie it can be told.
func TestAStartThatDies(t *testing.T) {
	d := newDaemon(t)
	d.RunackOnly("the words are runack's")
	b := d.Bundle(harness.Args("/bin/true"), func(s *specs.Spec) {
		s.Process.NoNewPrivileges = true
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"execve", "write", "writev", "sendto", "sendmsg"}, Action: specs.ActErrno},
		}}
	})
	s := d.start(b, d.ID("c"))
	for i := range 20 {
		id := d.ID(fmt.Sprintf("c%d", i))
		s.create(b, id, stdio{})
		_, err := s.Start(s.ctx(), &taskapi.StartRequest{ID: id})
		refused(t, codes.Unknown, err, "while the runtime waited for execve")
		s.end(id, "")
		s.remove(id, "")
	}
	s.quit()
	if n := count(s.log, "/tasks/start"); n > 0 {
		t.Errorf("%d were told as started", n)
	}
}
