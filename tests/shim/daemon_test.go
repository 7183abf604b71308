package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	eventsapi "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"runack/tests/harness"
)

// limit bounds every wait on the shim.
const limit = 30 * time.Second

// A daemon stands in for containerd: it starts shims, calls them, and takes their events.
type daemon struct {
	*harness.Env
	namespace string
	dir       string
	root      string // of the containers' state
	server    *ttrpc.Server
	conns     sync.WaitGroup // of servers

	mu     sync.Mutex
	failed error // what Forward answers; nil to take events
	log    []entry
	more   chan struct{} // closed and made anew when log grows
}

// An entry is one event as it came.
type entry struct {
	topic string
	event proto.Message
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	e := harness.New(t)
	e.RunackOnly("the shim is runack's")
	d := &daemon{Env: e, namespace: "ns", dir: e.Dir, root: filepath.Join(e.Dir, "root"), more: make(chan struct{})}
	d.listen()
	return d
}

func (d *daemon) eventSocket() string { return filepath.Join(d.dir, "events.sock") }

// listen makes the service that takes events.
func (d *daemon) listen() {
	d.T.Helper()
	server, err := ttrpc.NewServer()
	if err != nil {
		d.T.Fatal(err)
	}
	l, err := net.Listen("unix", d.eventSocket())
	if err != nil {
		d.T.Fatal(err)
	}
	eventsapi.RegisterTTRPCEventsService(server, d)
	go func() { _ = server.Serve(context.Background(), &tracked{l, &d.conns}) }()
	d.server = server
	d.T.Cleanup(func() {
		_ = server.Close()
		d.conns.Wait() // ttrpc closes connections when it gets round to it
	})
}

// A tracked listener knows when all its connections are closed.
type tracked struct {
	net.Listener
	open *sync.WaitGroup
}

func (l *tracked) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &trackedConn{Conn: conn, open: l.open}, nil
}

type trackedConn struct {
	net.Conn
	once sync.Once
	open *sync.WaitGroup
}

func (c *trackedConn) Close() error {
	defer c.once.Do(c.open.Done)
	return c.Conn.Close()
}

// Forward takes one event.
func (d *daemon) Forward(_ context.Context, r *eventsapi.ForwardRequest) (*emptypb.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return nil, d.failed
	}
	// containerd's type URLs are bare names; anypb wants a slash in front.
	event, err := (&anypb.Any{TypeUrl: "/" + r.Envelope.Event.TypeUrl, Value: r.Envelope.Event.Value}).UnmarshalNew()
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if r.Envelope.Namespace != d.namespace {
		return nil, status.Error(codes.InvalidArgument, "namespace "+r.Envelope.Namespace)
	}
	d.log = append(d.log, entry{r.Envelope.Topic, event})
	close(d.more)
	d.more = make(chan struct{})
	return &emptypb.Empty{}, nil
}

// fail makes the event service refuse, or take events again.
func (d *daemon) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
}

// await waits until the events so far satisfy ok, and returns them.
func (d *daemon) await(what string, ok func([]entry) bool) []entry {
	d.T.Helper()
	late := time.After(harness.Deadline(limit))
	for {
		d.mu.Lock()
		log, more := d.log, d.more
		d.mu.Unlock()
		if ok(log) {
			return log
		}
		select {
		case <-more:
		case <-late:
			d.T.Fatalf("no %s within %v; events: %v", what, limit, topics(log))
		}
	}
}

// awaitTopic waits for n events of one topic.
func (d *daemon) awaitTopic(topic string, n int) []entry {
	d.T.Helper()
	return d.await(fmt.Sprintf("%d x %s", n, topic), func(log []entry) bool { return count(log, topic) >= n })
}

func count(log []entry, topic string) int {
	n := 0
	for _, e := range log {
		if e.topic == topic {
			n++
		}
	}
	return n
}

func topics(log []entry) []string {
	var names []string
	for _, e := range log {
		names = append(names, strings.TrimPrefix(e.topic, "/tasks/"))
	}
	return names
}

// shimPath is the shim under test.
func shimPath() string {
	return filepath.Join(filepath.Dir(harness.RuntimePath()), "containerd-shim-runack-v2")
}

// A shim is one that has been started, and the connection to it.
type shim struct {
	*daemon
	taskapi.TTRPCTaskService
	client  *ttrpc.Client
	address string
	pid     int
}

// params are what newer containerds send to `start`.
func (d *daemon) params(id string) *bootapi.BootstrapParams {
	return &bootapi.BootstrapParams{
		InstanceID: id, Namespace: d.namespace, SocketDir: &d.dir,
		ContainerdTtrpcAddress: d.eventSocket(), ContainerdGrpcAddress: d.dir + "/containerd.sock",
	}
}

// call makes a command of the shim's binary in a bundle.
func (d *daemon) call(b *harness.Bundle, id, action string) *harness.Cmd {
	return d.Command(shimPath(), "-namespace", d.namespace, "-id", id, "-address", d.dir+"/containerd.sock", action).
		In(b.Dir).Env("TTRPC_ADDRESS=" + d.eventSocket())
}

// start starts a shim for a bundle, or finds the one of its group.
func (d *daemon) start(b *harness.Bundle, id string) *shim {
	d.T.Helper()
	data, err := proto.Marshal(d.params(id))
	if err != nil {
		d.T.Fatal(err)
	}
	d.mkLog(b)
	var result bootapi.BootstrapResult
	if err := proto.Unmarshal([]byte(d.call(b, id, "start").Stdin(bytes.NewReader(data)).OK()), &result); err != nil {
		d.T.Fatal(err)
	}
	if result.Version != 3 || result.Protocol != "ttrpc" {
		d.T.Fatalf("start answers %v", &result)
	}
	return d.connect(result.Address)
}

// mkLog makes the fifo that containerd takes the shim's log from.
func (d *daemon) mkLog(b *harness.Bundle) {
	d.T.Helper()
	if err := unix.Mkfifo(filepath.Join(b.Dir, "log"), 0o600); err != nil && !errors.Is(err, unix.EEXIST) {
		d.T.Fatal(err)
	}
}

// connect reaches a shim. At the end of the test whatever it still has is killed and removed.
func (d *daemon) connect(address string) *shim {
	d.T.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(address, "unix://"))
	if err != nil {
		d.T.Fatal(err)
	}
	s := &shim{daemon: d, client: ttrpc.NewClient(conn), address: address}
	s.TTRPCTaskService = taskapi.NewTTRPCTaskClient(s.client)
	d.T.Cleanup(func() { _ = s.client.Close() })
	resp, err := s.Connect(d.ctx(), &taskapi.ConnectRequest{})
	if err != nil {
		d.T.Fatal(err)
	}
	s.pid = int(resp.ShimPid)
	return s
}

// ctx ends with the wait's limit.
func (d *daemon) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Deadline(limit))
	context.AfterFunc(ctx, cancel)
	return ctx
}

// stdio are paths or URIs.
type stdio struct {
	in, out, err string
	terminal     bool
}

// options in runc's form, with the test's own root.
func (d *daemon) options(edit func(*runcoptions.Options)) *anypb.Any {
	o := &runcoptions.Options{Root: d.root}
	if edit != nil {
		edit(o)
	}
	data, err := proto.Marshal(o)
	if err != nil {
		d.T.Fatal(err)
	}
	return &anypb.Any{TypeUrl: "containerd.runc.v1.Options", Value: data}
}

// create creates a task.
func (s *shim) create(b *harness.Bundle, id string, io stdio) int {
	s.T.Helper()
	resp, err := s.Create(s.ctx(), &taskapi.CreateTaskRequest{
		ID: id, Bundle: b.Dir, Options: s.options(nil),
		Stdin: io.in, Stdout: io.out, Stderr: io.err, Terminal: io.terminal,
	})
	if err != nil {
		s.T.Fatalf("create %s: %v", id, err)
	}
	return int(resp.Pid)
}

// run creates and starts a task.
func (s *shim) run(b *harness.Bundle, id string, io stdio) int {
	s.T.Helper()
	pid := s.create(b, id, io)
	s.begin(id, "")
	return pid
}

// begin starts a process.
func (s *shim) begin(id, exec string) int {
	s.T.Helper()
	resp, err := s.Start(s.ctx(), &taskapi.StartRequest{ID: id, ExecID: exec})
	if err != nil {
		s.T.Fatalf("start %s %s: %v", id, exec, err)
	}
	return int(resp.Pid)
}

// process is an exec's process in containerd's form.
func process(terminal bool, args ...string) *anypb.Any {
	data, err := json.Marshal(&specs.Process{
		Args: args, Cwd: "/", Env: []string{"PATH=/bin"}, Terminal: terminal,
	})
	if err != nil {
		panic(err)
	}
	return &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", Value: data}
}

// add adds an exec. Whether it has a terminal is for the request to say, so its process says the contrary.
func (s *shim) add(id, exec string, io stdio, args ...string) {
	s.T.Helper()
	_, err := s.Exec(s.ctx(), &taskapi.ExecProcessRequest{
		ID: id, ExecID: exec, Spec: process(!io.terminal, args...),
		Stdin: io.in, Stdout: io.out, Stderr: io.err, Terminal: io.terminal,
	})
	if err != nil {
		s.T.Fatalf("exec %s %s: %v", id, exec, err)
	}
}

// end waits for a process's end and gives its status.
func (s *shim) end(id, exec string) int {
	s.T.Helper()
	resp, err := s.Wait(s.ctx(), &taskapi.WaitRequest{ID: id, ExecID: exec})
	if err != nil {
		s.T.Fatalf("wait %s %s: %v", id, exec, err)
	}
	return int(resp.ExitStatus)
}

// remove deletes a process that has ended.
func (s *shim) remove(id, exec string) *taskapi.DeleteResponse {
	s.T.Helper()
	resp, err := s.Delete(s.ctx(), &taskapi.DeleteRequest{ID: id, ExecID: exec})
	if err != nil {
		s.T.Fatalf("delete %s %s: %v", id, exec, err)
	}
	return resp
}

// signal sends a signal.
func (s *shim) signal(id, exec string, sig unix.Signal) {
	s.T.Helper()
	if _, err := s.Kill(s.ctx(), &taskapi.KillRequest{ID: id, ExecID: exec, Signal: uint32(sig)}); err != nil {
		s.T.Fatalf("kill %s %s: %v", id, exec, err)
	}
}

// finish kills and deletes a task and shuts the shim down.
func (s *shim) finish(id string) {
	s.T.Helper()
	s.signal(id, "", unix.SIGKILL)
	s.end(id, "")
	s.remove(id, "")
	s.quit()
}

// quit asks the shim to end. It is a process of the test's, which checks that it has.
func (s *shim) quit() {
	s.T.Helper()
	_, err := s.Shutdown(s.ctx(), &taskapi.ShutdownRequest{ID: "x", Now: true})
	if err != nil && !errors.Is(err, ttrpc.ErrClosed) {
		s.T.Fatalf("shutdown: %v", err)
	}
	s.WaitExit(s.pid)
}

// refused checks the code of an error.
func refused(t *testing.T, want codes.Code, err error, words ...string) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("error %v: code %v, want %v", err, got, want)
	}
	for _, w := range words {
		if err != nil && !strings.Contains(err.Error(), w) {
			t.Errorf("error %v does not say %q", err, w)
		}
	}
}

// output is a file for a process to write to, by a file:// URI.
func (d *daemon) output(name string) (path, uri string) {
	path = filepath.Join(d.dir, name)
	return path, "file://" + path
}

// text waits for nothing: it reads what is there.
func (d *daemon) text(path string) string {
	d.T.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		d.T.Fatal(err)
	}
	return string(data)
}

// terminal asks for one.
func terminal(s *specs.Spec) { s.Process.Terminal = true }

// WaitFor waits until a condition that no event tells of holds.
func (d *daemon) WaitFor(what string, ok func() bool) {
	d.T.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(harness.Deadline(limit))
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			d.T.Fatalf("%s: not within %v", what, limit)
		}
	}
}
