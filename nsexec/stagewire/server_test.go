package stagewire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// A server is the C program that answers questions about bytes.
type server struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

// serve starts the program; it ends, cleanly, with the test.
func serve(t testing.TB, cc string) *server {
	t.Helper()
	s := &server{cmd: exec.Command(program(t, cc, "serve"))}
	s.cmd.Env = environment()
	s.cmd.Stderr = &s.stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.in.Close()
		if err := s.cmd.Wait(); err != nil {
			t.Errorf("C program: %v\n%s", err, s.stderr.Bytes())
		}
	})
	return s
}

// ask puts one question.
func (s *server) ask(t testing.TB, kind byte, data []byte) string {
	t.Helper()
	q := append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data))), data...)
	if _, err := s.in.Write(q); err != nil {
		s.gone(t, data, err)
	}
	var h [4]byte
	if _, err := io.ReadFull(s.out, h[:]); err != nil {
		s.gone(t, data, err)
	}
	text := make([]byte, binary.BigEndian.Uint32(h[:]))
	if _, err := io.ReadFull(s.out, text); err != nil {
		s.gone(t, data, err)
	}
	return string(text)
}

// gone tells of a program that died of a question, with what it said about it.
func (s *server) gone(t testing.TB, data []byte, err error) {
	t.Helper()
	_ = s.in.Close()
	wait := s.cmd.Wait()
	t.Fatalf("the C program died of %q: %v, %v\n%s", data, err, wait, s.stderr.Bytes())
}

// refusal returns the reason of an "error WHY".
func refusal(answer string) (string, bool) { return strings.CutPrefix(answer, "error ") }
