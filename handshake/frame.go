package handshake

import (
	"encoding/binary"
	"encoding/json"
	"strconv"

	"golang.org/x/sys/unix"
)

// A frame is a header of eight bytes and one JSON object:
//
//	'R' 'A' 'K' version | payload length, 32 bits, big-endian | payload
//
// Version 1 is the only one so far. PROTOCOL.md says when it changes.
const (
	Version    = 1
	HeaderSize = 8
	// MaxPayload is the longest payload in bytes. It is checked before a byte of it is read.
	MaxPayload = 4 << 20
	// MaxDescriptors is the kernel's limit for one message (SCM_MAX_FD in unix(7)).
	MaxDescriptors = 253
	// MaxDepth is how deep objects and arrays may nest, the envelope being the first level.
	MaxDepth = 16
)

// magic is the first half of every header.
var magic = [4]byte{'R', 'A', 'K', Version}

// A Frame is one received message.
type Frame struct {
	Type Type
	From Side
	Seq  uint32
	Body json.RawMessage // one JSON object, "{}" where the frame had none
	FDs  []int           // close-on-exec, owned by whoever received the frame

	reader Side // who received it
}

// CloseFDs closes the frame's descriptors and forgets them.
func (f *Frame) CloseFDs() {
	closeAll(f.FDs)
	f.FDs = nil
}

// TakeFD hands over descriptor i: the caller owns it, and CloseFDs no longer closes it. It returns
// -1 where there is none.
func (f *Frame) TakeFD(i int) int {
	if i < 0 || i >= len(f.FDs) {
		return -1
	}
	fd := f.FDs[i]
	f.FDs[i] = -1
	return fd
}

func closeAll(fds []int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// appendHeader appends the header of a payload of n bytes.
func appendHeader(b []byte, n int) []byte {
	b = append(b, magic[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// parseHeader returns the payload's length.
func parseHeader(h *[HeaderSize]byte) (int, *fault) {
	switch n := binary.BigEndian.Uint32(h[4:]); {
	case [3]byte(h[:3]) != [3]byte(magic[:3]):
		return 0, &fault{KindMagic, hexBytes(magic[:3]), hexBytes(h[:3])}
	case h[3] != Version:
		return 0, &fault{KindVersion, strconv.Itoa(Version), strconv.Itoa(int(h[3]))}
	case n == 0:
		return 0, &fault{KindEmpty, "a payload", "length 0"}
	case n > MaxPayload:
		return 0, &fault{KindOversize, "at most " + strconv.Itoa(MaxPayload) + " bytes", strconv.FormatUint(uint64(n), 10)}
	default:
		return int(n), nil
	}
}

// hexBytes writes bytes as the protocol page and the test vectors do: "52 41 4b".
func hexBytes(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}

// appendEnvelope appends the payload up to the body's value. The writer adds the body and "}".
func appendEnvelope(b []byte, t Type, from Side, seq uint32, fds int) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, t...)
	b = append(b, `","from":"`...)
	b = append(b, from...)
	b = append(b, `","seq":`...)
	b = strconv.AppendUint(b, uint64(seq), 10)
	if fds > 0 {
		b = append(b, `,"fds":`...)
		b = strconv.AppendInt(b, int64(fds), 10)
	}
	return append(b, `,"body":`...)
}
