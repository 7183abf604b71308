package handshake

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// seeds calls add with the bytes of every vector that is not too long for a fuzzer.
func seeds(t testing.TB, add func(v *vector, b []byte)) {
	for _, v := range loadVectors(t, "*.txt") {
		if b := v.bytes(); len(b) <= 4096 {
			add(v, b)
		}
	}
}

// strictKinds are refusals of what RFC 8259 allows or leaves open.
var strictKinds = []Kind{KindNUL, KindUTF8, KindDepth, KindDuplicateKey}

// FuzzJSON holds the scanner against encoding/json: it accepts nothing that is not JSON, and refuses
// nothing that is but for the reasons PROTOCOL.md gives.
func FuzzJSON(f *testing.F) {
	seeds(f, func(_ *vector, b []byte) { f.Add(b[min(len(b), HeaderSize):]) })
	f.Fuzz(func(t *testing.T, p []byte) {
		s := scanner{data: p}
		s.space()
		bad := s.value()
		if s.space(); bad == nil && s.pos < len(p) {
			bad = &fault{kind: KindNotObject}
		}
		switch valid := json.Valid(p); {
		case bad == nil && (!valid || !utf8.Valid(p)):
			t.Fatalf("%q accepted", p)
		case bad != nil && valid && !slices.Contains(strictKinds, bad.kind):
			t.Fatalf("%q refused: %v", p, bad)
		}
		if s.pos > len(p) {
			t.Fatalf("%q: read to %d", p, s.pos)
		}
	})
}

// FuzzEnvelope holds parseEnvelope against encoding/json: where it accepts, the values are the same.
func FuzzEnvelope(f *testing.F) {
	seeds(f, func(_ *vector, b []byte) { f.Add(b[min(len(b), HeaderSize):]) })
	f.Fuzz(func(t *testing.T, p []byte) {
		e, bad := parseEnvelope(p)
		if bad != nil {
			if bad.kind == "" || bad.expected == "" {
				t.Fatalf("%q: empty complaint %+v", p, bad)
			}
			return
		}
		var std struct {
			Type, From string
			Seq        uint32
			FDs        int
			Body       json.RawMessage
		}
		d := json.NewDecoder(bytes.NewReader(p))
		d.DisallowUnknownFields()
		if err := d.Decode(&std); err != nil {
			t.Fatalf("%q accepted, encoding/json: %v", p, err)
		}
		if e.typ != std.Type || e.from != std.From || e.seq != std.Seq || e.fds != std.FDs || !bytes.Equal(e.body, std.Body) {
			t.Fatalf("%q: got %+v, encoding/json %+v", p, e, std)
		}
	})
}

// FuzzFrame plays any bytes with any descriptors to a reader in any state: it ends, every error has
// its kind, and no descriptor stays open.
func FuzzFrame(f *testing.F) {
	seeds(f, func(v *vector, b []byte) {
		fds := byte(0)
		if len(v.packets) > 0 {
			fds = byte(v.packets[0].fds)
		}
		f.Add(b, byte(sideIndex(v.reader)), byte(v.protocol), byte(slices.Index(states[:], v.state)), v.seq, fds)
	})
	f.Fuzz(func(t *testing.T, b []byte, side, protocol, state byte, seq uint32, fds byte) {
		v := &vector{
			reader: sides[int(side)%len(sides)], protocol: Protocol(protocol % 3), state: states[int(state)%len(states)], seq: seq,
		}
		before := lowestFree(t)
		got := v.run(t, []packet{{fds: int(fds) % (MaxDescriptors + 1), data: b}})
		for i, o := range got {
			last := i == len(got)-1
			known := o == "eof" || slices.ContainsFunc(kindTexts[:], func(k kindText) bool { return string(k.kind) == o })
			if last != known {
				t.Fatalf("outcomes %q", got)
			}
		}
		if after := lowestFree(t); before != after {
			t.Fatalf("lowest free descriptor was %d, is %d", before, after)
		}
	})
}

// lowestFree returns the number that the next descriptor would get: a cheap sign of a leak.
func lowestFree(t testing.TB) int {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Close(fd))
	return fd
}
