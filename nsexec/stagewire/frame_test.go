package stagewire

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runack/handshake"
)

// inGo is what a Go stage-0 that waits for spawn makes of a stream: its outcomes, as the C program
// gives them.
func inGo(t testing.TB, data []byte) []string {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := handshake.NewConn(fds[0], handshake.Stage0, handshake.CreateProtocol, nil)
	written := make(chan error, 1)
	go func() {
		defer unix.Close(fds[1])
		for len(data) > 0 {
			n, err := unix.SendmsgN(fds[1], data, nil, nil, unix.MSG_NOSIGNAL)
			if err != nil && !errors.Is(err, unix.EPIPE) {
				written <- err
				return
			}
			data = data[max(n, 0):]
			if err != nil {
				break
			}
		}
		written <- nil
	}()
	var out []string
	for {
		f, err := c.Receive(time.Now().Add(20*time.Second), -1)
		if err != nil {
			out = append(out, goOutcome(err))
			break
		}
		f.CloseFDs()
		out = append(out, "ok "+string(f.Type))
	}
	_ = c.Close()
	if err := <-written; err != nil {
		t.Fatal("writer: ", err)
	}
	return out
}

func goOutcome(err error) string {
	var p *handshake.ProtocolError
	switch {
	case errors.Is(err, io.EOF):
		return "eof"
	case errors.As(err, &p):
		return string(p.Kind)
	}
	return err.Error()
}

// inside are the kinds that concern what a payload says. Where several apply the two languages may
// find another one first.
var inside = []string{"not_object", "syntax", "nul", "utf8", "depth", "duplicate_key", "unknown_key", "missing_key", "mistyped",
	"type", "sender", "duplicate", "skipped", "order", "missing_descriptors", "surplus_descriptors"}

// compareFrames asks both languages about a stream. They must agree on every frame that is accepted
// and on how it ends.
func compareFrames(t testing.TB, s *server, data []byte) {
	t.Helper()
	inC, ours := strings.Split(s.ask(t, 'f', data), ","), inGo(t, data)
	if slices.Equal(inC, ours) {
		return
	}
	// Go looks for keys that come twice everywhere at once, C when it reads the object.
	if slices.Equal(ours, []string{"duplicate_key"}) && inC[0] == "ok spawn" {
		return
	}
	if len(inC) == len(ours) && slices.Equal(inC[:len(inC)-1], ours[:len(ours)-1]) &&
		slices.Contains(inside, inC[len(inC)-1]) && slices.Contains(inside, ours[len(ours)-1]) {
		return
	}
	t.Fatalf("%q: C %q, Go %q", data, inC, ours)
}

// framed puts a header before a payload.
func framed(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte("RAK\x01"), uint32(len(payload))), payload...)
}

const spawn = `{"type":"spawn","from":"runtime","seq":0,"body":{"clone":0}}`

func TestFramesAgree(t *testing.T) {
	s := serve(t, "gcc")
	good := framed([]byte(spawn))
	for i := range good {
		compareFrames(t, s, good[:i])
		for _, b := range []byte{0, 1, ' ', '"', '\\', '0', '9', '{', '}', 'x', 0x7f, 0x80, 0xff} {
			changed := slices.Clone(good)
			changed[i] = b
			compareFrames(t, s, changed)
		}
	}
	for _, text := range append(texts(t), []byte(nil)) {
		compareFrames(t, s, framed(text))
		compareFrames(t, s, append(slices.Clone(good), framed(text)...))
	}
	for _, text := range awkward {
		compareFrames(t, s, framed([]byte(text)))
		compareFrames(t, s, framed([]byte(`{"type":"spawn","from":"runtime","seq":0,"body":{"a":`+text+`}}`)))
	}
}

// FuzzFrame feeds the same stream to the stage's reader and to Go's.
func FuzzFrame(f *testing.F) {
	f.Add(framed([]byte(spawn)))
	for _, text := range texts(f) {
		f.Add(framed(text))
	}
	s := serve(f, "gcc")
	f.Fuzz(func(t *testing.T, data []byte) { compareFrames(t, s, data) })
}

// FuzzEnvelope does so with the header right, so that the fuzzer need not find out about lengths.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(spawn))
	for _, text := range texts(f) {
		f.Add(text)
	}
	s := serve(f, "gcc")
	f.Fuzz(func(t *testing.T, data []byte) { compareFrames(t, s, framed(data)) })
}
