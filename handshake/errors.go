package handshake

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What Receive returns besides io.EOF and *ProtocolError. Match with errors.Is.
var (
	// ErrDied says that the watched process is gone and that it left nothing in the socket, which
	// somebody else still holds open.
	ErrDied = errors.New("the peer's process has died")
	// ErrDeadline says that the deadline passed. Where it passed inside a frame, a *ProtocolError
	// wraps it, and the connection is of no further use.
	ErrDeadline = errors.New("the deadline has passed")
	// ErrClosed says that Close came first.
	ErrClosed = errors.New("the connection is closed")
)

// Kind says in one word what is wrong with a frame. The words are those of order.def and of the
// test vectors.
type Kind string

// The kinds, in the order in which a reader looks for them.
const (
	KindShortHeader  Kind = "short_header"
	KindMagic        Kind = "magic"
	KindVersion      Kind = "version"
	KindEmpty        Kind = "empty"
	KindOversize     Kind = "oversize"
	KindShortPayload Kind = "short_payload"
	KindLost         Kind = "lost_descriptors"
	KindNotObject    Kind = "not_object"
	KindSyntax       Kind = "syntax"
	KindNUL          Kind = "nul"
	KindUTF8         Kind = "utf8"
	KindDepth        Kind = "depth"
	KindDuplicateKey Kind = "duplicate_key"
	KindUnknownKey   Kind = "unknown_key"
	KindMissingKey   Kind = "missing_key"
	KindMistyped     Kind = "mistyped"
	KindType         Kind = "type"
	KindSender       Kind = "sender"
	KindDuplicate    Kind = "duplicate"
	KindSkipped      Kind = "skipped"
	KindOrder        Kind = "order"
	KindMissing      Kind = "missing_descriptors"
	KindSurplus      Kind = "surplus_descriptors"
	KindBody         Kind = "body"
)

type kindText struct {
	kind Kind
	text string
}

// kindTexts has the words for an error message; order.def repeats them for the stage.
var kindTexts = [...]kindText{
	{KindShortHeader, "header cut short"},
	{KindMagic, "wrong magic"},
	{KindVersion, "wrong version"},
	{KindEmpty, "empty payload"},
	{KindOversize, "payload too long"},
	{KindShortPayload, "payload cut short"},
	{KindLost, "descriptors lost on arrival"},
	{KindNotObject, "payload is not one object"},
	{KindSyntax, "malformed JSON"},
	{KindNUL, "NUL in a string"},
	{KindUTF8, "invalid UTF-8"},
	{KindDepth, "nested too deep"},
	{KindDuplicateKey, "duplicate key"},
	{KindUnknownKey, "unknown key"},
	{KindMissingKey, "missing key"},
	{KindMistyped, "value of wrong type"},
	{KindType, "unknown message"},
	{KindSender, "wrong sender"},
	{KindDuplicate, "sequence number repeated"},
	{KindSkipped, "sequence number skipped"},
	{KindOrder, "message out of turn"},
	{KindMissing, "descriptors missing"},
	{KindSurplus, "surplus descriptors"},
	{KindBody, "malformed body"},
}

// String returns the words for an error message.
func (k Kind) String() string {
	for i := range kindTexts {
		if kindTexts[i].kind == k {
			return kindTexts[i].text
		}
	}
	return string(k)
}

// A fault is the core of a ProtocolError, before anybody knows whose frame it was.
type fault struct {
	kind          Kind
	expected, got string
}

// A ProtocolError is a frame that breaks the protocol, received or about to be sent. After one from
// Receive, or one from Send that left half a frame in the socket, the connection is of no further
// use and repeats the error.
type ProtocolError struct {
	Side     Side // who found it
	From     Side // who wrote the frame: as its envelope says, else who was expected to; empty where nobody was
	Type     Type // of the frame, where its envelope could be read
	Kind     Kind
	Expected string
	Got      string
	Err      error // io.ErrUnexpectedEOF, ErrDied, ErrDeadline, an errno or a decoder's error, where one stands behind it
}

// Error is one line: "runtime: read frame created from stage-1: message out of turn: expected joined
// or error from stage-1, got created from stage-1".
func (e *ProtocolError) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Side))
	verb := ": read frame"
	if e.Side == e.From {
		verb = ": write frame"
	}
	b.WriteString(verb)
	if e.Type != "" {
		b.WriteString(" ")
		b.WriteString(string(e.Type))
	}
	if e.From != "" && e.From != e.Side {
		b.WriteString(" from ")
		b.WriteString(string(e.From))
	}
	b.WriteString(": ")
	b.WriteString(e.Kind.String())
	if e.Expected != "" {
		b.WriteString(": expected ")
		b.WriteString(e.Expected)
	}
	if e.Got != "" {
		b.WriteString(", got ")
		b.WriteString(e.Got)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(errText(e.Err))
	}
	return b.String()
}

// Unwrap returns Err.
func (e *ProtocolError) Unwrap() error { return e.Err }

// A SocketError is a system call on the sync socket that failed. EPIPE from Send means that nobody
// reads any more: what the peer wrote before it left can still be received, an error frame above
// all. ECONNRESET from Receive means that the peer left without reading all that was sent to it.
type SocketError struct {
	Side  Side
	Op    string // "read frame", "write frame mounted", "wait for frame"
	Errno unix.Errno
}

// Error is one line: "runtime: write frame join: EPIPE (32)".
func (e *SocketError) Error() string {
	return string(e.Side) + ": " + e.Op + ": " + ErrnoName(e.Errno)
}

// Unwrap returns the errno.
func (e *SocketError) Unwrap() error { return e.Errno }

// ErrnoName returns an errno's name and number, "ENOENT (2)"; its number alone where it has no
// name, "errno 512"; and nothing for 0.
func ErrnoName(e unix.Errno) string {
	if e == 0 {
		return ""
	}
	if name := unix.ErrnoName(e); name != "" {
		return name + " (" + strconv.Itoa(int(e)) + ")"
	}
	return "errno " + strconv.Itoa(int(e))
}

// errText is err.Error() with an errno by name, because clients take some of the kernel's words
// for a statement about the container's program.
func errText(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return ErrnoName(errno)
	}
	return err.Error()
}

// quote makes foreign text fit for one line of an error.
func quote(b []byte) string {
	const limit = 64
	if len(b) <= limit {
		return strconv.Quote(string(b))
	}
	return strconv.Quote(string(b[:limit])) + "..."
}
