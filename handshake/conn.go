package handshake

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Conn is one end of a sync socket, or of a connection to a start socket. It keeps to the order
// of its protocol and counts the frames of each writer. One goroutine may use it at a time; it
// starts none.
type Conn struct {
	socket
	protocol   Protocol
	local      Side
	state      State
	seq        [len(sides)]uint32 // next number of each writer
	transcript *Transcript
	broken     error  // why nothing more can be received
	torn       error  // why nothing more can be sent: half a frame has gone out
	buf        []byte // of Send
}

// NewConn wraps a connected Unix stream socket. The Conn owns fd from here on, blocking or not; it
// should be close-on-exec. t may be nil.
func NewConn(fd int, local Side, p Protocol, t *Transcript) *Conn {
	return &Conn{socket: socket{fd: fd}, protocol: p, local: local, state: Begun, transcript: t}
}

// Become makes the stage's end go on as stage-1, with stage-1's own sequence: what happens where
// stage-0 leaves the socket to the process it cloned.
func (c *Conn) Become(side Side) { c.local = side }

// FD returns the descriptor, which stays the Conn's; -1 after Close.
func (c *Conn) FD() int { return c.fd }

// State tells where the conversation stands. End of file means that execve may have happened only
// in Committed and Supervised.
func (c *Conn) State() State { return c.state }

// Expected names what may come next, for errors: "joined or error from stage-1".
func (c *Conn) Expected() string { return expected(c.protocol, c.state) }

// Due names what comes next but an error, "console or mounted", and whether this end is to send it.
// Empty where nothing comes any more.
func (c *Conn) Due() (message string, ours bool) { return due(c.protocol, c.state, c.local) }

// SetSendTimeout bounds every later Send. Zero, as at first, means for ever: a peer that has been
// stopped then holds a Send longer than the socket's buffer (some 200 KiB).
func (c *Conn) SetSendTimeout(d time.Duration) { c.sendTimeout = d }

// Close closes the socket. A second Close does nothing.
func (c *Conn) Close() error {
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	c.broken, c.torn = ErrClosed, ErrClosed
	return unix.Close(fd)
}

// An Appender writes itself as JSON without reflection: one object, valid and without NUL. Bodies
// that implement it are sent that way, all others through encoding/json.
type Appender interface {
	AppendJSON(b []byte) []byte
}

// Send writes one frame with one sendmsg(2); what does not fit in the socket's buffer follows as
// the peer reads. body is nil for {}, an Appender, a json.RawMessage, or anything encoding/json
// turns into one object. The descriptors remain the caller's.
//
// Errors: *ProtocolError where this end must not say this now (nothing has been sent),
// *SocketError, ErrDeadline after SetSendTimeout, ErrClosed, or encoding/json's.
func (c *Conn) Send(t Type, body any, fds ...int) error {
	if c.torn != nil {
		return c.torn
	}
	next, f := c.checkSend(t, len(fds))
	if f != nil {
		return c.protocolError(c.local, t, f, nil)
	}
	i := sideIndex(c.local)
	b := append(c.buf[:0], make([]byte, HeaderSize)...)
	b = appendEnvelope(b, t, c.local, c.seq[i], len(fds))
	b, err := appendBody(b, body)
	if err != nil {
		return err
	}
	b = append(b, '}')
	c.buf = b
	n := len(b) - HeaderSize
	if n > MaxPayload {
		return c.protocolError(c.local, t, &fault{KindOversize, "at most " + strconv.Itoa(MaxPayload) + " bytes", strconv.Itoa(n)}, nil)
	}
	appendHeader(b[:0], n)
	if sent, err := c.write(b, fds); err != nil {
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
			c.state = next // the peer has spoken, if at all, where it was this end's turn: Receive takes its error
		}
		err = c.socketError("write frame "+string(t), err)
		if sent > 0 {
			c.torn = err
		}
		return err
	}
	c.transcript.note(c.protocol, c.local, t, c.seq[i], n, len(fds))
	c.seq[i]++
	c.state = next
	return nil
}

// checkSend returns the state that follows t. A stage may fail in any state: the table has the
// states in which the runtime hears of it.
func (c *Conn) checkSend(t Type, fds int) (State, *fault) {
	if f := checkDescriptors(t, fds, fds); f != nil {
		return "", f
	}
	r, kind := allowed(c.protocol, c.state, c.local, t)
	switch {
	case r != nil:
		return r.next, nil
	case t == Error && c.local != Runtime && c.state != Failed:
		return Failed, nil
	}
	return "", &fault{kind, c.Expected(), string(t)}
}

func appendBody(b []byte, body any) ([]byte, error) {
	switch v := body.(type) {
	case nil:
		return append(b, "{}"...), nil
	case Appender:
		return v.AppendJSON(b), nil
	case json.RawMessage:
		return append(b, v...), nil
	}
	text, err := json.Marshal(body)
	return append(b, text...), err
}

// Receive waits for one frame: until deadline, or for ever where that is zero. died is a pidfd
// that is watched beside the socket, or -1; it remains the caller's. What a process wrote before it
// died is always received first.
//
// Errors:
//   - io.EOF: the peer has closed its end, between two frames. It comes before ErrDied where both
//     hold. What it means depends on State.
//   - ErrDied: the pidfd is readable, and nothing is left in the socket, which others hold open.
//   - ErrDeadline: nothing of a frame has come; another Receive may follow.
//   - *ProtocolError: the frame is no good, or ends early.
//   - *SocketError: ECONNRESET, where the peer left without reading all that was sent.
//   - ErrClosed.
//
// With any error all descriptors that came are closed.
func (c *Conn) Receive(deadline time.Time, died int) (*Frame, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	f, err := c.receive(wait{deadline, died})
	if err == nil {
		return f, nil
	}
	closeAll(c.arrived)
	c.arrived = nil
	var inside *ProtocolError // then the stream is of no further use, even if time alone is to blame
	if errors.As(err, &inside) || !errors.Is(err, ErrDied) && !errors.Is(err, ErrDeadline) {
		c.broken = err
	}
	return nil, err
}

func (c *Conn) receive(w wait) (*Frame, error) {
	p, err := c.readPayload(w)
	if err != nil {
		return nil, err
	}
	e, fault := parseEnvelope(p)
	if fault != nil {
		return nil, c.protocolError(speaker(c.protocol, c.state), "", fault, nil)
	}
	next, fault := c.checkReceive(&e)
	if fault != nil {
		return nil, c.envelopeError(&e, fault)
	}
	f := &Frame{Type: Type(e.typ), From: Side(e.from), Seq: e.seq, Body: e.body, FDs: c.arrived, reader: c.local}
	c.arrived = nil
	if f.Body == nil {
		f.Body = json.RawMessage("{}")
	}
	c.seq[sideIndex(f.From)]++
	c.state = next
	c.transcript.note(c.protocol, f.From, f.Type, f.Seq, len(p), len(f.FDs))
	return f, nil
}

// envelopeError names type and writer of a refused frame only by words that this end knows.
func (c *Conn) envelopeError(e *envelope, f *fault) *ProtocolError {
	from, t := Side(e.from), Type(e.typ)
	if sideIndex(from) < 0 || sameEnd(from, c.local) {
		from = speaker(c.protocol, c.state)
	}
	if messageIndex(t) < 0 {
		t = ""
	}
	return c.protocolError(from, t, f, nil)
}

// readPayload reads header and payload.
func (c *Conn) readPayload(w wait) ([]byte, error) {
	var h [HeaderSize]byte
	if n, err := c.read(h[:], w, true); err != nil {
		if n > 0 {
			return nil, c.cutShort(KindShortHeader, n, HeaderSize, err)
		}
		return nil, c.readError(err)
	}
	n, fault := parseHeader(&h)
	if fault != nil {
		return nil, c.protocolError(speaker(c.protocol, c.state), "", fault, nil)
	}
	p := make([]byte, n)
	if got, err := c.read(p, w, false); err != nil {
		return nil, c.cutShort(KindShortPayload, got, n, err)
	}
	return p, nil
}

// checkReceive checks what the envelope says against the order, and returns the state that follows.
func (c *Conn) checkReceive(e *envelope) (State, *fault) {
	t, from := Type(e.typ), Side(e.from)
	i := sideIndex(from)
	switch {
	case messageIndex(t) < 0:
		return "", &fault{KindType, c.Expected(), quote([]byte(e.typ))}
	case i < 0 || sameEnd(from, c.local):
		return "", &fault{KindSender, c.Expected(), e.typ + " from " + quote([]byte(e.from))}
	case e.seq < c.seq[i]:
		return "", &fault{KindDuplicate, "number " + itoa(c.seq[i]), itoa(e.seq)}
	case e.seq > c.seq[i]:
		return "", &fault{KindSkipped, "number " + itoa(c.seq[i]), itoa(e.seq)}
	}
	r, kind := allowed(c.protocol, c.state, from, t)
	if r == nil {
		return "", &fault{kind, c.Expected(), e.typ + " from " + e.from}
	}
	return r.next, checkDescriptors(t, e.fds, len(c.arrived))
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// checkDescriptors compares what a message must carry, what its envelope announced and what came.
func checkDescriptors(t Type, announced, came int) *fault {
	i := messageIndex(t)
	if i < 0 {
		return &fault{KindType, "a message of the protocol", quote([]byte(t))}
	}
	m := &messages[i]
	switch {
	case came < announced:
		return &fault{KindMissing, strconv.Itoa(announced) + " as announced", strconv.Itoa(came)}
	case came > announced:
		return &fault{KindSurplus, strconv.Itoa(announced) + " as announced", strconv.Itoa(came)}
	case came < m.minimum:
		return &fault{KindMissing, strconv.Itoa(m.minimum) + " with " + string(t), strconv.Itoa(came)}
	case came > m.maximum:
		return &fault{KindSurplus, "at most " + strconv.Itoa(m.maximum) + " with " + string(t), strconv.Itoa(came)}
	}
	return nil
}

// cutShort tells of a frame that ended, or stopped coming, before its end.
func (c *Conn) cutShort(kind Kind, got, want int, err error) error {
	if errors.Is(err, errLost) {
		return c.readError(err)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	f := &fault{kind, strconv.Itoa(want) + " bytes", strconv.Itoa(got)}
	return c.protocolError(speaker(c.protocol, c.state), "", f, err)
}

func (c *Conn) readError(err error) error {
	if errors.Is(err, errLost) {
		f := &fault{kind: KindLost, expected: "room for them", got: "none: too many open files, or refused by a security module"}
		return c.protocolError(speaker(c.protocol, c.state), "", f, nil)
	}
	return c.socketError("read frame", err)
}

// socketError wraps an errno; io.EOF, ErrDied and ErrDeadline stay as they are.
func (c *Conn) socketError(op string, err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return &SocketError{c.local, op, errno}
	}
	return err
}

func (c *Conn) protocolError(from Side, t Type, f *fault, err error) *ProtocolError {
	return &ProtocolError{Side: c.local, From: from, Type: t, Kind: f.kind, Expected: f.expected, Got: f.got, Err: err}
}
