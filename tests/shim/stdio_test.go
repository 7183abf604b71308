package shim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	taskapi "github.com/containerd/containerd/api/runtime/task/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"runack/tests/harness"
)

// A client is the other end of a process's fifos.
type client struct {
	io   stdio
	in   *os.File
	outs map[string]chan string // by name: all that came, once it has ended
}

// fifos makes fifos with somebody at their other end.
func (d *daemon) fifos(name string, terminal bool) *client {
	d.T.Helper()
	c := &client{io: stdio{terminal: terminal}, outs: map[string]chan string{}}
	make := func(suffix string) string {
		path := filepath.Join(d.dir, name+"-"+suffix)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			d.T.Fatal(err)
		}
		return path
	}
	c.io.in = make("in")
	// Both ends, so that opening does not wait; the shim's end is the one that counts.
	in, err := os.OpenFile(c.io.in, os.O_RDWR, 0)
	if err != nil {
		d.T.Fatal(err)
	}
	c.in = in
	c.io.out = make("out")
	c.read("out", c.io.out)
	if !terminal {
		c.io.err = make("err")
		c.read("err", c.io.err)
	}
	return c
}

func (c *client) read(name, path string) {
	all := make(chan string, 1)
	c.outs[name] = all
	go func() {
		f, err := os.Open(path)
		if err != nil {
			all <- err.Error()
			return
		}
		defer f.Close()
		data, _ := io.ReadAll(f)
		all <- string(data)
	}()
}

// all waits for the end of an output.
func (d *daemon) all(c *client, name string) string {
	d.T.Helper()
	select {
	case s := <-c.outs[name]:
		return s
	case <-time.After(harness.Deadline(limit)):
		d.T.Fatalf("%s does not end", name)
		return ""
	}
}

// sleeper runs a container that stays.
func sleeper(t *testing.T, edits ...harness.Edit) (*shim, string) {
	t.Helper()
	d := newDaemon(t)
	b := d.Bundle(append([]harness.Edit{harness.Args("/bin/sleep", "100000"), harness.WritableRoot}, edits...)...)
	id := d.ID("c")
	s := d.start(b, id)
	s.run(b, id, stdio{})
	return s, id
}

// piped starts an exec with somebody at the other end of its fifos.
func (s *shim) piped(id, exec string, terminal bool, args ...string) *client {
	s.T.Helper()
	c := s.fifos(exec, terminal)
	s.T.Cleanup(func() { _ = c.in.Close() })
	s.add(id, exec, c.io, args...)
	s.begin(id, exec)
	return c
}

func TestOutputOfAShortProgramArrivesWhole(t *testing.T) {
	s, id := sleeper(t)
	for n, size := range []int{0, 1, 65536, 1 << 20} {
		exec := fmt.Sprint("e", n)
		c := s.piped(id, exec, false, "/bin/sh", "-c", fmt.Sprintf("head -c %d /dev/zero; echo done >&2", size))
		if got := len(s.all(c, "out")); got != size {
			t.Errorf("%d bytes came of %d", got, size)
		}
		if got := s.all(c, "err"); got != "done\n" {
			t.Errorf("standard error: %q", got)
		}
		s.end(id, exec)
		s.remove(id, exec)
	}
	s.finish(id)
}

func TestInputEndsWithCloseIO(t *testing.T) {
	s, id := sleeper(t)
	c := s.piped(id, "e", false, "/bin/cat")
	text := strings.Repeat("0123456789", 20_000)
	if _, err := c.in.WriteString(text); err != nil {
		t.Fatal(err)
	}
	// The client's end goes; the shim still holds the fifo open, so cat reads on until CloseIO.
	_ = c.in.Close()
	if _, err := s.CloseIO(s.ctx(), &taskapi.CloseIORequest{ID: id, ExecID: "e", Stdin: true}); err != nil {
		t.Fatal(err)
	}
	if got := s.all(c, "out"); got != text {
		t.Errorf("%d bytes came back of %d", len(got), len(text))
	}
	if code := s.end(id, "e"); code != 0 {
		t.Errorf("cat ended with %d", code)
	}
	s.remove(id, "e")
	s.finish(id)
}

// Something that the process leaves behind keeps the pipe open: the client gets an end all the same.
func TestAChildThatKeepsThePipeOpen(t *testing.T) {
	s, id := sleeper(t)
	c := s.piped(id, "e", false, "/bin/sh", "-c", "sleep 100000 & echo here")
	if code := s.end(id, "e"); code != 0 {
		t.Errorf("ended with %d", code)
	}
	began := time.Now()
	s.remove(id, "e")
	if took := time.Since(began); took > harness.Deadline(time.Second) {
		t.Errorf("delete took %v", took)
	}
	if got := s.all(c, "out"); got != "here\n" {
		t.Errorf("wrote %q", got)
	}
	s.finish(id)
}

// A client that has gone without deleting its execs leaves nothing of them once the task is deleted.
func TestDeleteOfATaskEndsItsExecs(t *testing.T) {
	s, id := sleeper(t)
	c := s.fifos("e", false)
	defer c.in.Close()
	s.add(id, "e", c.io, "/bin/sh", "-c", "echo here")
	s.add(id, "never", stdio{}, "/bin/true")
	waited := make(chan error, 1)
	go func() {
		_, err := s.Wait(context.Background(), &taskapi.WaitRequest{ID: id, ExecID: "never"})
		waited <- err
	}()
	s.begin(id, "e")
	s.end(id, "e")
	s.signal(id, "", unix.SIGKILL)
	s.end(id, "")
	s.remove(id, "")
	if got := s.all(c, "out"); got != "here\n" {
		t.Errorf("wrote %q", got)
	}
	if err := <-waited; err != nil {
		refused(t, codes.NotFound, err) // it came too late to wait
	}
	s.quit()
}

// A reader that stops holds its own process up, and nobody else; delete does not wait for it for long.
func TestAReaderThatStops(t *testing.T) {
	s, id := sleeper(t)
	path := filepath.Join(s.dir, "stuck")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	stuck, err := os.OpenFile(path, os.O_RDWR, 0) // a reader that never reads
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	s.add(id, "stuck", stdio{out: path}, "/bin/sh", "-c", "head -c 10000000 /dev/zero")
	s.begin(id, "stuck")
	s.add(id, "other", stdio{}, "/bin/true")
	s.begin(id, "other")
	if code := s.end(id, "other"); code != 0 {
		t.Errorf("the other ended with %d", code)
	}
	s.remove(id, "other")
	s.signal(id, "stuck", unix.SIGKILL)
	if code := s.end(id, "stuck"); code != 137 {
		t.Errorf("the stuck one ended with %d", code)
	}
	s.remove(id, "stuck")
	s.finish(id)
}

// A client that never opens its fifo holds up neither the end of init nor the news of it.
func TestAClientThatNeverComes(t *testing.T) {
	s, id := sleeper(t)
	path := filepath.Join(s.dir, "nobody")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	s.add(id, "e", stdio{out: path}, "/bin/true")
	started := make(chan error, 1)
	go func() {
		_, err := s.Start(context.Background(), &taskapi.StartRequest{ID: id, ExecID: "e"})
		started <- err
	}()
	s.signal(id, "", unix.SIGKILL)
	if code := s.end(id, ""); code != 137 {
		t.Errorf("init ended with %d", code)
	}
	if err := <-started; err == nil {
		t.Error("an exec started without a reader")
	}
	s.remove(id, "")
	s.quit()
}

func TestTerminal(t *testing.T) {
	s, id := sleeper(t)
	c := s.fifos("e", true)
	defer c.in.Close()
	s.add(id, "e", c.io, "/bin/sh", "-c", "stty size; read line; stty size; echo got $line")
	// Asked for before there is a terminal: the program's first look finds it.
	s.resize(id, "e", 100, 40)
	s.begin(id, "e")
	s.resize(id, "e", 120, 50)
	if _, err := c.in.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	if code := s.end(id, "e"); code != 0 {
		t.Errorf("ended with %d", code)
	}
	s.remove(id, "e")
	got := strings.ReplaceAll(s.all(c, "out"), "\r\n", "\n")
	got = strings.Replace(got, "hello\n", "", 1) // the terminal's echo, at whatever moment
	if !strings.HasSuffix(got, "50 120\ngot hello\n") || !(strings.HasPrefix(got, "40 100\n") || strings.HasPrefix(got, "50 120\n")) {
		t.Errorf("the terminal shows %q", got)
	}
	s.finish(id)
}

func (s *shim) resize(id, exec string, width, height uint32) {
	s.T.Helper()
	_, err := s.ResizePty(s.ctx(), &taskapi.ResizePtyRequest{ID: id, ExecID: exec, Width: width, Height: height})
	if err != nil {
		s.T.Fatal(err)
	}
}

func TestTerminalOfAnInit(t *testing.T) {
	d := newDaemon(t)
	b := d.Bundle(harness.Shell("tty; stty size; exit 3"), terminal)
	id := d.ID("c")
	s := d.start(b, id)
	c := d.fifos("c", true)
	defer c.in.Close()
	s.create(b, id, c.io)
	s.resize(id, "", 90, 30)
	s.begin(id, "")
	if code := s.end(id, ""); code != 3 {
		t.Errorf("ended with %d", code)
	}
	if got := d.all(c, "out"); got != "/dev/pts/0\r\n30 90\r\n" && got != "/dev/console\r\n30 90\r\n" {
		t.Errorf("the terminal shows %q", got)
	}
	s.remove(id, "")
	s.quit()
}

// A log program keeps what two processes write, and is refused where others could change it.
func TestLogPrograms(t *testing.T) {
	s, id := sleeper(t)
	kept := filepath.Join(s.dir, "kept")
	// The folder of the test lies below /tmp, where others may make files; it has a sticky bit.
	logger := s.File("logger", "#!/bin/sh\nexec 5>&-\ncat <&3 >"+kept+"\ncat <&4 >>"+kept+"\necho \"$1 $CONTAINER_ID $CONTAINER_NAMESPACE\" >>"+kept+"\n: >"+kept+".done\n")
	if err := os.Chmod(logger, 0o755); err != nil {
		t.Fatal(err)
	}
	uri := "binary://" + logger + "?word="
	s.add(id, "e", stdio{out: uri, err: uri}, "/bin/sh", "-c", "echo out; echo err >&2")
	s.begin(id, "e")
	if code := s.end(id, "e"); code != 0 {
		t.Errorf("ended with %d", code)
	}
	s.remove(id, "e")
	s.WaitFor("the log program", func() bool { _, err := os.Stat(kept + ".done"); return err == nil })
	if got, want := s.text(kept), "out\nerr\nword "+id+" "+s.namespace+"\n"; got != want {
		t.Errorf("kept %q, want %q", got, want)
	}

	if err := os.Chmod(logger, 0o777); err != nil {
		t.Fatal(err)
	}
	s.add(id, "bad", stdio{out: uri}, "/bin/true")
	_, err := s.Start(s.ctx(), &taskapi.StartRequest{ID: id, ExecID: "bad"})
	refused(t, codes.InvalidArgument, err, "others than root")
	s.remove(id, "bad")
	s.add(id, "relative", stdio{out: "binary://logger"}, "/bin/true")
	_, err = s.Start(s.ctx(), &taskapi.StartRequest{ID: id, ExecID: "relative"})
	refused(t, codes.InvalidArgument, err)
	s.remove(id, "relative")
	s.finish(id)
}

// A containerd that restarts opens the fifos anew: nothing is lost and no SIGPIPE comes between.
func TestAReaderThatComesBack(t *testing.T) {
	s, id := sleeper(t)
	path := filepath.Join(s.dir, "out")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := s.fifos("e", false)
	defer c.in.Close()
	s.add(id, "e", stdio{in: c.io.in, out: path}, "/bin/sh", "-c", "echo one; read x; echo two; read x")
	s.begin(id, "e")
	line := make([]byte, 4)
	if _, err := io.ReadFull(first, line); err != nil || string(line) != "one\n" {
		t.Fatalf("read %q: %v", line, err)
	}
	_ = first.Close()
	if _, err := c.in.WriteString("go\n"); err != nil {
		t.Fatal(err)
	}
	// Nobody reads now. The second reader finds what is written meanwhile; the exec goes on until it is
	// there, since with its end the shim gives the stream an end too.
	second, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := c.in.WriteString("go\n"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(second)
	if err != nil || !bytes.Equal(rest, []byte("two\n")) {
		t.Errorf("the second reader gets %q: %v", rest, err)
	}
	s.end(id, "e")
	s.remove(id, "e")
	s.finish(id)
}
