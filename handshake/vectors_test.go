package handshake

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A packet is one sendmsg of a vector.
type packet struct {
	fds  int
	data []byte
}

// A vector is one entry of testdata/vectors; the README there has the form.
type vector struct {
	name     string
	reader   Side
	protocol Protocol
	state    State
	seq      uint32
	packets  []packet
	expect   []string
}

// add appends bytes to the last packet.
func (v *vector) add(b []byte) {
	if len(v.packets) == 0 {
		v.packets = append(v.packets, packet{})
	}
	p := &v.packets[len(v.packets)-1]
	p.data = append(p.data, b...)
}

func (v *vector) bytes() (b []byte) {
	for _, p := range v.packets {
		b = append(b, p.data...)
	}
	return b
}

func unhex(s string) ([]byte, error) { return hex.DecodeString(strings.ReplaceAll(s, " ", "")) }

// line reads one line of a vector.
func (v *vector) line(word, rest string) error {
	var err error
	var b []byte
	switch word {
	case "reader":
		v.reader = Side(rest)
	case "state":
		name, state, _ := strings.Cut(rest, " ")
		v.state = State(state)
		for v.protocol = 0; v.protocol.String() != name; v.protocol++ {
			if v.protocol > ExecProtocol {
				return fmt.Errorf("unknown protocol %q", name)
			}
		}
		if !slices.Contains(states[:], v.state) {
			return fmt.Errorf("unknown state %q", state)
		}
	case "seq":
		var n uint64
		n, err = strconv.ParseUint(rest, 10, 32)
		v.seq = uint32(n)
	case "hex":
		b, err = unhex(rest)
		v.add(b)
	case "text":
		v.add([]byte(rest))
	case "repeat":
		count, digits, _ := strings.Cut(rest, " ")
		n, err1 := strconv.Atoi(count)
		b, err = unhex(digits)
		v.add(bytes.Repeat(b, n))
		err = errors.Join(err, err1)
	case "fds":
		n, err1 := strconv.Atoi(rest)
		v.packets = append(v.packets, packet{fds: n})
		err = err1
	case "expect":
		v.expect = append(v.expect, rest)
	default:
		err = fmt.Errorf("unknown word %q", word)
	}
	return err
}

// loadVectors reads every file of testdata/vectors, or those that match.
func loadVectors(t testing.TB, glob string) (all []*vector) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "vectors", glob))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for n := 1; lines.Scan(); n++ {
			word, rest, _ := strings.Cut(lines.Text(), " ")
			switch {
			case word == "" || word == "#":
				continue
			case word == "vector":
				if names[rest] {
					t.Fatalf("%s:%d: second vector %q", file, n, rest)
				}
				names[rest] = true
				all = append(all, &vector{name: rest})
				continue
			case len(all) == 0:
				t.Fatalf("%s:%d: %q before any vector", file, n, word)
			}
			if err := all[len(all)-1].line(word, rest); err != nil {
				t.Fatalf("%s:%d: %v", file, n, err)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(file, err)
		}
	}
	return all
}

// play writes packets into fd and closes it. It reports only what a reader that gives up early
// cannot cause.
func play(fd int, packets []packet) error {
	defer unix.Close(fd)
	for _, p := range packets {
		var oob []byte
		if p.fds > 0 {
			oob = unix.UnixRights(make([]int, p.fds)...) // standard input, as good as any
		}
		for data := p.data; len(data) > 0; oob = nil {
			n, err := unix.SendmsgN(fd, data, oob, nil, unix.MSG_NOSIGNAL)
			if errors.Is(err, unix.EPIPE) {
				return nil
			}
			if err != nil {
				return err
			}
			data = data[n:]
		}
	}
	return nil
}

// outcome is what a vector may expect of one Receive.
func outcome(f *Frame, err error) string {
	var p *ProtocolError
	switch {
	case err == nil:
		f.CloseFDs()
		return "ok " + string(f.Type)
	case errors.Is(err, io.EOF):
		return "eof"
	case errors.As(err, &p):
		return string(p.Kind)
	}
	return err.Error()
}

// run plays packets to a reader as v describes it, and returns its outcomes: as many as there are
// until the first that is not ok.
func (v *vector) run(t testing.TB, packets []packet) (got []string) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(fds[0], v.reader, v.protocol, nil)
	c.state = v.state
	for i := range c.seq {
		c.seq[i] = v.seq
	}
	played := make(chan error, 1)
	go func() { played <- play(fds[1], packets) }()
	deadline := soon()
	for {
		f, err := c.Receive(deadline, -1)
		got = append(got, outcome(f, err))
		if err != nil {
			break
		}
	}
	_ = c.Close()
	if err := <-played; err != nil {
		t.Error("writer:", err)
	}
	return got
}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t, "*.txt") {
		t.Run(v.name, func(t *testing.T) {
			before := openFDs(t)
			if got := v.run(t, v.packets); !slices.Equal(got, v.expect) {
				t.Errorf("got %q, expected %q", got, v.expect)
			}
			if after := openFDs(t); !slices.Equal(before, after) {
				t.Errorf("descriptors before %v, after %v", before, after)
			}
		})
	}
}

// Every kind of error has a vector, but for the two that bytes alone cannot bring about.
func TestVectorsCoverKinds(t *testing.T) {
	seen := map[string]bool{string(KindLost): true, string(KindBody): true}
	messages := map[string]bool{}
	for _, v := range loadVectors(t, "*.txt") {
		for _, e := range v.expect {
			seen[e] = true
			if typ, ok := strings.CutPrefix(e, "ok "); ok {
				messages[typ] = true
			}
		}
	}
	for _, k := range kindTexts {
		if !seen[string(k.kind)] {
			t.Errorf("no vector expects %s", k.kind)
		}
	}
	for _, m := range messageNames() {
		if !messages[m] {
			t.Errorf("no vector has a good %s", m)
		}
	}
}

func messageNames() (names []string) {
	for _, m := range messages {
		names = append(names, string(m.typ))
	}
	return names
}

// Every good vector is cut at every byte.
func TestVectorsCutAtEveryByte(t *testing.T) {
	for _, v := range loadVectors(t, "good.txt") {
		total := v.bytes()
		if len(total) > 4096 {
			continue // the longest payload, four million times over
		}
		t.Run(v.name, func(t *testing.T) {
			before := openFDs(t)
			for n := range len(total) {
				got := v.run(t, cut(v.packets, n))
				if want := cutOutcome(total, n); got[len(got)-1] != want {
					t.Errorf("cut at byte %d: got %q, expected %s", n, got, want)
				}
			}
			if after := openFDs(t); !slices.Equal(before, after) {
				t.Errorf("descriptors before %v, after %v", before, after)
			}
		})
	}
}

// cut returns the first n bytes.
func cut(packets []packet, n int) (out []packet) {
	for _, p := range packets {
		p.data = p.data[:min(n, len(p.data))]
		n -= len(p.data)
		if len(p.data) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// cutOutcome is how good frames must end when only n bytes of them come.
func cutOutcome(total []byte, n int) string {
	for at := 0; ; {
		switch length := int(total[at+6])<<8 | int(total[at+7]); {
		case n == at:
			return "eof"
		case n < at+HeaderSize:
			return string(KindShortHeader)
		case n < at+HeaderSize+length:
			return string(KindShortPayload)
		default:
			at += HeaderSize + length
		}
	}
}

// openFDs lists this process's descriptors, without the one that lists them.
func openFDs(t testing.TB) (fds []string) {
	t.Helper()
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	names, err := dir.Readdirnames(-1)
	self := strconv.Itoa(int(dir.Fd()))
	_ = dir.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name != self {
			fds = append(fds, name)
		}
	}
	slices.Sort(fds)
	return fds
}
