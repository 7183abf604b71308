package shim

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/api/events"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"runack/tests/harness"
)

// A containerd is a real one, with everything of its own.
type containerd struct {
	*harness.Env
	dir    string
	bin    string // folder of containerd and ctr; empty for PATH
	rootfs string
	proc   *harness.Proc
}

// newContainerd starts containerd, or skips the test where there is none. RUNACK_CONTAINERD names a
// folder with another one (`make test-containerd` builds version 2).
func newContainerd(t *testing.T) *containerd {
	t.Helper()
	e := harness.New(t)
	e.RunackOnly("the shim is runack's")
	c := &containerd{Env: e, dir: e.Dir, bin: os.Getenv("RUNACK_CONTAINERD")}
	// Where `deps clients` unpacks what is not installed.
	if dir := filepath.Join(filepath.Dir(harness.ProbePath()), "clients/root/usr/bin"); c.bin == "" {
		if _, err := os.Stat(filepath.Join(dir, "containerd")); err == nil {
			c.bin = dir
		}
	}
	if _, err := exec.LookPath(c.program("containerd")); err != nil {
		t.Skip("containerd is not there: tests/tools/deps clients fetches it")
	}
	if !harness.HasController("cpu") {
		t.Skip("ctr asks for CPU shares, and this view of the host has no cpu controller")
	}
	c.rootfs = e.Bundle(harness.WritableRoot).Rootfs
	c.config()
	c.up()
	t.Cleanup(c.down)
	return c
}

func (c *containerd) program(name string) string { return filepath.Join(c.bin, name) }

func (c *containerd) socket() string { return filepath.Join(c.dir, "c.sock") }

// config leaves out what needs more than this machine may have.
func (c *containerd) config() {
	c.T.Helper()
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\n", c.dir+"/lib", c.dir+"/run") +
		"disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\", \"io.containerd.nri.v1.nri\"]\n" +
		fmt.Sprintf("[grpc]\naddress = %q\n", c.socket())
	if err := os.WriteFile(c.dir+"/config.toml", []byte(text), 0o644); err != nil {
		c.T.Fatal(err)
	}
}

// up starts containerd and waits until it answers.
func (c *containerd) up() {
	c.T.Helper()
	c.proc = c.Command(c.program("containerd"), "-c", c.dir+"/config.toml").Within(time.Hour).
		Env("PATH=" + filepath.Dir(shimPath()) + ":" + os.Getenv("PATH")).Start()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(harness.Deadline(limit))
	for c.Command(c.program("ctr"), "-a", c.socket(), "version").Do().Code != 0 {
		select {
		case <-tick.C:
		case <-late:
			c.T.Fatal("containerd does not answer")
		}
	}
}

// down stops containerd; shims go on.
func (c *containerd) down() {
	c.T.Helper()
	c.proc.Signal(unix.SIGTERM)
	if r := c.proc.Wait(); c.T.Failed() {
		c.T.Log(r)
	}
}

// ctr is a call of containerd's own client.
func (c *containerd) ctr(args ...string) *harness.Cmd {
	return c.Command(c.program("ctr"), append([]string{"-a", c.socket()}, args...)...)
}

// run is `ctr run` over the test's root file system.
func (c *containerd) run(options []string, id string, args ...string) *harness.Cmd {
	all := append([]string{"run", "--runtime", "io.containerd.runack.v2", "--rootfs"}, options...)
	return c.ctr(append(append(all, c.rootfs, id), args...)...)
}

// connect reaches containerd's API.
func (c *containerd) connect() (*grpc.ClientConn, context.Context) {
	c.T.Helper()
	conn, err := grpc.NewClient("unix://"+c.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), harness.Deadline(10*time.Minute))
	c.T.Cleanup(cancel)
	return conn, metadata.AppendToOutgoingContext(ctx, "containerd-namespace", "default")
}

func TestContainerd(t *testing.T) {
	c := newContainerd(t)
	id := c.ID("c")
	if got := c.run([]string{"--rm"}, id, "/bin/echo", "hello").OK(); got != "hello\n" {
		t.Errorf("it wrote %q", got)
	}
	if r := c.run([]string{"--rm"}, id, "/bin/sh", "-c", "exit 7").Do(); r.Code != 7 {
		t.Errorf("%v", r)
	}
	if r := c.run([]string{"--rm"}, id, "/bin/nosuch").Do(); r.Code == 0 || !strings.Contains(r.Stderr, "no such file or directory") {
		t.Errorf("%v", r)
	}
	c.ctr("containers", "rm", id).Do() // some versions of ctr leave it where the start failed
	c.run([]string{"-d"}, id, "/bin/sleep", "100000").OK()
	if got := c.ctr("tasks", "exec", "--exec-id", "e", id, "/bin/sh", "-c", "cat; exit 3").Stdin(strings.NewReader("in\n")).Do(); got.Code != 3 || got.Stdout != "in\n" {
		t.Errorf("%v", got)
	}
	if got := c.ctr("tasks", "ls").OK(); !strings.Contains(got, "RUNNING") {
		t.Errorf("tasks:\n%s", got)
	}
	c.ctr("tasks", "metrics", id).OK()
	// Others than the one that made the task find it again, and its end while they were away.
	c.down()
	c.up()
	if got := c.ctr("tasks", "ls").OK(); !strings.Contains(got, "RUNNING") {
		t.Errorf("tasks after a restart:\n%s", got)
	}
	c.ctr("tasks", "kill", "-s", "KILL", id).OK()
	c.ctr("tasks", "delete", "-f", id).Do() // gives the task's own exit code
	if got := c.ctr("tasks", "ls", "-q").OK(); got != "" {
		t.Errorf("left: %s", got)
	}
	c.ctr("containers", "rm", id).OK()
}

// A task that ends while containerd is away is found to have ended, with its status. containerd 2
// removes such tasks by itself as it starts ("cleaning leaked shim process").
func TestExitWhileContainerdIsAway(t *testing.T) {
	c := newContainerd(t)
	id := c.ID("c")
	fifo := filepath.Join(c.rootfs, "go")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	c.run([]string{"-d"}, id, "/bin/sh", "-c", "read x </go; exit 9").OK()
	c.down()
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	c.up()
	conn, ctx := c.connect()
	resp, err := tasksapi.NewTasksClient(conn).Wait(ctx, &tasksapi.WaitRequest{ContainerID: id})
	if c.bin != "" && status.Code(err) == codes.NotFound {
		c.ctr("containers", "rm", id).OK()
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if resp.ExitStatus != 9 {
		t.Errorf("it ended with %d", resp.ExitStatus)
	}
	// ctr gives the code as its own or, of late, in words.
	if r := c.ctr("tasks", "delete", id).Do(); r.Code != 9 && !strings.Contains(r.Stderr, "exit code 9") {
		t.Errorf("%v", r)
	}
	c.ctr("containers", "rm", id).OK()
}

// Execs race the end of init, through containerd, whose event service is watched: every exec that has
// started is told to its end, before init is.
func TestExecsRaceTheEndOfInit(t *testing.T) {
	rounds := 10
	if harness.Soak() {
		rounds = 100
	}
	const execs = 20 // a round
	c := newContainerd(t)
	conn, ctx := c.connect()
	tasks := tasksapi.NewTasksClient(conn)
	stream, err := eventsapi.NewEventsClient(conn).Subscribe(ctx, &eventsapi.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	started, exited := 0, 0
	for n := range rounds {
		id := c.ID(fmt.Sprint("c", n))
		c.run([]string{"-d", "--null-io"}, id, "/bin/sleep", "100000").OK()
		var wg sync.WaitGroup
		answered := make(chan struct{}, execs)
		for e := range execs {
			wg.Go(func() {
				defer func() { answered <- struct{}{} }()
				name := fmt.Sprint("e", e)
				spec := process(false, []string{"/bin/true", "/bin/sleep"}[e%2], "1000")
				if _, err := tasks.Exec(ctx, &tasksapi.ExecProcessRequest{ContainerID: id, ExecID: name, Spec: spec}); err != nil {
					return // init has ended
				}
				_, _ = tasks.Start(ctx, &tasksapi.StartRequest{ContainerID: id, ExecID: name})
			})
		}
		// Init ends when so many are through; the others are anywhere on their way.
		for range n % execs {
			<-answered
		}
		if _, err := tasks.Kill(ctx, &tasksapi.KillRequest{ContainerID: id, Signal: uint32(unix.SIGKILL)}); err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
		wg.Wait()
		if _, err := tasks.Wait(ctx, &tasksapi.WaitRequest{ContainerID: id}); err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
		if _, err := tasks.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id}); err != nil {
			t.Fatalf("round %d: %v", n, err)
		}
		c.ctr("containers", "rm", id).OK()
		s, x := checkRound(t, stream, id)
		started, exited = started+s, exited+x
	}
	t.Logf("%d execs started and were told to their end, of %d", started, rounds*execs)
	if started == 0 || started != exited {
		t.Errorf("%d starts, %d exits", started, exited)
	}
}

// checkRound reads the events of one container up to its deletion and checks their order.
func checkRound(t *testing.T, stream eventsapi.Events_SubscribeClient, id string) (started, exited int) {
	t.Helper()
	open := map[string]bool{}
	ended := false
	for {
		envelope, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(envelope.Topic, "/tasks/") {
			continue
		}
		event, err := (&anypb.Any{TypeUrl: "/" + envelope.Event.TypeUrl, Value: envelope.Event.Value}).UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		switch e := event.(type) {
		case *events.TaskExecStarted:
			if ended {
				t.Errorf("%s: exec %s starts after init's exit", id, e.ExecID)
			}
			open[e.ExecID] = true
			started++
		case *events.TaskExit:
			if e.ID == e.ContainerID {
				if len(open) > 0 {
					t.Errorf("%s: init's exit comes before those of %v", id, open)
				}
				ended = true
				continue
			}
			if !open[e.ID] || ended {
				t.Errorf("%s: exit of exec %s does not belong there", id, e.ID)
			}
			delete(open, e.ID)
			exited++
		case *events.TaskDelete:
			return started, exited
		}
	}
}
