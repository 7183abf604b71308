package handshake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socketpair returns two descriptors that are closed with the test, unless a Conn was faster.
func socketpair(t testing.TB, kind int) [2]int {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds
}

// pair returns both ends of a sync socket, closed with the test.
func pair(t testing.TB, p Protocol) (run, stage *Conn) {
	t.Helper()
	return pairOf(t, p, unix.SOCK_STREAM)
}

func pairOf(t testing.TB, p Protocol, kind int) (run, stage *Conn) {
	t.Helper()
	fds := socketpair(t, kind)
	local := Stage0
	if p == StartProtocol {
		local = Stage1
	}
	run, stage = NewConn(fds[0], Runtime, p, nil), NewConn(fds[1], local, p, nil)
	t.Cleanup(func() {
		_ = run.Close()
		_ = stage.Close()
	})
	return run, stage
}

// at puts both ends in a state, as if all before it had been said.
func at(s State, conns ...*Conn) {
	for _, c := range conns {
		c.state = s
		if c.local != Runtime && s != Begun && s != Spawning {
			c.Become(Stage1)
		}
	}
}

// soon is a deadline that only a hanging test meets.
func soon() time.Time { return time.Now().Add(20 * time.Second) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bare says that err is the sentinel itself, as callers that compare expect of an io.EOF.
func bare(err, sentinel error) bool { return any(err) == any(sentinel) }

func receive(t testing.TB, c *Conn) *Frame {
	t.Helper()
	f, err := c.Receive(soon(), -1)
	must(t, err)
	return f
}

func wantKind(t testing.TB, err error, kind Kind) *ProtocolError {
	t.Helper()
	var p *ProtocolError
	if !errors.As(err, &p) || p.Kind != kind {
		t.Fatalf("got %v, expected a protocol error of kind %s", err, kind)
	}
	return p
}

// example returns a body for each message.
func example(t Type) any {
	zero := 0
	switch t {
	case Spawn:
		return SpawnBody{Actions: []Action{{Do: "setns", Flags: 1 << 30, FD: &zero, Object: "net of pid 42"}}, Clone: 1 << 29, Cgroup: &zero, Dumpable: true}
	case Ready:
		return ReadyBody{Pid: 4711, Born: true}
	case Join:
		return JoinBody{Tasks: []int{0}, Actions: []Action{{Do: "unshare", Flags: 1 << 25}}}
	case Plan:
		return PlanBody{Trace: true, Steps: json.RawMessage(`[{"op":"exec"}]`)}
	case Proceed, Start:
		return StateBody{State: "{\"id\":\"a\\b\n\"}"}
	case Mounted, Created, Executing:
		return TraceBody{Steps: []StepTime{{1, "root", 2, 3}, {4, "mount", 5, 6}}}
	case Error:
		return ErrorBody{Side: Stage1, Step: "mount", Object: "/proc", Errno: 1, Detail: "a\nb"}
	default:
		return nil
	}
}

// decoded returns what f's body says, as example has it.
func decoded(f *Frame) (any, error) {
	switch f.Type {
	case Spawn:
		return decodeAs[SpawnBody](f)
	case Ready:
		return decodeAs[ReadyBody](f)
	case Join:
		return decodeAs[JoinBody](f)
	case Plan:
		return decodeAs[PlanBody](f)
	case Proceed, Start:
		return decodeAs[StateBody](f)
	case Mounted, Created, Executing:
		return decodeAs[TraceBody](f)
	case Error:
		return decodeAs[ErrorBody](f)
	default:
		return nil, f.Decode(new(struct{}))
	}
}

func decodeAs[T any](f *Frame) (any, error) {
	var v T
	err := f.Decode(&v)
	return v, err
}

func sameJSON(t testing.TB, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	must(t, err)
	y, err := json.Marshal(b)
	must(t, err)
	return bytes.Equal(x, y)
}

// Every row of the order carries its message from writer to reader: type, sender, number, body,
// descriptors, next state; over sockets that block and over such that do not.
func TestEveryMessage(t *testing.T) {
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_STREAM | unix.SOCK_NONBLOCK} {
		for i := range rows {
			r := &rows[i]
			t.Run(fmt.Sprintf("%s/%s/%s/%s/%d", r.protocol, r.state, r.side, r.typ, kind), func(t *testing.T) {
				testMessage(t, r, kind)
			})
		}
	}
}

func testMessage(t *testing.T, r *row, kind int) {
	writer, reader := pairOf(t, r.protocol, kind)
	if r.side != Runtime {
		writer, reader = reader, writer
	}
	at(r.state, writer, reader)
	if r.side != Runtime {
		writer.Become(r.side)
	}
	m := &messages[messageIndex(r.typ)]
	before := openFDs(t)
	for _, n := range []int{m.minimum, min(m.maximum, m.minimum+2), m.maximum} {
		seq := writer.seq[sideIndex(r.side)]
		writer.state, reader.state = r.state, r.state
		must(t, writer.Send(r.typ, example(r.typ), make([]int, n)...))
		f := receive(t, reader)
		if f.Type != r.typ || f.From != r.side || f.Seq != seq || len(f.FDs) != n {
			t.Errorf("got %+v", f)
		}
		if writer.State() != r.next || reader.State() != r.next {
			t.Errorf("states %s and %s, expected %s", writer.State(), reader.State(), r.next)
		}
		if v, err := decoded(f); err != nil || !sameJSON(t, v, example(r.typ)) {
			t.Errorf("body %v, %v", v, err)
		}
		for _, fd := range f.FDs {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor %d: flags %d, %v", fd, flags, err)
			}
		}
		f.CloseFDs()
	}
	if after := openFDs(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before %v, after %v", before, after)
	}
}

// Whatever no row allows is refused on sending, with nothing sent.
func TestSendOutOfTurn(t *testing.T) {
	for _, p := range []Protocol{CreateProtocol, StartProtocol, ExecProtocol} {
		for _, s := range states {
			for _, side := range sides {
				for _, m := range messages {
					r, _ := allowed(p, s, side, m.typ)
					if r != nil || m.typ == Error && side != Runtime && s != Failed {
						continue
					}
					testOutOfTurn(t, p, s, side, m.typ, m.minimum)
				}
			}
		}
	}
}

func testOutOfTurn(t *testing.T, p Protocol, s State, side Side, typ Type, fds int) {
	t.Helper()
	c := NewConn(-1, side, p, nil)
	c.state = s
	err := c.Send(typ, nil, make([]int, fds)...)
	var e *ProtocolError
	if !errors.As(err, &e) || e.Kind != KindOrder && e.Kind != KindSender {
		t.Errorf("%s %s %s %s: got %v", p, s, side, typ, err)
	}
}

// A whole create, the start that follows, and an exec, with every optional message.
func TestConversations(t *testing.T) {
	for p, script := range map[Protocol]string{
		CreateProtocol: "runtime:spawn stage-0:ready runtime:join stage-1:joined runtime:plan stage-1:console stage-1:mounted runtime:proceed stage-1:console stage-1:created",
		StartProtocol:  "runtime:start stage-1:console stage-1:executing stage-1:listener runtime:taken",
		ExecProtocol:   "runtime:spawn stage-0:ready runtime:join stage-1:joined runtime:plan stage-1:console stage-1:executing stage-1:listener runtime:taken",
	} {
		t.Run(p.String(), func(t *testing.T) {
			goroutines := runtime.NumGoroutine()
			run, stage := pair(t, p)
			for _, line := range strings.Fields(script) {
				side, typ, _ := strings.Cut(line, ":")
				writer, reader := run, stage
				if Side(side) != Runtime {
					writer, reader = stage, run
					stage.Become(Side(side))
				}
				must(t, writer.Send(Type(typ), example(Type(typ)), make([]int, messages[messageIndex(Type(typ))].minimum)...))
				f := receive(t, reader)
				f.CloseFDs()
				if string(f.Type) != typ || string(f.From) != side {
					t.Fatalf("got %s from %s, expected %s", f.Type, f.From, line)
				}
			}
			must(t, stage.Close())
			if _, err := run.Receive(soon(), -1); !bare(err, io.EOF) {
				t.Fatalf("at the end: %v", err)
			}
			// Counted here, since the goroutine of a subtest can outlive t.Run by a moment.
			if n := runtime.NumGoroutine(); n > goroutines {
				t.Errorf("%d goroutines, before %d", n, goroutines)
			}
		})
	}
}

func TestSendRefusesWrongDescriptors(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	wantKind(t, run.Send(Spawn, nil, make([]int, MaxDescriptors+1)...), KindSurplus)
	at(Spawning, stage)
	wantKind(t, stage.Send(Ready, ReadyBody{Pid: 1}), KindMissing)
	wantKind(t, stage.Send(Ready, ReadyBody{Pid: 1}, 0, 0), KindSurplus)
	wantKind(t, run.Send("hello", nil), KindType)
	at(Begun, stage)
	must(t, run.Send(Spawn, SpawnBody{}))
	if f := receive(t, stage); f.Seq != 0 {
		t.Errorf("a refused frame took a number: %d", f.Seq)
	}
}

func TestSendRefusesOversize(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	body := json.RawMessage(`{"a":"` + strings.Repeat("x", MaxPayload) + `"}`)
	wantKind(t, run.Send(Spawn, body), KindOversize)
	must(t, run.Send(Spawn, SpawnBody{}))
	receive(t, stage)
}

func TestSendBadDescriptor(t *testing.T) {
	run, _ := pair(t, CreateProtocol)
	err := run.Send(Spawn, SpawnBody{}, 1<<20)
	var e *SocketError
	if !errors.As(err, &e) || !errors.Is(err, unix.EBADF) {
		t.Fatal(err)
	}
	if got := err.Error(); got != "runtime: write frame spawn: EBADF (9)" {
		t.Error(got)
	}
}

// One sendmsg per frame: over a socket that keeps records, the frame is one record.
func TestSendIsOneMessage(t *testing.T) {
	fds := socketpair(t, unix.SOCK_SEQPACKET)
	c := NewConn(fds[0], Runtime, CreateProtocol, nil)
	defer c.Close()
	defer unix.Close(fds[1])
	must(t, c.Send(Spawn, example(Spawn), 0, 0))
	buf, oob := make([]byte, 4096), make([]byte, 64)
	n, oobn, _, _, err := unix.Recvmsg(fds[1], buf, oob, unix.MSG_CMSG_CLOEXEC)
	must(t, err)
	length, bad := parseHeader((*[HeaderSize]byte)(buf))
	if bad != nil || n != HeaderSize+length {
		t.Errorf("record of %d bytes, header says %d, %v", n, length, bad)
	}
	var s socket
	must(t, s.keep(oob[:oobn]))
	if len(s.arrived) != 2 {
		t.Errorf("%d descriptors", len(s.arrived))
	}
	closeAll(s.arrived)
}

// The longest frame is many times the socket's buffer.
func TestLongestFrame(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	run.SetSendTimeout(20 * time.Second)
	overhead := len(appendEnvelope(nil, Spawn, Runtime, 0, 3)) + len(`{"a":""}}`)
	body := json.RawMessage(`{"a":"` + strings.Repeat("x", MaxPayload-overhead) + `"}`)
	sent := make(chan error, 1)
	go func() { sent <- run.Send(Spawn, body, 0, 0, 0) }()
	f := receive(t, stage)
	must(t, <-sent)
	if !bytes.Equal(f.Body, body) || len(f.FDs) != 3 {
		t.Errorf("%d bytes, %d descriptors", len(f.Body), len(f.FDs))
	}
	f.CloseFDs()
}

// A peer that does not read cannot hold the runtime longer than the timeout, and half a frame is
// never taken for a whole one.
func TestSendTimeout(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	run.SetSendTimeout(10 * time.Millisecond)
	body := json.RawMessage(`{"a":"` + strings.Repeat("x", MaxPayload/2) + `"}`)
	for range 2 {
		if err := run.Send(Spawn, body, 0); !errors.Is(err, ErrDeadline) {
			t.Fatal(err)
		}
	}
	must(t, run.Close())
	before := openFDs(t)
	_, err := stage.Receive(soon(), -1)
	wantKind(t, err, KindShortPayload)
	if after := openFDs(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before %v, after %v", before, after)
	}
}

func TestPeerGone(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	must(t, stage.Close())
	for range 2 {
		if _, err := run.Receive(soon(), -1); !bare(err, io.EOF) {
			t.Fatal(err)
		}
	}
	err := run.Send(Spawn, nil)
	if !errors.Is(err, unix.EPIPE) || err.Error() != "runtime: write frame spawn: EPIPE (32)" {
		t.Fatal(err)
	}
}

// A peer that leaves without reading what it was sent.
func TestPeerGoneUnread(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	must(t, run.Send(Spawn, nil))
	must(t, stage.Close())
	_, err := run.Receive(soon(), -1)
	if !errors.Is(err, unix.ECONNRESET) || err.Error() != "runtime: read frame: ECONNRESET (104)" {
		t.Fatal(err)
	}
}

// The stage's last words can be read although it takes no more.
func TestErrorReadableAfterEPIPE(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	must(t, run.Send(Spawn, nil))
	receive(t, stage)
	must(t, stage.Send(Error, ErrorBody{Side: Stage0, Step: "clone stage-1", Errno: 11}))
	must(t, stage.Close())
	run.state = Alone
	if err := run.Send(Join, nil); !errors.Is(err, unix.EPIPE) {
		t.Fatal(err)
	}
	run.state = Spawning
	f := receive(t, run)
	if e, err := f.StageError(); err != nil || e.Error() != "stage-0: clone stage-1: EAGAIN (11)" || !errors.Is(e, unix.EAGAIN) {
		t.Error(e, err)
	}
}

// The process dies, and somebody else keeps the socket open.
func TestDied(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	pidfd, die := child(t, stage.FD())
	must(t, run.Send(Spawn, nil))
	receive(t, stage)
	must(t, stage.Send(Ready, ReadyBody{Pid: 1}, 0))
	die()
	f, err := run.Receive(soon(), pidfd)
	must(t, err) // what it wrote comes first
	f.CloseFDs()
	for range 2 {
		if _, err := run.Receive(soon(), pidfd); !bare(err, ErrDied) {
			t.Fatal(err)
		}
	}
}

// The process dies while the runtime waits.
func TestDiesWhileWaiting(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	pidfd, die := child(t, stage.FD())
	go die()
	if _, err := run.Receive(soon(), pidfd); !errors.Is(err, ErrDied) {
		t.Fatal(err)
	}
	must(t, stage.Close())
}

// Nobody holds the socket any more: the end of file comes first, every time.
func TestDiedAndEndOfFile(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	pidfd, die := child(t, stage.FD())
	must(t, stage.Close())
	go die()
	if _, err := run.Receive(soon(), pidfd); !bare(err, io.EOF) {
		t.Fatal(err)
	}
}

// Death inside a frame ends the frame.
func TestDiedInsideFrame(t *testing.T) {
	for n, kind := range map[int]Kind{3: KindShortHeader, 12: KindShortPayload} {
		fds := socketpair(t, unix.SOCK_STREAM)
		run := NewConn(fds[0], Runtime, CreateProtocol, nil)
		at(Spawning, run)
		pidfd, die := child(t, -1)
		_, err := unix.Write(fds[1], []byte("RAK\x01\x00\x00\x00\x20{\"type\":\"ready\"")[:n])
		must(t, err)
		die()
		_, err = run.Receive(soon(), pidfd)
		if wantKind(t, err, kind); !errors.Is(err, ErrDied) {
			t.Error(err)
		}
		must(t, run.Close())
		must(t, unix.Close(fds[1]))
	}
}

// Between frames a deadline leaves the connection as it was.
func TestDeadlineBetweenFrames(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond} {
		if _, err := stage.Receive(time.Now().Add(d), -1); !bare(err, ErrDeadline) {
			t.Fatal(err)
		}
	}
	must(t, run.Send(Spawn, nil))
	f, err := stage.Receive(time.Now().Add(-time.Hour), -1)
	must(t, err) // what is there already is never late
	if f.Type != Spawn {
		t.Error(f.Type)
	}
}

// Inside a frame it ends the connection.
func TestDeadlineInsideFrame(t *testing.T) {
	for n, kind := range map[int]Kind{1: KindShortHeader, 8: KindShortPayload, 14: KindShortPayload} {
		fds := socketpair(t, unix.SOCK_STREAM)
		stage := NewConn(fds[0], Stage0, CreateProtocol, nil)
		_, err := unix.Write(fds[1], []byte("RAK\x01\x00\x00\x00\x20{\"type\":\"ready\"")[:n])
		must(t, err)
		for range 2 {
			_, err = stage.Receive(time.Now().Add(time.Millisecond), -1)
			if wantKind(t, err, kind); !errors.Is(err, ErrDeadline) {
				t.Error(err)
			}
		}
		must(t, stage.Close())
		must(t, unix.Close(fds[1]))
	}
}

// Signals interrupt ppoll; nobody notices.
func TestInterrupted(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	tid := make(chan int)
	got := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		_, err := stage.Receive(soon(), -1)
		got <- err
	}()
	id := <-tid
	for range 200 {
		// Go handles SIGURG and ignores its meaning; it is how it interrupts threads itself.
		must(t, unix.Tgkill(unix.Getpid(), id, unix.SIGURG))
	}
	must(t, run.Send(Spawn, nil))
	must(t, <-got)
}

// Descriptors that this process has no room for are told, and the ones that came are closed.
func TestLostDescriptors(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	must(t, run.Send(Spawn, nil, 0, 0, 0))
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	// Room for one: the lowest free number is one above the highest that is handed out by dup.
	spare, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Close(spare))
	before := openFDs(t)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(spare + 1), Max: old.Max}))
	_, err = stage.Receive(soon(), -1)
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	p := wantKind(t, err, KindLost)
	if !strings.HasPrefix(p.Error(), "stage-0: read frame from runtime: descriptors lost on arrival") {
		t.Error(p)
	}
	if after := openFDs(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before %v, after %v", before, after)
	}
}

func TestClose(t *testing.T) {
	run, _ := pair(t, CreateProtocol)
	fd := run.FD()
	must(t, run.Close())
	must(t, run.Close())
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Error("still open:", err)
	}
	if run.FD() != -1 {
		t.Error(run.FD())
	}
	if _, err := run.Receive(soon(), -1); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := run.Send(Spawn, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestTakeFD(t *testing.T) {
	run, stage := pair(t, CreateProtocol)
	must(t, run.Send(Spawn, nil, 0, 0))
	f := receive(t, stage)
	taken := f.TakeFD(1)
	if taken < 0 || f.TakeFD(1) != -1 || f.TakeFD(2) != -1 || f.TakeFD(-1) != -1 {
		t.Error(taken, f.FDs)
	}
	f.CloseFDs()
	must(t, unix.Close(taken))
}

func TestExpected(t *testing.T) {
	run, _ := pair(t, CreateProtocol)
	for state, want := range map[State]string{
		Begun:    "spawn from runtime",
		Spawning: "ready or error from stage-0 or error from stage-1",
		Building: "console or mounted or error from stage-1",
		Waiting:  "nothing more",
	} {
		run.state = state
		if got := run.Expected(); got != want {
			t.Errorf("%s: %q", state, got)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	run, stage := pair(b, CreateProtocol)
	for b.Loop() {
		run.state, stage.state, stage.local = Alone, Alone, Stage1
		must(b, run.Send(Join, JoinBody{}))
		if _, err := stage.Receive(time.Time{}, -1); err != nil {
			b.Fatal(err)
		}
		must(b, stage.Send(Joined, nil))
		if _, err := run.Receive(time.Time{}, -1); err != nil {
			b.Fatal(err)
		}
	}
}

// One frame with a plan of 3 KB and eight descriptors.
func BenchmarkPlan(b *testing.B) {
	run, stage := pair(b, CreateProtocol)
	steps := json.RawMessage("[" + strings.Repeat(`{"op":"mount","target":"/dev/shm","type":"tmpfs","options":["mode=1777","size=65536k"]},`, 35) + `{"op":"exec"}]`)
	for b.Loop() {
		run.state, stage.state = Inside, Inside
		must(b, run.Send(Plan, PlanBody{Steps: steps}, 0, 0, 0, 0, 0, 0, 0, 0))
		f, err := stage.Receive(time.Time{}, -1)
		must(b, err)
		f.CloseFDs()
	}
}

func BenchmarkParseEnvelope(b *testing.B) {
	p := []byte(`{"type":"ready","from":"stage-0","seq":0,"fds":1,"body":{"pid":4711,"born":false}}`)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, f := parseEnvelope(p); f != nil {
			b.Fatal(f)
		}
	}
}
